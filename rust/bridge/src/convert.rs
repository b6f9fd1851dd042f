//! Values of Python as values of the core, and back.

use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use fastq_core::error::{Error, ErrorKind};
use fastq_core::event::Value;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PySequence, PyTuple};

use crate::errors::{raise, wrong_type};

/// `seconds` as a duration; `name` is what it is called in the error.
pub(crate) fn duration(py: Python<'_>, name: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let error =
            Error::new(ErrorKind::Config, format!("{name} must be a number of seconds, zero or more"));
        raise(py, &error.with("value", seconds))
    })
}

/// As [`duration`], where None is none.
pub(crate) fn optional_duration(
    py: Python<'_>,
    name: &str,
    seconds: Option<f64>,
) -> PyResult<Option<Duration>> {
    seconds.map(|seconds| duration(py, name, seconds)).transpose()
}

/// How long to wait: None is for ever, and what lies in the past is now.
pub(crate) fn timeout(seconds: Option<f64>) -> Option<Duration> {
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok())
}

/// A sequence as a tuple, whose items can be borrowed; a tuple is taken as it is.
pub(crate) fn tuple<'py>(value: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyTuple>> {
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return Ok(tuple.clone());
    }
    value.cast::<PySequence>().map_err(|_| wrong_type(name, "a sequence"))?.to_tuple()
}

/// A fact of an Event as a Python object.
pub(crate) fn fact<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Text(text) => text.into_pyobject(py)?.into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Float(number) => number.into_pyobject(py)?.into_any(),
        Value::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
    })
}

/// Takes over a descriptor that Python gave away, and keeps it from programs that user code may start.
pub(crate) fn descriptor(py: Python<'_>, name: &str, number: i32) -> PyResult<OwnedFd> {
    let unusable = |error: Error| raise(py, &error.with("descriptor", number));
    if number < 0 {
        return Err(unusable(Error::new(ErrorKind::Config, format!("{name} is no descriptor"))));
    }
    // SAFETY: the stub says that the call takes ownership: the caller gives the number away and uses it no more.
    // A number that is not open is closed by nobody else, and the call below refuses it.
    #[expect(unsafe_code, reason = "a number from Python becomes an owned descriptor")]
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC) {
        Ok(()) => Ok(descriptor),
        Err(errno) => {
            // Not ours to close: it was not open.
            std::mem::forget(descriptor);
            Err(unusable(Error::new(ErrorKind::Config, format!("{name} is not open")).because(errno)))
        }
    }
}
