//! The record of tasks that are called off, and what is said to workers: names, forms, and how the record is read.
//!
//! The record is a stream: everybody reads it from its beginning, and nobody empties it. Where it ends now tells a mark
//! that the reader writes itself. What is added is also told to all workers, each of which listens with a queue of its own.
//!
//! # Format
//! ```text
//! {"revoked": [{"id": "…", "until": 1800000000.5}, …]}     in the record, and to workers
//! {"mark": "…"}                                            in the record
//! {"describe": true}                                       to workers
//! {"node": "…", "held": {"queue": 3}, …}                   the answer to that; to what is called off it is {}
//! ```

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::call::{self, Declared, To};
use super::wire::{Content, Method, properties};
use crate::broker::WorkerEntry;
use crate::buffer::revoked::MOST;
use crate::clock::WallTime;
use crate::error::Result;
use crate::job::revocation::Revocation;

/// The exchange that leads to all workers; and the queue that each of them takes from, so that they can be counted.
pub(super) const WORKERS: &str = "fastq.workers";
/// The stream.
pub(super) const RECORD: &str = "fastq.revoked";
/// So many may be in one message.
pub(super) const AT_ONCE: usize = 500;
/// Room for what is remembered, twice. The oldest pieces go first.
const ARGUMENTS: &str =
    r#"{"x-queue-type":"stream","x-max-length-bytes":16000000,"x-stream-max-segment-size-bytes":4000000}"#;
const READER: &str = "fastq-record";
/// So many may be on their way to a reader; half of them are acknowledged together.
const PREFETCH: u16 = 200;

/// Writes what makes the record exist; the number of answers to expect.
pub(super) fn declare(channel: u16, out: &mut Vec<u8>) -> Result<usize> {
    let how = Declared { durable: true, ..Declared::default() };
    call::queue_declare(channel, RECORD, how, ARGUMENTS, out)?;
    Ok(1)
}

/// Writes what makes the exchange exist that leads to workers.
pub(super) fn declare_workers(channel: u16, out: &mut Vec<u8>) -> Result<usize> {
    call::exchange_declare(channel, WORKERS, "fanout", (false, true, false), "", out)?;
    Ok(1)
}

/// Into the record.
pub(super) const fn to_record() -> To<'static> {
    To { exchange: "", routing_key: RECORD, mandatory: true }
}

/// To all workers; there may be none.
pub(super) const fn to_workers() -> To<'static> {
    To { exchange: WORKERS, routing_key: "", mandatory: false }
}

/// What is written about some that are called off.
pub(super) fn revoked(revocations: &[Revocation]) -> String {
    format!(r#"{{"revoked":{}}}"#, Revocation::write(revocations))
}

/// The question what a worker does.
pub(super) const DESCRIBE: &str = r#"{"describe":true}"#;

/// The answer to it.
pub(super) fn described(entry: &WorkerEntry, held: &BTreeMap<String, u64>) -> String {
    let body = json!({
        "node": entry.node, "pid": entry.pid, "host": entry.host, "queues": entry.queues,
        "started_at": entry.started_at.0, "lease_until": entry.lease_until.0, "held": held,
    });
    body.to_string()
}

/// Reads that: a worker, and how many messages of each queue it holds. `None`: it is something else.
pub(super) fn read_described(body: &[u8]) -> Option<(WorkerEntry, BTreeMap<String, u64>)> {
    let Described { node, pid, host, queues, started_at, lease_until, held } =
        serde_json::from_slice(body).ok()?;
    let (started_at, lease_until) = (WallTime(started_at), WallTime(lease_until));
    let in_flight = held.values().sum();
    Some((WorkerEntry { node, pid, host, started_at, lease_until, in_flight, queues }, held))
}

#[derive(Deserialize)]
struct Described {
    node: String,
    pid: u32,
    host: String,
    queues: Vec<String>,
    started_at: i64,
    lease_until: i64,
    held: BTreeMap<String, u64>,
}

/// The properties of what is said; `reply_to`: where answers go, or nowhere.
pub(super) fn spoken(reply_to: &str, persistent: bool) -> Result<Vec<u8>> {
    let mut said = json!({ "content_type": "application/json", "delivery_mode": 1 + u8::from(persistent) });
    if !reply_to.is_empty() {
        said["reply_to"] = reply_to.into();
    }
    let mut written = Vec::new();
    properties::write(b"{}", said.to_string().as_bytes(), None, &mut written)?;
    Ok(written)
}

/// What was said to workers, or stands in the record.
#[derive(Debug, PartialEq)]
pub(super) enum Spoken {
    /// Tasks are called off.
    Revoked(Vec<Revocation>),
    /// What do you do?
    Describe,
    /// Up to here.
    Mark(String),
}

impl Spoken {
    /// Reads it. What another version says and this one does not know is none of its business.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        if let Some(mark) = body["mark"].as_str() {
            return Some(Self::Mark(mark.to_owned()));
        }
        if let Some(demands) = body["revoked"].as_array() {
            let demands = demands.iter().filter_map(|demand| {
                let until = WallTime((demand["until"].as_f64()? * 1000.0).round() as i64);
                Revocation::of_json(demand, until).ok()
            });
            return Some(Self::Revoked(demands.collect()));
        }
        (body["describe"] == Value::Bool(true)).then_some(Self::Describe)
    }
}

/// Reading the record from its beginning to where it ends now. Pure.
pub(super) struct Reading {
    channel: u16,
    mark: String,
    found: HashMap<String, Revocation>,
    unacknowledged: u16,
}

impl Reading {
    pub(super) fn new(channel: u16) -> Self {
        let mark = Uuid::new_v4().simple().to_string();
        Self { channel, mark, found: HashMap::new(), unacknowledged: 0 }
    }

