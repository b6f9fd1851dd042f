//! Worker: the core of a worker's parent process.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use fastq_core::broker::url::BrokerUrl;
use fastq_core::broker::{Queue, connect, connect_store};
use fastq_core::error::{Error, ErrorKind, Result};
use fastq_core::event::EventKind;
use fastq_core::job::policy::Policies;
use fastq_core::pool::page::Page;
use fastq_core::store::{Patience, Store};
use fastq_core::worker::Worker as CoreWorker;
use fastq_core::worker::config::{Prefetch, SlotPage, StopHow, WorkerConfig};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::{descriptor, duration, fact, optional_duration, timeout as until};
use crate::errors::{OrRaise, raise};
use crate::page;
use crate::port::Port;
use crate::runtime::{Home, enter};
use crate::seam::{ConfigSpec, PolicySpec, QueueSpec, event, queues};

/// The core of a worker's parent process. Runs on threads of its own; never calls Python.
#[pyclass(frozen, module = "fastq._core")]
pub(crate) struct Worker {
    /// What `start` will use up; held only to take it out.
    plan: Mutex<Option<Plan>>,
    /// Set by `start`.
    running: OnceLock<Running>,
}

/// What was asked for. Nothing is opened and no thread is born before `start`, so that Python can fork.
struct Plan {
    broker_url: String,
    broker_options: String,
    store_url: Option<String>,
    store_options: String,
    /// Events to be told from the first moment on.
    watch: Vec<EventKind>,
    /// Complete but for these, and for the page, which lies beside the broker.
    config: Box<dyn FnOnce(SlotPage, Vec<EventKind>) -> WorkerConfig + Send>,
}

struct Running {
    /// Some until dropped.
    core: Option<CoreWorker>,
    page: Arc<dyn Page>,
    home: Home,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Dropping the core waits for its thread. In a forked process there is none, and nothing to end.
        if !self.home.is_here() {
            std::mem::forget(self.core.take());
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "lists from Python arrive as vectors of their own")]
#[pymethods]
impl Worker {
    #[new]
    fn new(py: Python<'_>, config: ConfigSpec, policies: Vec<PolicySpec>) -> PyResult<Self> {
        let policies: Vec<_> =
            policies.into_iter().map(|policy| policy.policy(py)).collect::<PyResult<_>>()?;
        let mut policies = Policies::new(policies);
        policies.results_elsewhere = config.store_url.is_none();
        let plan = Plan::read(py, config, policies)?;
        Ok(Self { plan: Mutex::new(Some(plan)), running: OnceLock::new() })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).take();
        let plan =
            plan.ok_or_else(|| raise(py, &Error::new(ErrorKind::Closed, "the worker was started before")))?;
        let running = enter(py, || plan.start())?;
        // The plan could be taken once, so nobody else gets here.
        let _ = self.running.set(running);
        Ok(())
    }

    fn port(&self, py: Python<'_>) -> PyResult<Port> {
        let (core, page) = self.parts(py)?;
        let (socket, slot) = enter(py, || core.port())?;
        Ok(Port::beside_core(socket, Arc::clone(page), slot))
    }

    fn attend<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let core = self.core(py)?;
        let timeout = until(Some(timeout)).unwrap_or_default();
        let events = py.detach(|| core.attend(timeout));
        py.check_signals()?;
        events.iter().map(|happened| event(py, happened)).collect()
    }

    fn events_fd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.core(py)?.events_fd().as_raw_fd())
    }

    fn wakeup_fd(&self, py: Python<'_>) -> PyResult<i32> {
        Ok(self.core(py)?.wakeup_fd().as_raw_fd())
    }

    fn watch(&self, py: Python<'_>, kinds: Vec<String>) -> PyResult<()> {
        let kinds = kinds.iter().map(|name| {
            EventKind::from_name(name)
                .ok_or_else(|| PyValueError::new_err(format!("no such kind of event: {name}")))
        });
        let kinds: Vec<EventKind> = kinds.collect::<PyResult<_>>()?;
        match self.plan.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(plan) => plan.watch = kinds,
            None => self.core(py)?.watch(kinds),
        }
        Ok(())
    }

    fn consume(&self, py: Python<'_>, queues: Vec<QueueSpec>) -> PyResult<()> {
        let core = self.core(py)?;
        enter(py, || core.consume(crate::seam::queues(queues)))
    }

    fn cancel(&self, py: Python<'_>, queue: String) -> PyResult<()> {
        let core = self.core(py)?;
        enter(py, || core.cancel(queue))
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let core = self.core(py)?;
        let stats = PyDict::new(py);
        for (name, value) in py.detach(|| core.stats()) {
            stats.set_item(name, fact(py, &value)?)?;
        }
        Ok(stats)
    }

    fn stop(&self, py: Python<'_>, how: &str) -> PyResult<()> {
        let how = match how {
            "warm" => StopHow::Warm,
            "soft" => StopHow::Soft,
            "cold" => StopHow::Cold,
            _ => return Err(PyValueError::new_err(format!("stop warm, soft or cold, not {how}"))),
        };
        let core = self.core(py)?;
        py.detach(|| core.stop(how));
        Ok(())
    }
}

