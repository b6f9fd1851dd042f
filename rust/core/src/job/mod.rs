//! What is to be done: a Delivery accepted for execution under a Policy.

pub mod ending;
pub mod limits;
pub mod policy;
pub mod revocation;

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Delivery;
use crate::clock::{Instant, WallTime};
use crate::ident::{SlotId, Tag};
use crate::store::record::Exception;
use crate::store::{Chords, part_of};
use ending::Ending;
use limits::Keys;
use policy::Policy;

/// A Delivery accepted for execution.
#[derive(Debug)]
pub struct Job {
    /// What was received; its Receipt settles it.
    pub delivery: Delivery,
    /// Task id.
    pub id: String,
    /// Task name.
    pub name: String,
    /// What the core must know of the task.
    pub policy: Arc<Policy>,
    /// Not before.
    pub due: Option<WallTime>,
    /// Not after.
    pub expires: Option<WallTime>,
    /// The call's own limit, before the task's.
    pub time_limit: Option<Duration>,
    /// The call's own soft limit, before the task's.
    pub soft_time_limit: Option<Duration>,
    /// The call's own wish; `None`: as the task says.
    pub ignore_result: Option<bool>,
    /// It belongs to a group, or a run sent it.
    pub has_family: bool,
    /// When it was taken.
    pub received_at: Instant,
    /// Its lock, and what its runs are counted under; `None` when it says nothing of these.
    pub keys: Option<Box<Keys>>,
}

/// What a job is doing, as its worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its time has not come.
    Waiting,
    /// Its task has a rate limit, and its turn has not come.
    Limited,
    /// It may run.
    Ready,
    /// It is being acknowledged before it is sent (early acknowledgement).
    Acking,
    /// It lies in a slot's pipe.
    Sent(SlotId),
    /// The slot said that it started.
    Running(SlotId),
}

impl Job {
    /// Names it in the machine and on the pipe.
    pub fn tag(&self) -> Tag {
        self.delivery.tag()
    }

    /// The hard limit that applies: the call's, else the task's.
    pub fn hard_limit(&self) -> Option<Duration> {
        self.time_limit.or(self.policy.time_limit)
    }

    /// The soft limit that applies: the call's, else the task's.
    pub fn soft_limit(&self) -> Option<Duration> {
        self.soft_time_limit.or(self.policy.soft_time_limit)
    }

    /// Whether nobody wants the result.
    pub fn ignores_result(&self) -> bool {
        self.ignore_result.unwrap_or(self.policy.ignore_result)
    }

    /// Whether the executor must tell at once that the job started: its limits count from then.
    pub fn must_report_start(&self) -> bool {
        self.hard_limit().is_some() || self.soft_limit().is_some()
    }

    /// What its end without a run means for the chord that it may be a member of: it ended in `state` so.
    pub fn chords(&self, state: &str, exception: &Exception) -> Option<Box<Chords>> {
        let message = &self.delivery.message;
        self.has_family.then(|| Chords::of(part_of(message, state, exception))).flatten()
    }

    /// The same where the executor has refused it, and told of no chord.
    pub fn chords_refused(&self, ending: Ending, reason: &str) -> Option<Box<Chords>> {
        match ending {
            Ending::Rejected => self.chords("FAILURE", &Exception::rejected(reason)),
            Ending::Undecodable => self.chords("FAILURE", &Exception::invalid(reason)),
            _ => None,
        }
    }

    /// Whether it is never handed over together with others.
    pub fn goes_alone(&self) -> bool {
        !self.policy.acks_late || self.must_report_start()
    }
}
