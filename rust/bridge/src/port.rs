//! Port and Job: the executor's end of a slot, and what it runs.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fastq_core::error::{Error, ErrorKind, Result};
use fastq_core::ident::SlotId;
use fastq_core::message::properties::{self, Properties};
use fastq_core::pool::frame::OutcomeRef;
use fastq_core::pool::page::Page;
use fastq_core::pool::port::{Gathered, Next, Port as CorePort, Run, Wish};
use pyo3::exceptions::PyEOFError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::{descriptor, timeout as until, tuple};
use crate::errors::{OrRaise, raise};
use crate::page;
use crate::runtime::{Home, Slice, enter, enter_waiting};
use crate::seam::{OutcomeParts, read_all, read_message, read_record};

/// The executor's end of a slot.
#[pyclass(frozen, module = "fastq._core")]
pub(crate) struct Port {
    inner: CorePort,
    home: Home,
    /// The worker's core is in this process.
    beside_core: bool,
}

impl Port {
    /// The port of a slot in the process of the worker's core.
    pub(crate) fn beside_core(socket: UnixStream, page: Arc<dyn Page>, slot: SlotId) -> Self {
        Self { inner: CorePort::new(socket, page, slot), home: Home::here(), beside_core: true }
    }

    /// The port, unless this is a fork of its process.
    fn here(&self, py: Python<'_>) -> PyResult<&CorePort> {
        self.home.check("Port").or_raise(py)?;
        Ok(&self.inner)
    }

    fn send_if(&self, py: Python<'_>, gathered: Gathered) -> PyResult<()> {
        match gathered {
            Gathered::Enough => enter(py, || self.inner.flush()),
            Gathered::ForLater => Ok(()),
        }
    }
}

