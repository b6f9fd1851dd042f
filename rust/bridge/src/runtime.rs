//! The way from Python into the core and back: release the interpreter, wait, run signal handlers, map errors.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fastq_core::error::{Error, ErrorKind, Result};
use pyo3::prelude::*;

use crate::errors::OrRaise;

/// The longest wait without a look at Python's signals. A signal that comes between the look and the wait is late by
/// so much; all others end the wait.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// Calls the core with the interpreter released.
pub(crate) fn enter<T: Send>(py: Python<'_>, call: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(call).or_raise(py)
}

/// What one slice of a wait brought.
pub(crate) enum Slice<T> {
    /// What was waited for.
    Got(T),
    /// Nothing yet: the slice is over, or a signal came.
    NotYet,
}

/// Waits in slices until `wait` gets something or `timeout` is over; between them signal handlers run.
pub(crate) fn enter_waiting<T: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    mut wait: impl FnMut(Duration) -> Result<Slice<T>> + Send,
) -> PyResult<Option<T>> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        if let Slice::Got(value) = enter(py, || wait(slice))? {
            return Ok(Some(value));
        }
        py.check_signals()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
    }
}

/// How often this process and those before it have forked, counted by the children.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// To be called in the child after a fork.
pub(crate) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process in which something was made that does not survive a fork.
#[derive(Clone, Copy)]
pub(crate) struct Home {
    process: u32,
    forks: u32,
}

impl Home {
    /// This process.
    pub(crate) fn here() -> Self {
        Self { process: process::id(), forks: FORKS.load(Ordering::Relaxed) }
    }

    /// Whether this process is still the one it was made in. Cheap: no system call.
    pub(crate) fn is_here(self) -> bool {
        self.forks == FORKS.load(Ordering::Relaxed)
    }

    /// The error of whoever uses `what` in a fork of its process.
    pub(crate) fn check(self, what: &str) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        let error = Error::new(
            ErrorKind::Forked,
            format!("a {what} cannot be used in a process forked from its own"),
        );
        Err(error.with("made in process", self.process).with("used in process", process::id()))
    }
}
