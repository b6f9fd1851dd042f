//! Files that are not what they should be: one clear error each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastq_core::broker::Broker;
use fastq_core::broker::sqlite::{SqliteBroker, SqliteConfig};
use fastq_core::clock::Clock;
use fastq_core::error::{Error, ErrorKind};

use super::at;
use crate::support::{to, until};

fn failure(path: &Path) -> Error {
    at(path).publish(&[to("q", "1")]).unwrap_err()
}

fn new_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    at(&path).publish(&[to("q", "1")]).unwrap();
    (folder, path)
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "not a database, but long enough to be looked at ".repeat(100)).unwrap();
    let error = failure(&path);
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("not an SQLite database") && error.to_string().contains("notes.txt"),
        "{error}"
    );
    assert!(fs::read_to_string(&path).unwrap().starts_with("not a database"));
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
    let error = failure(&path);
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("another program"), "{error}");
}

#[test]
fn a_file_of_another_version_is_refused_with_both_versions() {
    let (_folder, path) = new_file();
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = failure(&path);
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("update fastq") && error.to_string().contains("found: 99"), "{error}");
}

#[test]
fn a_damaged_file_is_said_to_be_damaged() {
    let (_folder, path) = new_file();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xA5);
    fs::write(&path, bytes).unwrap();
    let error = failure(&path);
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_folder_that_is_missing_or_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = failure(&folder.path().join("missing/queue.db"));
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("missing"), "{error}");
    #[cfg(target_os = "linux")]
    {
        // Nobody can make a file there, not even root.
        let error = failure(Path::new("/sys/queue.db"));
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains("/sys/queue.db"), "{error}");
    }
}

#[test]
fn a_session_on_a_bad_file_fails_with_the_same_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "x".repeat(5000)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let broker = at(&path);
    let begun = runtime.block_on(broker.subscribe(crate::support::subscription(&["q"])));
    assert_eq!(begun.err().unwrap().kind(), ErrorKind::Config);
}

#[test]
fn everything_is_private_to_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".fastq/queue.db");
    let broker = at(&path);
    broker.publish(&[to("q", "1")]).unwrap();
    let run_directory = broker.run_directory().unwrap().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
    assert_eq!((mode(path.parent().unwrap()), mode(&run_directory)), (0o700, 0o700));
    assert_eq!(run_directory, path.with_file_name("queue.db.fq"));
}

#[test]
fn a_locked_file_ends_publishing_in_time_and_nothing_is_sent() {
    let (_folder, path) = new_file();
    let locker = rusqlite::Connection::open(&path).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let config =
        SqliteConfig { publish_timeout: Duration::from_millis(50), ..SqliteConfig::at(&path).unwrap() };
    let broker = SqliteBroker::new(config, Clock::system());
    let error = broker.publish(&[to("q", "2")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_temporary() && error.to_string().contains("publish: "), "{error}");
    locker.execute_batch("ROLLBACK").unwrap();
    broker.publish(&[to("q", "3")]).unwrap();
    assert_eq!(broker.depths().unwrap()[0].ready, 2);
}

#[test]
fn a_file_that_was_removed_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let broker = at(&path);
    broker.publish(&[to("q", "1")]).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path.display()));
    }
    until("messages go into a new file", || {
        broker.publish(&[to("q", "2")]).unwrap();
        path.exists()
    });
    assert!(broker.depths().unwrap()[0].ready >= 1);
}
