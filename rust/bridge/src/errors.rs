//! One match maps the core's error kinds to the exceptions written in `fastq.exceptions`.

use fastq_core::error::{Error, ErrorKind};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The exception for `error`, whose only argument is the error as one line.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let message = error.to_string();
    match exception_class(py, error.kind()) {
        Ok(class) => PyErr::from_type(class, message),
        // `fastq.exceptions` cannot be imported: that is a broken installation, and more than the error itself.
        Err(import) => import,
    }
}

/// The core's result as Python's.
pub(crate) trait OrRaise<T> {
    /// Maps the error to its exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}

/// The exception for a value that is not what the stub says.
pub(crate) fn wrong_type(what: &str, expected: &str) -> PyErr {
    PyTypeError::new_err(format!("{what} must be {expected}"))
}

macro_rules! exception {
    ($py:expr, $name:literal) => {{
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import($py, "fastq.exceptions", $name).cloned()
    }};
}

fn exception_class(py: Python<'_>, kind: ErrorKind) -> PyResult<Bound<'_, PyType>> {
    match kind {
        ErrorKind::Unreachable | ErrorKind::Busy => exception!(py, "OperationalError"),
        ErrorKind::Timeout => exception!(py, "TimeoutError"),
        ErrorKind::Denied => exception!(py, "AccessRefused"),
        ErrorKind::NotFound => exception!(py, "QueueNotFound"),
        ErrorKind::Mismatch => exception!(py, "PreconditionFailed"),
        ErrorKind::Config => exception!(py, "ImproperlyConfigured"),
        ErrorKind::Encode => exception!(py, "EncodeError"),
        ErrorKind::Decode => exception!(py, "DecodeError"),
        ErrorKind::Disallowed => exception!(py, "ContentDisallowed"),
        ErrorKind::Closed => exception!(py, "ConnectionClosed"),
        ErrorKind::Forked => Ok(py.get_type::<PyRuntimeError>()),
        ErrorKind::Unsupported => exception!(py, "NotSupported"),
        ErrorKind::Unexpected => exception!(py, "FastQError"),
    }
}
