//! Stepper: a worker without threads, on a clock that is turned by hand.

use std::sync::{Mutex, PoisonError};

use fastq_core::broker::connect::connect_by_hand;
use fastq_core::broker::{Queue, Subscription};
use fastq_core::clock::WallTime;
use fastq_core::error::{Error, ErrorKind, Result};
use fastq_core::job::policy::Policies;
use fastq_core::worker::stepper::Stepper as CoreStepper;
use pyo3::prelude::*;

use crate::convert::{duration, optional_duration, tuple};
use crate::port::{Job, with_outcome};
use crate::runtime::{Home, enter};
use crate::seam::{ConfigSpec, PolicySpec, event, queues, read_all, read_record};

/// A worker without threads, on a clock that is turned by hand: for tests.
#[pyclass(frozen, module = "fastq._core")]
pub(crate) struct Stepper {
    /// None once closed. Held while it is asked something, which never takes long.
    core: Mutex<Option<CoreStepper>>,
    home: Home,
}

#[pymethods]
impl Stepper {
    #[new]
    fn new(py: Python<'_>, config: ConfigSpec, policies: Vec<PolicySpec>) -> PyResult<Self> {
        let policies = table(py, policies)?;
        let subscription = Subscription {
            queues: queues(config.queues),
            node: config.node,
            lease: duration(py, "lease", config.lease)?,
            max_deaths: config.max_deaths,
            page: None,
            result_expires: optional_duration(py, "result_expires", config.result_expires)?,
            mailbox: None,
            chord_expires: optional_duration(py, "chord_expires", config.chord_expires)?,
            patience: None,
            internal: (!config.internal_queue.is_empty()).then(|| Queue::named(config.internal_queue)),
        };
        let (url, options) = (config.broker_url, config.broker_options);
        let core = enter(py, || CoreStepper::new(connect_by_hand(&url, &options)?, subscription, policies))?;
        Ok(Self { core: Mutex::new(Some(core)), home: Home::here() })
    }

    fn learn(&self, py: Python<'_>, policies: Vec<PolicySpec>) -> PyResult<()> {
        let policies = table(py, policies)?;
        self.ask(py, |core| {
            core.learn(policies);
            Ok(())
        })
    }

    fn now(&self, py: Python<'_>) -> PyResult<f64> {
        self.ask(py, |core| Ok(core.now().seconds()))
    }

    fn turn(&self, py: Python<'_>, to: f64) -> PyResult<()> {
        self.ask(py, |core| {
            core.turn_to(WallTime::from_seconds(to));
            Ok(())
        })
    }

    fn next_due(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        self.ask(py, |core| Ok(core.next_due().map(WallTime::seconds)))
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<Job>> {
        Ok(self.ask(py, CoreStepper::take)?.map(Job::of))
    }

    fn finish(&self, py: Python<'_>, job: &Bound<'_, Job>, outcome: &Bound<'_, PyAny>) -> PyResult<()> {
        let job = job.get();
        with_outcome(outcome, |outcome| self.ask(py, |core| job.finish(|run| core.finish(run, outcome))))
    }

    fn store(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<()> {
        let records = tuple(records, "records")?;
        let records = read_all(&records, read_record)?;
        self.ask(py, |core| core.store(&records))
    }

    fn events<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let events = self.ask(py, |core| Ok(core.events()))?;
        events.iter().map(|happened| event(py, happened)).collect()
    }

    fn close(&self) {
        drop(self.core.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Stepper {
    /// Asks the core, unless it is closed or this is a fork of its process.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&mut CoreStepper) -> Result<T> + Send,
    ) -> PyResult<T> {
        enter(py, || {
            self.home.check("Stepper")?;
            let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            question(core.as_mut().ok_or_else(|| Error::new(ErrorKind::Closed, "the stepper was closed"))?)
        })
    }
}

fn table(py: Python<'_>, policies: Vec<PolicySpec>) -> PyResult<Policies> {
    let policies: Vec<_> = policies.into_iter().map(|policy| policy.policy(py)).collect::<PyResult<_>>()?;
    Ok(Policies::new(policies))
}