/// Calls with the outcome that an `Outcome` of Python is.
pub(crate) fn with_outcome<T>(
    outcome: &Bound<'_, PyAny>,
    call: impl FnOnce(&OutcomeRef<'_>) -> PyResult<T>,
) -> PyResult<T> {
    let parts = OutcomeParts::read(outcome)?;
    let records = read_all(&parts.records, read_record)?;
    let publications = read_all(&parts.messages, read_message)?;
    call(&OutcomeRef {
        ending: parts.ending,
        records: &records,
        publications: &publications,
        chords: parts.chords.as_deref(),
        reason: parts.reason.extract()?,
    })
}

#[pymethods]
impl Port {
    #[staticmethod]
    fn from_fd(py: Python<'_>, fd: i32, page_fd: i32, slot: u32) -> PyResult<Self> {
        let socket = descriptor(py, "fd", fd)?;
        let page = page::open(descriptor(py, "page_fd", page_fd)?).or_raise(py)?;
        let inner = CorePort::new(socket.into(), page, SlotId(slot));
        Ok(Self { inner, home: Home::here(), beside_core: false })
    }

    #[pyo3(signature = (timeout = None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Job>> {
        let port = self.here(py)?;
        let next = enter_waiting(py, until(timeout), |slice| {
            Ok(match port.next(Some(slice))? {
                Next::Job(run) => Slice::Got(Some(run)),
                Next::Ended => Slice::Got(None),
                Next::Nothing | Next::Interrupted => Slice::NotYet,
            })
        })?;
        match next {
            Some(Some(run)) => Ok(Some(Job::of(run))),
            Some(None) => {
                if self.beside_core {
                    port.hang_up();
                }
                Err(PyEOFError::new_err("the worker has ended or retired this slot"))
            }
            None => Ok(None),
        }
    }

    #[getter]
    fn slot(&self) -> u32 {
        self.inner.slot().0
    }

    fn fileno(&self) -> i32 {
        self.inner.as_fd().as_raw_fd()
    }

    fn finish(&self, py: Python<'_>, job: &Bound<'_, Job>, outcome: &Bound<'_, PyAny>) -> PyResult<()> {
        let port = self.here(py)?;
        let gathered =
            with_outcome(outcome, |outcome| job.get().finish(|run| port.finish(run, outcome)).or_raise(py))?;
        self.send_if(py, gathered)
    }

    fn heed(&self, py: Python<'_>) -> PyResult<Vec<(u64, bool)>> {
        let port = self.here(py)?;
        let Some(wishes) = enter(py, || port.heed())? else {
            return Err(PyEOFError::new_err("the worker has ended"));
        };
        Ok(wishes
            .into_iter()
            .map(|wish| match wish {
                Wish::Interrupt(tag) => (tag.0, false),
                Wish::Cancel(tag) => (tag.0, true),
            })
            .collect())
    }

    fn is_ending(&self) -> bool {
        self.inner.is_ending()
    }

    fn let_go(&self, py: Python<'_>, job: &Bound<'_, Job>) -> PyResult<()> {
        let port = self.here(py)?;
        let job = job.get();
        enter(py, || job.finish(|run| port.let_go(run)))
    }

    fn store(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<()> {
        let records = tuple(records, "records")?;
        let gathered = self.here(py)?.store(&read_all(&records, read_record)?).or_raise(py)?;
        self.send_if(py, gathered)
    }

    fn retire_soon(&self, py: Python<'_>) -> PyResult<()> {
        let port = self.here(py)?;
        enter(py, || port.retire_soon())
    }

    fn retire(&self, py: Python<'_>) -> PyResult<()> {
        let port = self.here(py)?;
        enter(py, || port.retire())
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let port = self.here(py)?;
        enter(py, || port.flush())
    }
}

/// One run to make. Strings and bytes are made from the frame when they are asked for.
#[pyclass(frozen, module = "fastq._core")]
pub(crate) struct Job {
    run: Run,
    /// Set by the first `Port.finish`: a job ends once.
    finished: AtomicBool,
}

impl Job {
    /// A job that has started.
    pub(crate) fn of(run: Run) -> Self {
        Self { run, finished: AtomicBool::new(false) }
    }

    /// Hands over how it ended, once.
    pub(crate) fn finish<T>(&self, hand_over: impl FnOnce(&Run) -> Result<T>) -> Result<T> {
        if self.finished.swap(true, Ordering::AcqRel) {
            let error = Error::new(ErrorKind::Unexpected, "a job was finished twice");
            return Err(error.with("id", self.run.job.id()).with("name", self.run.job.name()));
        }
        // What could not be handed over has not ended: the executor may end it in another way.
        hand_over(&self.run).inspect_err(|_| self.finished.store(false, Ordering::Release))
    }
}

#[pymethods]
impl Job {
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.run.job.id())
    }

    #[getter]
    fn tag(&self) -> u64 {
        self.run.job.tag.0
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.run.job.name())
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.run.job.body())
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.run.job.headers())
    }

    #[getter]
    fn properties<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.run.job.properties())
    }

    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let properties = self.run.job.properties();
        if properties::is_json(properties) {
            return Ok(intern!(py, "application/json").clone());
        }
        let properties = Properties::parse(properties).map_err(|error| raise(py, &error))?;
        Ok(PyString::new(py, properties.content_type.as_deref().unwrap_or_default()))
    }

    #[getter]
    fn queue<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.run.job.queue())
    }

    #[getter]
    fn exchange<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.run.job.exchange())
    }

    #[getter]
    fn routing_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, self.run.job.routing_key())
    }

    #[getter]
    fn priority(&self) -> Option<u8> {
        self.run.job.priority
    }

    #[getter]
    fn redelivered(&self) -> bool {
        self.run.job.redelivered()
    }

    #[getter]
    fn deaths(&self) -> u32 {
        self.run.job.deaths
    }

    #[getter]
    fn ignore_result(&self) -> bool {
        self.run.job.ignores_result()
    }

    #[getter]
    fn has_family(&self) -> bool {
        self.run.job.has_family()
    }

    #[getter]
    fn time_limits(&self) -> (Option<f64>, Option<f64>) {
        let job = &self.run.job;
        (job.hard_limit.map(|limit| limit.as_secs_f64()), job.soft_limit.map(|limit| limit.as_secs_f64()))
    }

    fn __repr__(&self) -> String {
        format!("<Job {} {}>", self.run.job.name(), self.run.job.id())
    }
}
