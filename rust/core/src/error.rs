//! One error type: a kind, whether it passes by itself, what was being done, and to what.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The bridge maps each kind to one Python exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Refused, reset, name not found, file gone.
    Unreachable,
    /// No answer within the limit.
    Timeout,
    /// The server or file is there and cannot serve now: `SQLITE_BUSY`, disk full, Redis `LOADING`.
    Busy,
    /// Login, access rights, read-only file.
    Denied,
    /// A queue or record that must exist does not.
    NotFound,
    /// It exists with other properties than asked for.
    Mismatch,
    /// A URL or setting that cannot work.
    Config,
    /// Something that cannot be written in the wire's form.
    Encode,
    /// Bytes that are not what they should be.
    Decode,
    /// A content type that is not accepted.
    Disallowed,
    /// Used after close, or with a receipt of a connection that is gone.
    Closed,
    /// Used in a process forked from the one that made it.
    Forked,
    /// This broker cannot do that.
    Unsupported,
    /// A bug in fastq.
    Unexpected,
}

/// Whether trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Trying again later may succeed.
    Temporary,
    /// Trying again gives the same answer.
    Permanent,
}

impl ErrorKind {
    /// The status errors of this kind have unless told otherwise.
    pub const fn status(self) -> Status {
        match self {
            Self::Unreachable | Self::Timeout | Self::Busy => Status::Temporary,
            _ => Status::Permanent,
        }
    }
}

/// An error with what a reader of the log needs: kind, operation, context, source.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    status: Status,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`, said in one sentence a user can act on.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            status: kind.status(),
            operation: "",
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Names what was being done, such as `"publish"`.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        self.0.operation = operation;
        self
    }

    /// Adds one fact, such as the queue's name. Secrets must be hidden by the caller.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Overrides the status that the kind implies.
    #[must_use]
    pub fn permanent(mut self) -> Self {
        self.0.status = Status::Permanent;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        self.0.status == Status::Temporary
    }

    /// The facts added by [`Error::with`].
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        if !inner.operation.is_empty() {
            write!(f, "{}: ", inner.operation)?;
        }
        f.write_str(&inner.message)?;
        for (position, (key, value)) in inner.context.iter().enumerate() {
            write!(f, "{}{key}: {value}", if position == 0 { " (" } else { ", " })?;
        }
        if !inner.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(source) = &inner.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_line_with_its_context_and_cause() {
        let error = Error::new(ErrorKind::Busy, "the database is locked")
            .during("publish")
            .with("queue", "celery")
            .because(std::io::Error::other("SQLITE_BUSY"));
        assert_eq!(error.to_string(), "publish: the database is locked (queue: celery): SQLITE_BUSY");
        assert!(error.is_temporary());
        assert!(!error.permanent().is_temporary());
    }
}
