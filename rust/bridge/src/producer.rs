//! Producer: a client's connection to one broker.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastq_core::broker::{
    self, Broker, DeadLetter, Depth, Duplicate, PriorityOrder, Publication, WorkerEntry,
};
use fastq_core::error::Result;
use fastq_core::job::revocation::Revocation;
use fastq_core::message::bounds::Lock;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::{duration, timeout as until, tuple};
use crate::runtime::enter;
use crate::seam::{QueueSpec, queues, read_all, read_message, read_route};

/// A client's connection to one broker. Thread-safe; fork-safe; connects on first use.
#[pyclass(frozen, weakref, module = "fastq._core")]
pub(crate) struct Producer {
    url: String,
    options: String,
    /// Set on first use, by whichever thread was first.
    broker: OnceLock<Arc<dyn Broker>>,
}

#[expect(clippy::needless_pass_by_value, reason = "lists from Python arrive as vectors of their own")]
#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (url, options = "{}"))]
    fn new(url: &str, options: &str) -> Self {
        Self { url: url.to_owned(), options: options.to_owned(), broker: OnceLock::new() }
    }

    fn declare(&self, py: Python<'_>, queues: Vec<QueueSpec>) -> PyResult<()> {
        let queues = self::queues(queues);
        enter(py, || self.broker()?.declare(&queues))
    }

    #[pyo3(signature = (route, headers, properties, body, timeout = None))]
    fn publish(
        &self,
        py: Python<'_>,
        route: &Bound<'_, PyAny>,
        headers: &[u8],
        properties: &[u8],
        body: &[u8],
        timeout: Option<f64>,
    ) -> PyResult<Option<String>> {
        let publication = read_route(route, headers, properties, body)?.to_publication();
        let duplicates = enter(py, || self.send_later(&publication, until(timeout)))?;
        Ok(duplicates.into_iter().next().map(|duplicate| duplicate.holder))
    }

    #[pyo3(signature = (messages, timeout = None, together = true))]
    fn publish_many(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        together: bool,
    ) -> PyResult<Vec<(usize, String)>> {
        let messages = tuple(messages, "messages")?;
        let publications: Vec<Publication> =
            read_all(&messages, |message| read_message(message).map(|message| message.to_publication()))?;
        let duplicates = enter(py, || self.send(&publications, together, until(timeout)))?;
        Ok(duplicates.into_iter().map(|duplicate| (duplicate.place, duplicate.holder)).collect())
    }

    fn purge(&self, py: Python<'_>, queue: &str) -> PyResult<u64> {
        enter(py, || self.broker()?.purge(queue))
    }

    fn depths<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let depths = enter(py, || self.broker()?.depths())?;
        depths.iter().map(|depth| depth_entry(py, depth)).collect()
    }

    #[pyo3(signature = (queue, limit))]
    fn dead_letters<'py>(
        &self,
        py: Python<'py>,
        queue: Option<&str>,
        limit: usize,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let letters = enter(py, || self.broker()?.dead_letters(queue, limit))?;
        letters.iter().map(|letter| dead_letter_entry(py, letter)).collect()
    }

    #[pyo3(signature = (queue, ids))]
    fn requeue_dead(&self, py: Python<'_>, queue: Option<&str>, ids: Vec<String>) -> PyResult<u64> {
        enter(py, || self.broker()?.requeue_dead(queue, &ids))
    }

    #[pyo3(signature = (queue, ids))]
    fn drop_dead(&self, py: Python<'_>, queue: Option<&str>, ids: Vec<String>) -> PyResult<u64> {
        enter(py, || self.broker()?.drop_dead(queue, &ids))
    }

    fn revoke(&self, py: Python<'_>, revocations: &[u8], expires: f64) -> PyResult<()> {
        let expires = duration(py, "expires", expires)?;
        enter(py, || {
            let broker = self.broker()?;
            broker.revoke(&Revocation::list(revocations, broker.now().after(expires))?)
        })
    }

    fn revoked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let revoked = enter(py, || self.broker()?.revoked())?;
        Ok(PyBytes::new(py, Revocation::write(&revoked).as_bytes()))
    }

    fn workers<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let workers = enter(py, || self.broker()?.workers())?;
        workers.iter().map(|worker| worker_entry(py, worker)).collect()
    }

    fn holds(&self, py: Python<'_>, text: &str) -> PyResult<bool> {
        enter(py, || self.broker()?.holds(text))
    }

    fn capabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (can, native_store) = enter(py, || {
            let broker = self.broker()?;
            Ok((broker.capabilities(), broker.store().is_some()))
        })?;
        let entry = PyDict::new(py);
        entry.set_item("durable", can.durable)?;
        entry.set_item("shared", can.shared)?;
        entry.set_item("transactional", can.transactional)?;
        entry.set_item("delay", can.delay)?;
        let priority = match can.priority {
            PriorityOrder::None => "none",
            PriorityOrder::HighestFirst => "highest-first",
            PriorityOrder::LowestFirst => "lowest-first",
        };
        entry.set_item("priority", priority)?;
        entry.set_item("exchanges", can.exchanges)?;
        entry.set_item("dead_letters", can.dead_letters)?;
        entry.set_item("leases", can.leases)?;
        entry.set_item("limits", can.limits)?;
        entry.set_item("revocations", can.revocations)?;
        entry.set_item("mailbox", can.mailbox)?;
        entry.set_item("channels", can.channels)?;
        entry.set_item("sees_workers", can.sees_workers)?;
        entry.set_item("native_store", native_store)?;
        Ok(entry)
    }

    #[pyo3(signature = (timeout = None))]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        // One that has never connected has sent nothing.
        self.broker.get().map_or(Ok(()), |broker| enter(py, || broker.flush(until(timeout))))
    }

    fn close(&self, py: Python<'_>) {
        if let Some(broker) = self.broker.get() {
            py.detach(|| broker.close());
        }
    }
}

