//! Watch: a client's wait for tasks that become more while it goes on.

use std::time::Duration;

use fastq_core::error::Result;
use fastq_core::store::{self, Record};
use pyo3::prelude::*;

use crate::convert::timeout as until;
use crate::runtime::{Home, enter};
use crate::seam::record;

/// What `Results.watch` returns. Thread-safe; it does not survive a fork.
#[pyclass(frozen, module = "fastq._core")]
pub(crate) struct Watch {
    watch: Box<dyn store::Watch>,
    home: Home,
}

#[expect(clippy::needless_pass_by_value, reason = "lists from Python arrive as vectors of their own")]
#[pymethods]
impl Watch {
    fn add(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        enter(py, || self.here().map(|watch| watch.add(&task_ids)))
    }

    fn remove(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        enter(py, || self.here().map(|watch| watch.remove(&task_ids)))
    }

    #[pyo3(signature = (timeout))]
    fn next<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let limit = until(timeout).unwrap_or(Duration::MAX);
        let records: Vec<Record> = enter(py, || self.here()?.next(limit))?;
        records.iter().map(|found| record(py, found)).collect()
    }

    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        enter(py, || self.here().map(store::Watch::interrupt))
    }
}

impl Watch {
    pub(crate) fn new(watch: Box<dyn store::Watch>) -> Self {
        Self { watch, home: Home::here() }
    }

    fn here(&self) -> Result<&dyn store::Watch> {
        self.home.check("watch")?;
        Ok(&*self.watch)
    }
}
