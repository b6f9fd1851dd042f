//! Twins of `python/fastq/_seam.py`. Settings are read by name, once; what crosses per message is a NamedTuple and is
//! read by position.

use fastq_core::broker::Queue;
use fastq_core::clock::WallTime;
use fastq_core::event::Event;
use fastq_core::job::ending::Ending;
use fastq_core::job::policy::Policy;
use fastq_core::pool::frame::{PublicationRef, RecordRef};
use fastq_core::store::{Chords, NewChord, Part, Record};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::convert::{fact, optional_duration, tuple};
use crate::errors::wrong_type;

/// `QueueSpec`.
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own in AMQP")]
#[derive(FromPyObject)]
pub(crate) struct QueueSpec {
    name: String,
    exchange: String,
    exchange_type: String,
    routing_key: String,
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    no_declare: bool,
    arguments: String,
    exchange_durable: bool,
    exchange_auto_delete: bool,
    exchange_no_declare: bool,
    exchange_arguments: String,
    binding_arguments: String,
    consumer_arguments: String,
}

impl From<QueueSpec> for Queue {
    fn from(spec: QueueSpec) -> Self {
        Self {
            name: spec.name,
            exchange: spec.exchange,
            exchange_type: spec.exchange_type,
            routing_key: spec.routing_key,
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            exclusive: spec.exclusive,
            no_declare: spec.no_declare,
            arguments: spec.arguments,
            exchange_durable: spec.exchange_durable,
            exchange_auto_delete: spec.exchange_auto_delete,
            exchange_no_declare: spec.exchange_no_declare,
            exchange_arguments: spec.exchange_arguments,
            binding_arguments: spec.binding_arguments,
            consumer_arguments: spec.consumer_arguments,
        }
    }
}

/// Queues from `QueueSpec`s.
pub(crate) fn queues(specs: Vec<QueueSpec>) -> Vec<Queue> {
    specs.into_iter().map(Queue::from).collect()
}

/// `Policy`.
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, with Celery's name")]
#[derive(FromPyObject)]
pub(crate) struct PolicySpec {
    name: String,
    acks_late: bool,
    acks_on_failure: bool,
    acks_on_timeout: bool,
    reject_on_worker_lost: bool,
    max_deaths: u32,
    ignore_result: bool,
    store_errors_even_if_ignored: bool,
    time_limit: Option<f64>,
    soft_time_limit: Option<f64>,
    rate_limit: Option<f64>,
    rate_is_global: bool,
    max_concurrency: Option<u32>,
    retries_when_lost: Option<u32>,
    results_elsewhere: bool,
}

impl PolicySpec {
    /// The core's twin.
    pub(crate) fn policy(self, py: Python<'_>) -> PyResult<Policy> {
        Ok(Policy {
            name: self.name,
            acks_late: self.acks_late,
            acks_on_failure: self.acks_on_failure,
            acks_on_timeout: self.acks_on_timeout,
            reject_on_worker_lost: self.reject_on_worker_lost,
            max_deaths: self.max_deaths,
            ignore_result: self.ignore_result,
            store_errors_even_if_ignored: self.store_errors_even_if_ignored,
            time_limit: optional_duration(py, "time_limit", self.time_limit)?,
            soft_time_limit: optional_duration(py, "soft_time_limit", self.soft_time_limit)?,
            rate_limit: self.rate_limit.filter(|rate| *rate > 0.0),
            rate_is_global: self.rate_is_global,
            max_concurrency: self.max_concurrency,
            retries_when_lost: self.retries_when_lost,
            results_elsewhere: self.results_elsewhere,
        })
    }
}

/// `WorkerConfig`.
#[derive(FromPyObject)]
pub(crate) struct ConfigSpec {
    pub(crate) node: String,
    pub(crate) broker_url: String,
    pub(crate) queues: Vec<QueueSpec>,
    pub(crate) broker_options: String,
    pub(crate) store_url: Option<String>,
    pub(crate) store_options: String,
    pub(crate) children: u32,
    pub(crate) most_children: u32,
    pub(crate) permits: Option<u32>,
    pub(crate) nursery_fd: Option<i32>,
    pub(crate) prefetch_multiplier: Option<u32>,
    pub(crate) lease: f64,
    pub(crate) max_deaths: u32,
    pub(crate) result_expires: Option<f64>,
    pub(crate) chord_expires: Option<f64>,
    pub(crate) internal_queue: String,
    pub(crate) chord_patience: Option<f64>,
    pub(crate) stop_within: Option<f64>,
    pub(crate) soft_stop_within: f64,
    pub(crate) ends_lost_runs: bool,
    pub(crate) gives_up_slots: bool,
    pub(crate) mailbox: Option<String>,
    pub(crate) revoke_expires: f64,
    pub(crate) eta_limit: Option<u32>,
}

/// The parts of a NamedTuple, borrowed.
struct Parts<'a, 'py> {
    tuple: &'a Bound<'py, PyTuple>,
    what: &'static str,
}

impl<'a, 'py> Parts<'a, 'py> {
    fn of(value: &'a Bound<'py, PyAny>, what: &'static str, length: usize) -> PyResult<Self> {
        let tuple = value.cast::<PyTuple>().map_err(|_| wrong_type("argument", what))?;
        if tuple.len() != length {
            return Err(wrong_type("argument", what));
        }
        Ok(Self { tuple, what })
    }

    /// Part `index`, as whatever Rust type the caller needs.
    fn part<T: FromPyObject<'a, 'py>>(&self, index: usize) -> PyResult<T> {
        self.tuple.as_slice()[index].extract().map_err(|error: T::Error| {
            let cause = error.into();
            let error = wrong_type(&format!("{} field {index}", self.what), "of the type its stub says");
            error.set_cause(self.tuple.py(), Some(cause));
            error
        })
    }

