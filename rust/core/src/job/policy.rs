//! What the core must know of a task, compiled once by Python at the worker's start.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The settings of one task that decide about its Deliveries.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own, with Celery's name")]
pub struct Policy {
    /// Registered name.
    pub name: String,
    /// Acknowledge when the run has ended, not when it starts.
    pub acks_late: bool,
    /// With late ack: a failed run is acknowledged (else it is set aside).
    pub acks_on_failure: bool,
    /// With late ack: a run out of time is acknowledged (else it is put back).
    pub acks_on_timeout: bool,
    /// With late ack: a run whose child died is put back, up to `max_deaths`.
    pub reject_on_worker_lost: bool,
    /// Deaths after which the message is set aside.
    pub max_deaths: u32,
    /// Nobody wants the result.
    pub ignore_result: bool,
    /// Failures are stored even when results are not.
    pub store_errors_even_if_ignored: bool,
    /// Hard limit.
    pub time_limit: Option<Duration>,
    /// Soft limit.
    pub soft_time_limit: Option<Duration>,
    /// At most so many runs begin in a second, here.
    pub rate_limit: Option<f64>,
    /// They are counted in all workers together.
    pub rate_is_global: bool,
    /// At most so many runs go on at the same time, in all workers together.
    pub max_concurrency: Option<u32>,
    /// A run whose child died is retried, up to so many times in all; `None`: it is not.
    pub retries_when_lost: Option<u32>,
    /// Its results are kept where only Python writes.
    pub results_elsewhere: bool,
}

impl Policy {
    /// The defaults of fastq, for a task called `name`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            acks_late: true,
            acks_on_failure: true,
            acks_on_timeout: true,
            reject_on_worker_lost: true,
            max_deaths: 3,
            ignore_result: false,
            store_errors_even_if_ignored: false,
            time_limit: None,
            soft_time_limit: None,
            rate_limit: None,
            rate_is_global: false,
            max_concurrency: None,
            retries_when_lost: None,
            results_elsewhere: false,
        }
    }
}

/// Policies by task name.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    by_name: HashMap<String, Arc<Policy>>,
    /// The results of tasks that are not registered belong where only Python writes.
    pub results_elsewhere: bool,
}

impl Policies {
    /// A table of `policies`; the later of two with one name wins.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let by_name = policies.into_iter().map(|policy| (policy.name.clone(), Arc::new(policy))).collect();
        Self { by_name, results_elsewhere: false }
    }

    /// The Policy of the task called `name`, if it is registered.
    pub fn find(&self, name: &str) -> Option<&Arc<Policy>> {
        self.by_name.get(name)
    }
}