impl Producer {
    fn send_later(&self, publication: &Publication, within: Option<Duration>) -> Result<Vec<Duplicate>> {
        if Lock::wanted(&publication.message.headers)?.is_some() {
            return self.send(std::slice::from_ref(publication), true, within);
        }
        publication.message.check_size()?;
        self.broker()?.publish_later(publication, within)?;
        Ok(Vec::new())
    }

    fn send(
        &self,
        publications: &[Publication],
        together: bool,
        within: Option<Duration>,
    ) -> Result<Vec<Duplicate>> {
        publications.iter().try_for_each(|publication| publication.message.check_size())?;
        let broker = self.broker()?;
        for publication in publications {
            if Lock::wanted(&publication.message.headers)?.is_some() {
                return broker.publish_locking(publications, together, within);
            }
        }
        broker.publish_within(publications, within)?;
        Ok(Vec::new())
    }

    /// The broker, connected. Nothing is locked meanwhile, so that a fork in another thread cannot leave a lock
    /// behind; of two threads that come first together one throws its connection away.
    fn broker(&self) -> Result<&Arc<dyn Broker>> {
        if let Some(broker) = self.broker.get() {
            return Ok(broker);
        }
        let connected = broker::connect(&self.url, &self.options)?;
        Ok(self.broker.get_or_init(|| connected))
    }
}

fn depth_entry<'py>(py: Python<'py>, depth: &Depth) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("queue", &depth.queue)?;
    entry.set_item("ready", depth.ready)?;
    entry.set_item("in_flight", depth.in_flight)?;
    entry.set_item("delayed", depth.delayed)?;
    entry.set_item("dead", depth.dead)?;
    Ok(entry)
}

fn dead_letter_entry<'py>(py: Python<'py>, letter: &DeadLetter) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("id", &letter.id)?;
    entry.set_item("task_id", &letter.task_id)?;
    entry.set_item("task_name", &letter.task_name)?;
    entry.set_item("queue", &letter.queue)?;
    entry.set_item("reason", &letter.reason)?;
    entry.set_item("buried_at", letter.buried_at.seconds())?;
    entry.set_item("deaths", letter.deaths)?;
    entry.set_item("headers", PyBytes::new(py, &letter.message.headers))?;
    entry.set_item("properties", PyBytes::new(py, &letter.message.properties))?;
    entry.set_item("body", PyBytes::new(py, &letter.message.body))?;
    Ok(entry)
}

fn worker_entry<'py>(py: Python<'py>, worker: &WorkerEntry) -> PyResult<Bound<'py, PyDict>> {
    let entry = PyDict::new(py);
    entry.set_item("node", &worker.node)?;
    entry.set_item("pid", worker.pid)?;
    entry.set_item("host", &worker.host)?;
    entry.set_item("started_at", worker.started_at.seconds())?;
    entry.set_item("lease_until", worker.lease_until.seconds())?;
    entry.set_item("in_flight", worker.in_flight)?;
    entry.set_item("queues", &worker.queues)?;
    Ok(entry)
}