    fn item(&self, index: usize) -> &'a Bound<'py, PyAny> {
        &self.tuple.as_slice()[index]
    }
}

/// Reads a `Route` with the parts of its message.
///
/// The core takes copies of them, although Python's bytes could be shared: it may drop a message on a thread of its
/// own, and such a thread must not touch a Python object.
pub(crate) fn read_route<'a>(
    route: &'a Bound<'_, PyAny>,
    headers: &'a [u8],
    properties: &'a [u8],
    body: &'a [u8],
) -> PyResult<PublicationRef<'a>> {
    let parts = Parts::of(route, "a Route", 4)?;
    Ok(PublicationRef {
        exchange: parts.part(0)?,
        routing_key: parts.part(1)?,
        priority: parts.part(2)?,
        due: parts.part::<Option<f64>>(3)?.map(WallTime::from_seconds),
        headers,
        properties,
        body,
    })
}

/// Reads `(Route, headers, properties, body)`, which is also an `OutgoingMessage`.
pub(crate) fn read_message<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<PublicationRef<'a>> {
    let parts = Parts::of(value, "an OutgoingMessage", 4)?;
    read_route(parts.item(0), parts.part(1)?, parts.part(2)?, parts.part(3)?)
}

/// Reads a `Record`.
pub(crate) fn read_record<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<RecordRef<'a>> {
    let parts = Parts::of(value, "a Record", 4)?;
    Ok(RecordRef {
        task_id: parts.part(0)?,
        state: parts.part(1)?,
        content_type: parts.part(2)?,
        body: parts.part(3)?,
    })
}

/// Reads the items of a tuple.
pub(crate) fn read_all<'a, 'py, T>(
    items: &'a Bound<'py, PyTuple>,
    read: impl Fn(&'a Bound<'py, PyAny>) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    items.as_slice().iter().map(read).collect()
}

/// Reads a `Part`.
fn read_part(value: &Bound<'_, PyAny>) -> PyResult<Part> {
    let parts = Parts::of(value, "a Part", 6)?;
    Ok(Part {
        group_id: parts.part(0)?,
        task_id: parts.part(1)?,
        place: parts.part(2)?,
        state: parts.part(3)?,
        body: parts.part::<&[u8]>(4)?.to_vec(),
        callback: parts.part::<&[u8]>(5)?.to_vec(),
    })
}

/// Reads a `NewChord`.
pub(crate) fn read_new_chord(value: &Bound<'_, PyAny>) -> PyResult<NewChord> {
    let parts = Parts::of(value, "a NewChord", 3)?;
    Ok(NewChord { group_id: parts.part(0)?, size: parts.part(1)?, body: parts.part::<&[u8]>(2)?.to_vec() })
}

/// Reads what an `Outcome` says of chords, which is nothing for most: then nothing is made.
fn read_chords(outcome: &Parts<'_, '_>) -> PyResult<Option<Box<Chords>>> {
    let (parts, begun) = (tuple(outcome.item(4), "parts")?, tuple(outcome.item(5), "chords")?);
    let ended: &str = outcome.part(6)?;
    if parts.is_empty() && begun.is_empty() && ended.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(Chords {
        begun: begun.iter().map(|chord| read_new_chord(&chord)).collect::<PyResult<_>>()?,
        parts: parts.iter().map(|part| read_part(&part)).collect::<PyResult<_>>()?,
        ended: (!ended.is_empty()).then(|| ended.to_owned()),
    })))
}

/// A `Part` of Python.
pub(crate) fn part<'py>(py: Python<'py>, part: &Part) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "fastq._seam", "Part")?;
    let body = pyo3::types::PyBytes::new(py, &part.body);
    let callback = pyo3::types::PyBytes::new(py, &part.callback);
    class.call1((&part.group_id, &part.task_id, part.place, &part.state, body, callback))
}

/// `Outcome`, its sequences made tuples so that their items can be borrowed.
pub(crate) struct OutcomeParts<'py> {
    pub(crate) ending: Ending,
    pub(crate) records: Bound<'py, PyTuple>,
    pub(crate) messages: Bound<'py, PyTuple>,
    pub(crate) reason: Bound<'py, PyAny>,
    pub(crate) chords: Option<Box<Chords>>,
}

impl<'py> OutcomeParts<'py> {
    /// Reads an `Outcome`.
    pub(crate) fn read(outcome: &Bound<'py, PyAny>) -> PyResult<Self> {
        let parts = Parts::of(outcome, "an Outcome", 7)?;
        let ending =
            Ending::from_code(parts.part(0)?).ok_or_else(|| wrong_type("ending", "one of _seam's"))?;
        Ok(Self {
            ending,
            records: tuple(parts.item(1), "records")?,
            messages: tuple(parts.item(2), "messages")?,
            reason: parts.item(3).clone(),
            chords: read_chords(&parts)?,
        })
    }
}

/// A `Record` of Python.
pub(crate) fn record<'py>(py: Python<'py>, record: &Record) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "fastq._seam", "Record")?;
    let body = pyo3::types::PyBytes::new(py, &record.body);
    class.call1((&record.task_id, &record.state, &record.content_type, body))
}

/// An `Event` of Python.
pub(crate) fn event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "fastq._seam", "Event")?;
    let fields = PyDict::new(py);
    for (name, value) in &event.fields {
        fields.set_item(*name, fact(py, value)?)?;
    }
    class.call1((event.kind.name(), fields))
}
