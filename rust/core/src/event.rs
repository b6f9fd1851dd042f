//! What the core tells Python: facts for logs, hooks and signals. Never needed for a decision.

use std::collections::VecDeque;

use crate::job::ending::HandedOn;

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
    /// Python is to store a state, because nobody else writes where the results of the task are kept: `id`, `name`,
    /// `state`, `body` (the record as JSON).
    Unstored = "unstored",
    /// A remote command for this worker cannot be obeyed: `reason`.
    Unheeded = "unheeded",
    /// It cannot be heard what is called off from now on: `reason`.
    Deaf = "deaf",
    /// It is heard again.
    Hears = "hears",
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

    /// Whether something is missing where it is not told.
    const fn must_arrive(self) -> bool {
        matches!(self, Self::Unstored)
    }
}

impl Event {
    /// An Event without facts.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// Of a state that Python is to store.
    pub fn unstored(HandedOn { name, record }: HandedOn) -> Self {
        let body = String::from_utf8_lossy(&record.body).into_owned();
        let event = Self::new(EventKind::Unstored).with("id", record.task_id).with("name", name);
        event.with("state", record.state).with("body", body)
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

/// Events waiting for Python, bounded: when Python does not come, the oldest go and are counted. Those that must arrive
/// stay; while there are too many of them the worker takes no more messages ([`Outbox::is_full`]).
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Event>,
    dropped: u64,
}

impl Outbox {
    /// Events kept while Python is busy.
    pub const CAPACITY: usize = 10_000;
    const LOOKED_AT: usize = 100;

    /// Adds an Event; returns whether the box was empty, so that Python must be woken.
    pub fn put(&mut self, event: Event) -> bool {
        let was_empty = self.waiting.is_empty();
        if self.waiting.len() >= Self::CAPACITY {
            self.drop_one();
        }
        self.waiting.push_back(event);
        was_empty
    }

    /// The oldest goes that may. They are looked for at the front only: behind so many that must arrive there is no end.
    fn drop_one(&mut self) {
        let oldest = self.waiting.iter().take(Self::LOOKED_AT).position(|event| !event.kind.must_arrive());
        if oldest.is_some_and(|place| self.waiting.remove(place).is_some()) {
            self.dropped += 1;
        }
    }

    /// Whether Python has to catch up before there may be more that must arrive.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= Self::CAPACITY
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_nobody_comes_but_what_must_arrive_stays() {
        let mut outbox = Outbox::default();
        outbox.put(Event::new(EventKind::Unstored));
        for _ in 0..Outbox::CAPACITY {
            outbox.put(Event::new(EventKind::Revoked));
        }
        assert_eq!((outbox.dropped(), outbox.is_full()), (1, true));
        assert_eq!(outbox.take(1)[0].kind, EventKind::Unstored);
        assert!(!outbox.is_full());
        for _ in 0..2 * Outbox::CAPACITY {
            outbox.put(Event::new(EventKind::Unstored));
        }
        let kept = outbox.take(usize::MAX).into_iter().filter(|event| event.kind == EventKind::Unstored);
        assert_eq!(kept.count(), 2 * Outbox::CAPACITY);
    }
}