    /// Writes the question for what the record holds; the number of answers to expect.
    pub(super) fn ask(&self, out: &mut Vec<u8>) -> Result<usize> {
        call::qos(self.channel, PREFETCH, out);
        let from = r#"{"x-stream-offset":"first"}"#;
        call::consume(self.channel, RECORD, READER, (false, false), from, out)?;
        Ok(2)
    }

    /// What is to be written into the record, once that was answered: to be sent as a message.
    pub(super) fn mark(&self) -> String {
        json!({ "mark": self.mark }).to_string()
    }

    /// Takes what came, and writes the acknowledgement that is due; whether it was all.
    pub(super) fn take(&mut self, content: &Content, out: &mut Vec<u8>) -> bool {
        let Method::Deliver { tag, .. } = content.method else { return false };
        self.unacknowledged += 1;
        if self.unacknowledged >= PREFETCH / 2 {
            self.unacknowledged = 0;
            call::ack(self.channel, tag, true, out);
        }
        match Spoken::read(&content.body) {
            Some(Spoken::Mark(mark)) => return mark == self.mark,
            Some(Spoken::Revoked(demands)) => demands.iter().for_each(|demand| self.add(demand)),
            Some(Spoken::Describe) | None => {}
        }
        false
    }

    fn add(&mut self, demand: &Revocation) {
        let known = self.found.entry(demand.to_json().to_string()).or_insert_with(|| demand.clone());
        known.until = known.until.max(demand.until);
    }

    /// Writes that no more is wanted.
    pub(super) fn stop(&self, out: &mut Vec<u8>) {
        call::cancel(self.channel, READER, out);
    }

    /// All that holds now; of too many those that hold longest.
    pub(super) fn end(self, now: WallTime) -> Vec<Revocation> {
        let mut held: Vec<Revocation> =
            self.found.into_values().filter(|revocation| revocation.until > now).collect();
        held.sort_by_key(|revocation| std::cmp::Reverse(revocation.until));
        held.truncate(MOST);
        held
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::wire::properties::Properties;
    use super::*;
    use crate::job::revocation::Target;

    fn revocation(id: &str, until: i64) -> Revocation {
        Revocation { target: Target::Id(id.into()), terminate: None, until: WallTime(until) }
    }

    fn content(tag: u64, body: &str) -> Content {
        let (exchange, routing_key) = (String::new(), RECORD.to_owned());
        let method =
            Method::Deliver { consumer: READER.into(), tag, redelivered: false, exchange, routing_key };
        Content { method, properties: Properties::default(), body: Bytes::from(body.to_owned()) }
    }

    #[test]
    fn what_is_said_is_read_as_it_was_written_and_nonsense_passed_over() {
        let some = vec![revocation("1", 1_800_000_000_123), revocation("2", 7)];
        assert_eq!(Spoken::read(revoked(&some).as_bytes()), Some(Spoken::Revoked(some)));
        assert_eq!(Spoken::read(DESCRIBE.as_bytes()), Some(Spoken::Describe));
        let partly = br#"{"revoked":[{"id":"1"},{"until":5},{"id":"2","until":7}]}"#;
        assert_eq!(Spoken::read(partly), Some(Spoken::Revoked(vec![revocation("2", 7_000)])));
        for nonsense in [&b"{}"[..], b"", b"[1]", br#"{"describe":1}"#] {
            assert_eq!(Spoken::read(nonsense), None);
        }
    }

    #[test]
    fn what_a_worker_says_of_itself_is_read_as_it_was_written() {
        let held = BTreeMap::from([("q".to_owned(), 2), ("r".to_owned(), 1)]);
        let entry = WorkerEntry {
            node: "fastq@host".into(),
            pid: 7,
            host: "host".into(),
            started_at: WallTime(1),
            lease_until: WallTime(2),
            in_flight: 3,
            queues: vec!["q".into(), "r".into()],
        };
        let said = described(&entry, &held);
        assert_eq!(read_described(said.as_bytes()), Some((entry, held)));
        assert_eq!(read_described(b"{}"), None);
    }

    #[test]
    fn the_record_is_read_up_to_ones_own_mark() {
        let mut reading = Reading::new(1);
        let mut out = Vec::new();
        let demands = [revocation("1", 10), revocation("2", 90), revocation("1", 80), revocation("2", 60)];
        let mut bodies: Vec<String> =
            demands.iter().map(|demand| revoked(std::slice::from_ref(demand))).collect();
        bodies.push(Reading::new(1).mark());
        bodies.push(revoked(&[revocation("over", 20)]));
        for (tag, body) in bodies.iter().enumerate() {
            assert!(!reading.take(&content(tag as u64, body), &mut out), "{body}");
        }
        let mark = reading.mark();
        assert!(reading.take(&content(9, &mark), &mut out));
        assert_eq!(reading.end(WallTime(20)), [revocation("2", 90), revocation("1", 80)]);
    }

    #[test]
    fn a_long_record_is_acknowledged_on_the_way() {
        let (mut reading, mut out) = (Reading::new(1), Vec::new());
        for tag in 1..=u64::from(PREFETCH) {
            reading.take(&content(tag, "{}"), &mut out);
        }
        let mut expected = Vec::new();
        call::ack(1, 100, true, &mut expected);
        call::ack(1, 200, true, &mut expected);
        assert_eq!(out, expected);
    }

    #[test]
    fn no_more_is_kept_than_a_worker_remembers() {
        let mut reading = Reading::new(1);
        for number in 0..=MOST {
            reading.add(&revocation(&number.to_string(), 100 + number as i64));
        }
        let held = reading.end(WallTime(0));
        assert_eq!((held.len(), held.last().unwrap().until), (MOST, WallTime(101)));
    }
}
