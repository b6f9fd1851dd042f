//! What the core tells Python: facts for logs, hooks and signals. Never needed for a decision.

use std::collections::VecDeque;

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its kind; also its name in Python.
    pub kind: EventKind,
    /// Named facts, in the order given.
    pub fields: Vec<(&'static str, Value)>,
}

/// A fact's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Seconds, or another measure.
    Float(f64),
    /// Yes or no.
    Bool(bool),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The kinds of Event. Those marked *on request* are only told when Python asked for them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $variant,)* }
        impl EventKind {
            /// The name Python knows it by.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// The kind Python calls `name`.
            pub fn from_name(name: &str) -> Option<Self> { match name { $($name => Some(Self::$variant),)* _ => None } }
        }
    };
}

kinds! {
    /// The worker takes messages: `queues`.
    Ready = "ready",
    /// The broker connection changed: `state` (open, backing off, failed), `reason`, `retry_in` seconds.
    Link = "link",
    /// The worker takes from other queues now, or was refused one: `queues`, `reason` (empty unless refused).
    Queues = "queues",
    /// A child is up: `slot`, `pid`.
    ChildUp = "child-up",
    /// A child is gone: `slot`, `pid`, `status` (wait status, -1 unknown), `reason`, `expected`.
    ChildGone = "child-gone",
    /// There are more or fewer children than before: `from`, `to`.
    Scaled = "scaled",
    /// The nursery is gone; the worker stops.
    NurseryGone = "nursery-gone",
    /// A job was accepted (on request): `id`, `name`, `queue`, `eta` (seconds since 1970, if any).
    Received = "received",
    /// A run's child died: `id`, `name`, `pid`, `deaths`, `requeued`, `reason`.
    Lost = "lost",
    /// A run was cut off by the stop of its worker: `id`, `name`, `requeued`.
    Interrupted = "interrupted",
    /// A run passed a limit: `id`, `name`, `seconds`, `hard`, `slot`.
    TimedOut = "timed-out",
    /// No such task here: `id`, `name`, `queue`.
    Unknown = "unknown",
    /// It expired before it ran: `id`, `name`.
    Expired = "expired",
    /// It was called off: `id`, `name`, `terminated`, `signal` (what ended its run, if one was).
    Revoked = "revoked",
    /// A run is being ended because it was called off: `id`, `name`, `slot`, `signal`.
    Terminating = "terminating",
    /// It cannot be heard what is called off from now on: `reason`.
    Deaf = "deaf",
    /// It was set aside: `id`, `name`, `queue`, `reason`.
    Buried = "buried",
    /// Commits came too late and were dropped, because the lease was lost meanwhile: `count`.
    Refused = "refused",
    /// Messages of dead workers were put back: `recovered`, `buried`.
    Recovered = "recovered",
    /// Something about the broker that users should know, a sentence: `text`. The worker goes on.
    Notice = "notice",
    /// Something that cannot be, in fastq itself: `reason`. The worker goes on.
    Bug = "bug",
    /// It stops: `how`.
    Stopping = "stopping",
    /// It has stopped: `clean`, `reason`.
    Stopped = "stopped",
}

impl EventKind {
    /// Whether Python must ask for it.
    pub const fn on_request(self) -> bool {
        matches!(self, Self::Received)
    }
}

impl Event {
    /// An Event without facts.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

/// Events waiting for Python, bounded: when Python does not come, the oldest go and are counted.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Event>,
    dropped: u64,
}

impl Outbox {
    /// Events kept while Python is busy.
    pub const CAPACITY: usize = 10_000;

    /// Adds an Event; returns whether the box was empty, so that Python must be woken.
    pub fn put(&mut self, event: Event) -> bool {
        let was_empty = self.waiting.is_empty();
        if self.waiting.len() == Self::CAPACITY {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(event);
        was_empty
    }

    /// Takes at most `limit` Events, oldest first.
    pub fn take(&mut self, limit: usize) -> Vec<Event> {
        let count = limit.min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Events dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
