//! What the broker's server keeps of a task beside its message, and what becomes of that when a run ends.
//!
//! A *lock* says that a task with a unique key is under way; a *token* is the right to run as one of at most so many of
//! a key; a *turn* is the moment at which a run may begin under a rate limit that all workers keep together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::message::bounds::{Lock, counted};
use crate::message::task::Headers;
use crate::store::Record;

/// What a message says of locks, turns and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The key of its lock.
    pub lock: Option<String>,
    /// Its turns are counted under this key, instead of the task's name.
    pub rate: Option<Arc<str>>,
    /// Its tokens are counted under this key, instead of the task's name.
    pub concurrency: Option<Arc<str>>,
}

impl Keys {
    /// The keys that headers name; `None`, as nearly always, when they name none.
    pub fn of(headers: &Headers<'_>) -> Option<Box<Self>> {
        let keys = Self {
            lock: counted(headers.unique_key.as_deref()),
            rate: counted(headers.rate_key.as_deref()).map(Into::into),
            concurrency: counted(headers.concurrency_key.as_deref()).map(Into::into),
        };
        (keys != Self::default()).then(|| Box::new(keys))
    }
}

/// What a Commit does to locks and tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The lock that is given back, if the task still holds it: its key, and the task.
    pub unlock: Option<(String, String)>,
    /// The token that is given back: its key.
    pub token: Option<Arc<str>>,
    /// Which of the publications may go only with a lock.
    pub locked: Vec<Locked>,
}

impl Limits {
    /// As a Commit has it: `None` when there is nothing to do.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// A publication of a Commit that may go only if its lock is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// Its place among the publications.
    pub place: usize,
    /// Its lock.
    pub lock: Lock,
    /// Stored when another task has the lock: nobody is to wait for one that will not run.
    pub otherwise: Option<Record>,
}

/// What a worker asks of the server for the jobs that wait here under one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Counted under this key.
    pub key: Arc<str>,
    /// Of what.
    pub what: Asked,
    /// For so many jobs; of tokens 0 says that none waits here any more.
    pub wanted: u32,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asked {
    /// Turns, so far apart, of which none is given that is further away than `within`.
    Turns {
        /// Between two turns.
        every: Duration,
        /// A turn later than this is not given yet.
        within: Duration,
    },
    /// Tokens, of which there are so many.
    Tokens {
        /// In all workers together.
        most: u32,
    },
}

/// What the server gave for one [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// As asked.
    pub key: Arc<str>,
    /// Turns, and not tokens.
    pub turns: bool,
    /// How many.
    pub count: u32,
    /// Of turns: until the first of them; the others follow it. When there is none: until one may be had.
    pub after: Duration,
}

impl Granted {
    /// So many, of what was asked for.
    pub fn of(ask: &Ask, count: u32, after: Duration) -> Self {
        Self { key: Arc::clone(&ask.key), turns: matches!(ask.what, Asked::Turns { .. }), count, after }
    }
}

/// The keys for whose tokens a session is in line. An ask says nothing of the keys that are not in it: a session that got
/// all it wanted of one may be in line for another all the same.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashSet<Arc<str>>);

impl Lines {
    /// Whether it is in no line.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in what the server gave for what was asked.
    pub(crate) fn note(&mut self, asks: &[Ask], granted: &[Granted]) {
        for (ask, granted) in asks.iter().zip(granted).filter(|(_, granted)| !granted.turns) {
            if granted.count < ask.wanted {
                self.0.insert(Arc::clone(&ask.key));
            } else {
                self.0.remove(&ask.key);
            }
        }
    }
}

/// How many turns may be given, and until the first of them; one of a rate that all workers keep together. `left`: until
/// the next turn is free. Runs begin at turns, which are `every` apart whoever has them: so in no time do more begin than
/// the rate allows, and one; what is given to a worker that dies is lost, and nothing else.
pub fn turns(left: Duration, every: Duration, within: Duration, wanted: u32) -> u32 {
    let Some(room) = within.checked_sub(left) else { return 0 };
    let every = every.as_nanos().max(1);
    u32::try_from(room.as_nanos() / every).unwrap_or(u32::MAX).saturating_add(1).min(wanted)
}