impl Worker {
    fn core(&self, py: Python<'_>) -> PyResult<&CoreWorker> {
        self.parts(py).map(|(core, _)| core)
    }

    /// Core and page, unless it was not started or this is a fork of its process.
    fn parts(&self, py: Python<'_>) -> PyResult<(&CoreWorker, &Arc<dyn Page>)> {
        let not_started = || raise(py, &Error::new(ErrorKind::Closed, "the worker was not started"));
        let running = self.running.get().ok_or_else(not_started)?;
        running.home.check("Worker").or_raise(py)?;
        let core = running.core.as_ref().ok_or_else(not_started)?;
        Ok((core, &running.page))
    }
}

/// The durations of a worker's settings.
struct Spans {
    lease: Duration,
    result_expires: Option<Duration>,
    chord_expires: Option<Duration>,
    patience: Option<Patience>,
    stop_within: Option<Duration>,
    soft_stop_within: Duration,
    revoke_expires: Duration,
}

impl Spans {
    fn read(py: Python<'_>, spec: &ConfigSpec) -> PyResult<Self> {
        Ok(Self {
            lease: duration(py, "lease", spec.lease)?,
            result_expires: optional_duration(py, "result_expires", spec.result_expires)?,
            chord_expires: optional_duration(py, "chord_expires", spec.chord_expires)?,
            patience: optional_duration(py, "chord_patience", spec.chord_patience)?.map(Patience::of),
            stop_within: optional_duration(py, "stop_within", spec.stop_within)?,
            soft_stop_within: duration(py, "soft_stop_within", spec.soft_stop_within)?,
            revoke_expires: duration(py, "revoke_expires", spec.revoke_expires)?,
        })
    }
}

impl Plan {
    fn read(py: Python<'_>, spec: ConfigSpec, policies: Policies) -> PyResult<Self> {
        let spans = Spans::read(py, &spec)?;
        let nursery: Option<OwnedFd> =
            spec.nursery_fd.map(|number| descriptor(py, "nursery_fd", number)).transpose()?;
        let config = move |page, watch| WorkerConfig {
            node: spec.node,
            queues: queues(spec.queues),
            policies,
            children: spec.children,
            most_children: spec.most_children,
            permits: spec.permits,
            nursery,
            prefetch: spec.prefetch_multiplier.map_or(Prefetch::Auto, Prefetch::PerSlot),
            page,
            lease: spans.lease,
            max_deaths: spec.max_deaths,
            result_expires: spans.result_expires,
            chord_expires: spans.chord_expires,
            internal: (!spec.internal_queue.is_empty()).then(|| Queue::named(spec.internal_queue)),
            patience: spans.patience,
            stop_within: spans.stop_within,
            soft_stop_within: spans.soft_stop_within,
            ends_lost_runs: spec.ends_lost_runs,
            gives_up_slots: spec.gives_up_slots,
            mailbox: spec.mailbox,
            revoke_expires: spans.revoke_expires,
            eta_limit: spec.eta_limit,
            watch,
        };
        Ok(Self {
            broker_url: spec.broker_url,
            broker_options: spec.broker_options,
            store_url: spec.store_url,
            store_options: spec.store_options,
            watch: Vec::new(),
            config: Box::new(config),
        })
    }

    fn start(self) -> Result<Running> {
        let broker = connect(&self.broker_url, &self.broker_options)?;
        let store = self.separate_store()?;
        let page = page::create(broker.run_directory()?.as_deref())?;
        let (words, path) = (Arc::clone(&page.words), page.path.clone());
        let core = CoreWorker::start((self.config)(page, self.watch), broker, store).inspect_err(|_| {
            // No session owns the file, so nobody else would remove it.
            path.map(std::fs::remove_file);
        })?;
        Ok(Running { core: Some(core), page: words, home: Home::here() })
    }

    /// The store, when it is not the broker's own: that one is reached through the broker, in its transactions.
    fn separate_store(&self) -> Result<Option<Arc<dyn Store>>> {
        match &self.store_url {
            // Results that are messages go the broker's own way.
            Some(url) if BrokerUrl::parse(url)?.scheme() == "rpc" => Ok(None),
            Some(url) if !same_place(url, &self.broker_url)? => {
                connect_store(url, &self.store_options).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether two URLs name the same place, however their options differ.
fn same_place(one: &str, other: &str) -> Result<bool> {
    let (first, second) = (BrokerUrl::parse(one)?, BrokerUrl::parse(other)?);
    Ok(first.scheme() == second.scheme()
        && if first.is_supported() { first.target() == second.target() } else { one == other })
}
