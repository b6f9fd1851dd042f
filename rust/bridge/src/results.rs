//! Results: a client's view of a native result store.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastq_core::broker::connect_store;
use fastq_core::error::Result;
use fastq_core::store::{self, Chords, Record, Store};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::{optional_duration, timeout as until, tuple};
use crate::runtime::{Slice, enter, enter_waiting};
use crate::seam::{part, read_all, read_new_chord, read_record, record};
use crate::watch::Watch;

/// A client's view of a native result store. Thread-safe; fork-safe; connects on first use.
#[pyclass(frozen, module = "fastq._core")]
pub(crate) struct Results {
    url: String,
    options: String,
    /// Set on first use, by whichever thread was first.
    store: OnceLock<Arc<dyn Store>>,
}

#[expect(clippy::needless_pass_by_value, reason = "lists from Python arrive as vectors of their own")]
#[pymethods]
impl Results {
    #[new]
    #[pyo3(signature = (url, options = "{}"))]
    fn new(url: &str, options: &str) -> Self {
        Self { url: url.to_owned(), options: options.to_owned(), store: OnceLock::new() }
    }

    #[pyo3(signature = (records, expires))]
    fn save(&self, py: Python<'_>, records: &Bound<'_, PyAny>, expires: Option<f64>) -> PyResult<()> {
        let records = tuple(records, "records")?;
        let records: Vec<Record> =
            read_all(&records, |item| read_record(item).map(|record| record.to_record()))?;
        let expires = optional_duration(py, "expires", expires)?;
        enter(py, || self.store()?.save(&records, expires))
    }

    fn load<'py>(&self, py: Python<'py>, task_ids: Vec<String>) -> PyResult<Vec<Option<Bound<'py, PyAny>>>> {
        let records = enter(py, || self.store()?.load(&task_ids))?;
        records.iter().map(|found| found.as_ref().map(|found| record(py, found)).transpose()).collect()
    }

    fn forget(&self, py: Python<'_>, task_ids: Vec<String>) -> PyResult<()> {
        enter(py, || self.store()?.forget(&task_ids))
    }

    #[pyo3(signature = (task_ids, timeout))]
    fn wait<'py>(
        &self,
        py: Python<'py>,
        task_ids: Vec<String>,
        timeout: Option<f64>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut wait = Wait { results: self, task_ids: &task_ids, watch: None };
        let found = enter_waiting(py, until(timeout), |slice| {
            let records = wait.go_on(slice)?;
            Ok(if records.is_empty() { Slice::NotYet } else { Slice::Got(records) })
        })?;
        // What the server said meanwhile could be waited for; what it says now is the answer.
        let found = found.map_or_else(|| enter(py, || wait.look()), Ok)?;
        found.iter().map(|found| record(py, found)).collect()
    }

    fn watch(&self, py: Python<'_>) -> PyResult<Watch> {
        enter(py, || Arc::clone(self.store()?).watch()).map(Watch::new)
    }

    fn begin_chord(&self, py: Python<'_>, chord: &Bound<'_, PyAny>, expires: Option<f64>) -> PyResult<()> {
        let chords = Chords { begun: vec![read_new_chord(chord)?], ..Chords::default() };
        let expires = optional_duration(py, "expires", expires)?;
        enter(py, || self.store()?.count(&chords, expires)).map(drop)
    }

    fn grow_chord(&self, py: Python<'_>, group_id: &str, by: u32) -> PyResult<()> {
        enter(py, || self.store()?.grow(group_id, by))
    }

    fn chord<'py>(&self, py: Python<'py>, group_id: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(chord) = enter(py, || self.store()?.chord(group_id))? else { return Ok(None) };
        let found = PyDict::new(py);
        found.set_item("size", chord.size)?;
        found.set_item("count", chord.count)?;
        found.set_item("body", PyBytes::new(py, &chord.body))?;
        found.set_item("state", chord.state.name())?;
        found.set_item("progress_at", chord.progress_at.seconds())?;
        Ok(Some(found))
    }

    fn chord_parts<'py>(&self, py: Python<'py>, group_id: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let parts = enter(py, || self.store()?.parts(group_id))?;
        parts.iter().map(|found| part(py, found)).collect()
    }

    fn save_group(
        &self,
        py: Python<'_>,
        group_id: &str,
        document: &[u8],
        expires: Option<f64>,
    ) -> PyResult<()> {
        let expires = optional_duration(py, "expires", expires)?;
        enter(py, || self.store()?.save_group(group_id, document, expires))
    }

    fn load_group<'py>(&self, py: Python<'py>, group_id: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = enter(py, || self.store()?.load_group(group_id))?;
        Ok(found.map(|document| PyBytes::new(py, &document)))
    }

    fn forget_group(&self, py: Python<'_>, group_id: &str) -> PyResult<()> {
        enter(py, || self.store()?.forget_group(group_id))
    }

    fn clean(&self, py: Python<'_>) -> PyResult<u64> {
        enter(py, || self.store()?.clean())
    }

    fn close(&self, py: Python<'_>) {
        if let Some(store) = self.store.get() {
            py.detach(|| store.close());
        }
    }
}

/// One wait for tasks of which one must end. However often it is interrupted, it is the same wait to the store, which
/// outlasts outages that a look does not.
struct Wait<'a> {
    results: &'a Results,
    task_ids: &'a [String],
    watch: Option<Box<dyn store::Watch>>,
}

impl Wait<'_> {
    /// What has ended by the end of a slice. Most results that are asked for late are there already.
    fn go_on(&mut self, slice: Duration) -> Result<Vec<Record>> {
        if let Some(watch) = &self.watch {
            return watch.next(slice);
        }
        match self.look() {
            Ok(records) if records.is_empty() => {}
            Err(error) if error.is_temporary() => {}
            ended => return ended,
        }
        if slice.is_zero() || self.task_ids.is_empty() {
            return Ok(Vec::new());
        }
        let watch = Arc::clone(self.results.store()?).watch()?;
        watch.add(self.task_ids);
        self.watch.insert(watch).next(slice)
    }

    fn look(&self) -> Result<Vec<Record>> {
        self.results.store()?.wait(self.task_ids, Duration::ZERO)
    }
}

impl Results {
    /// The store, connected; see `Producer::broker` for why nothing is locked.
    fn store(&self) -> Result<&Arc<dyn Store>> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let connected = connect_store(&self.url, &self.options)?;
        Ok(self.store.get_or_init(|| connected))
    }
}
