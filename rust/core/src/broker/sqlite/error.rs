//! SQLite's errors as ours: the one place that knows which pass by themselves.

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorKind};

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        translate(error)
    }
}

/// One sentence a user can act on for each way SQLite fails.
fn translate(error: rusqlite::Error) -> Error {
    let (kind, sentence) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Timeout, "other processes kept the database file locked for too long")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::Busy, "the disk of the database file is full"),
        Some(ErrorCode::NotADatabase) => {
            (ErrorKind::Config, "broker_url names a file that is not an SQLite database; choose another path")
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            ErrorKind::Decode,
            "the database file is damaged; move it away (fastq makes a new one) or restore a copy",
        ),
        Some(
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied,
        ) => (
            ErrorKind::Denied,
            "the database file or its folder cannot be written; check its owner and permissions",
        ),
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Denied,
            "the database file cannot be opened; check that its folder exists and can be written",
        ),
        Some(ErrorCode::SystemIoFailure) => {
            (ErrorKind::Unreachable, "reading or writing the database file failed")
        }
        Some(ErrorCode::FileLockingProtocolFailed | ErrorCode::NoLargeFileSupport) => (
            ErrorKind::Config,
            "the file system of broker_url cannot lock files as SQLite needs it; use a local disk",
        ),
        Some(ErrorCode::TooBig) => (ErrorKind::Encode, "a message or result is larger than SQLite can store"),
        Some(ErrorCode::OutOfMemory) => (ErrorKind::Busy, "memory ran out"),
        _ => (ErrorKind::Unexpected, "SQLite refused a statement"),
    };
    Error::new(kind, sentence).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn each_way_sqlite_fails_has_a_kind_and_one_sentence() {
        for (code, kind, temporary, hint) in [
            (ffi::SQLITE_BUSY, ErrorKind::Timeout, true, "locked"),
            (ffi::SQLITE_FULL, ErrorKind::Busy, true, "full"),
            (ffi::SQLITE_NOTADB, ErrorKind::Config, false, "not an SQLite database"),
            (ffi::SQLITE_CORRUPT, ErrorKind::Decode, false, "damaged"),
            (ffi::SQLITE_READONLY, ErrorKind::Denied, false, "cannot be written"),
            (ffi::SQLITE_CANTOPEN, ErrorKind::Denied, false, "cannot be opened"),
            (ffi::SQLITE_IOERR, ErrorKind::Unreachable, true, "failed"),
            (ffi::SQLITE_TOOBIG, ErrorKind::Encode, false, "larger"),
            (ffi::SQLITE_MISUSE, ErrorKind::Unexpected, false, "refused"),
        ] {
            let error = Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
            assert_eq!((error.kind(), error.is_temporary()), (kind, temporary), "{error}");
            assert!(error.to_string().contains(hint), "{error}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
