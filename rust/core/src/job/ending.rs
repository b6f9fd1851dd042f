//! How a run ended (Outcome), what becomes of its delivery (Verdict), and both carried out as one (Commit).

use std::time::Duration;

use crate::broker::{Publication, Receipt};
use crate::ident::Tag;
use crate::job::limits::Limits;
use crate::store::{Chords, Record};

/// How a run ended, as the executor tells it. It performed none of what it asks for here.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The ending.
    pub ending: Ending,
    /// States to store, in order.
    pub records: Vec<Record>,
    /// Messages that must follow: the next of a chain, callbacks, a retry.
    pub publications: Vec<Publication>,
    /// What it has to do with chords; most runs: nothing.
    pub chords: Option<Box<Chords>>,
    /// One sentence for logs and dead letters; empty when there is nothing to say.
    pub reason: String,
    /// How long user code ran.
    pub runtime: Duration,
}

/// The endings an executor can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// It returned.
    Done = 0,
    /// It raised.
    Failed = 1,
    /// It asked to be run again; the new message is among the publications.
    Retried = 2,
    /// It asked to be forgotten.
    Ignored = 3,
    /// It refused its message for good.
    Rejected = 4,
    /// It refused its message and wants it back in the queue.
    Requeued = 5,
    /// Its message could not be decoded or is not accepted; it never ran.
    Undecodable = 6,
}

impl Ending {
    /// The ending written as `code`.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Done,
            1 => Self::Failed,
            2 => Self::Retried,
            3 => Self::Ignored,
            4 => Self::Rejected,
            5 => Self::Requeued,
            6 => Self::Undecodable,
            _ => return None,
        })
    }
}

/// What becomes of a Delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done with.
    Ack,
    /// It never started: back to the front of its queue, as if it had not been taken.
    Release,
    /// Back into its queue, marked as redelivered; `died` counts one more death.
    Requeue {
        /// A child or worker died running it.
        died: bool,
    },
    /// Set aside, with one sentence.
    Bury {
        /// Why.
        reason: String,
        /// A child or worker died running it.
        died: bool,
    },
}

/// Verdict, results to store and messages to publish, carried out as one.
#[derive(Debug, Default)]
pub struct Commit {
    /// The Delivery to settle. `None`: only store and publish, for a run that goes on (STARTED, progress) or whose
    /// delivery was acknowledged when it started.
    pub settle: Option<(Receipt, Verdict)>,
    /// States to store, in order.
    pub records: Vec<Record>,
    /// States that no executor lives to store, of tasks whose results only Python writes.
    pub handed_on: Vec<HandedOn>,
    /// Messages to publish.
    pub publications: Vec<Publication>,
    /// Chords that begin, are counted or end with it.
    pub chords: Option<Box<Chords>>,
    /// Somebody waits to hear that it was carried out.
    pub note: bool,
    /// Locks and tokens that are given back, and locks that publications need.
    pub limits: Option<Box<Limits>>,
}

/// A state that Python is to store.
#[derive(Debug, PartialEq, Eq)]
pub struct HandedOn {
    /// The task's name: it may have a store of its own.
    pub name: String,
    /// The state.
    pub record: Record,
}

impl Commit {
    /// Adds a state that no executor lives to store. `elsewhere`: only Python writes the results of this task.
    pub fn add_state(&mut self, name: &str, record: Record, elsewhere: bool) {
        if elsewhere {
            self.handed_on.push(HandedOn { name: name.to_owned(), record });
        } else {
            self.records.push(record);
        }
    }

    /// Whether there is nothing to carry out.
    pub fn is_nothing(&self) -> bool {
        self.settle.is_none()
            && self.records.is_empty()
            && self.handed_on.is_empty()
            && self.publications.is_empty()
            && self.chords.is_none()
            && self.limits.is_none()
    }

    /// A Commit that only settles.
    pub fn settle(receipt: Receipt, verdict: Verdict) -> Self {
        Self { settle: Some((receipt, verdict)), ..Self::default() }
    }

    /// A Commit that only stores.
    pub fn store(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }

    /// The delivery whose settling somebody waits for.
    pub fn noted(&self) -> Option<Tag> {
        self.settle.as_ref().filter(|_| self.note).map(|(receipt, _)| receipt.tag())
    }
}
