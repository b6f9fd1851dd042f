//! The state of one named set of queues and results: plain data and the moves on it, behind one lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::chords::Counter;
use super::revoked::Recorded;
use crate::broker::topology::{Topology, nameless, same_arguments};
use crate::broker::{Delivery, Depth, Publication, Queue, Receipt, release};
use crate::clock::WallTime;
use crate::error::{Error, Result};
use crate::ident::Tag;
use crate::job::ending::{Commit, Verdict};
use crate::message::Message;
use crate::message::sought::Sought;
use crate::store::Record;

/// Everything of one hub. Written by clients and sessions under the hub's lock.
#[derive(Default)]
pub(crate) struct Hub {
    pub(super) topology: Topology,
    pub(super) queues: BTreeMap<Arc<str>, Waiting>,
    /// Taken and not settled, by id.
    pub(super) claimed: BTreeMap<u64, Claimed>,
    pub(super) dead: BTreeMap<u64, Dead>,
    pub(super) results: HashMap<String, Kept>,
    pub(super) chords: Counter,
    pub(super) members: BTreeMap<u64, Member>,
    pub(super) bounds: super::limits::Bounds,
    pub(super) recorded: Recorded,
    last_id: u64,
}

/// The messages that wait in one queue, in the order they go out.
#[derive(Default)]
pub(super) struct Waiting {
    arguments: Option<String>,
    pub(super) ready: BTreeMap<(u8, u64), Item>,
    pub(super) delayed: BTreeMap<(WallTime, u64), Item>,
}

/// A message and what is known of it.
#[derive(Clone)]
pub(super) struct Item {
    exchange: Arc<str>,
    routing_key: Arc<str>,
    priority: Option<u8>,
    redelivered: bool,
    pub(super) deaths: u32,
    pub(super) message: Message,
}

/// A message that the session `epoch` holds.
pub(super) struct Claimed {
    pub(super) epoch: u64,
    queue: Arc<str>,
    item: Item,
}

/// A message set aside.
pub(super) struct Dead {
    pub(super) queue: Arc<str>,
    pub(super) item: Item,
    pub(super) reason: String,
    pub(super) buried_at: WallTime,
}

/// A stored record and when it goes.
pub(super) struct Kept {
    pub(super) record: Record,
    expires: Option<WallTime>,
}

/// What a session's Commits are carried out with.
pub(super) struct Terms {
    pub(super) epoch: u64,
    pub(super) result_expires: Option<Duration>,
    pub(super) chord_expires: Option<Duration>,
    /// Where release messages go.
    pub(super) internal: String,
}

/// A session.
pub(super) struct Member {
    pub(super) node: String,
    pub(super) started_at: WallTime,
    pub(super) lease_until: WallTime,
    pub(super) queues: Vec<String>,
}

/// Place in the order of priorities: the higher number goes first.
pub(super) fn rank(priority: Option<u8>) -> u8 {
    u8::MAX - priority.unwrap_or(0)
}

impl Hub {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn declare(&mut self, queue: &Queue) -> Result<()> {
        if queue.no_declare {
            return Ok(());
        }
        if queue.name.is_empty() {
            return if queue.exchange.is_empty() { Err(nameless()) } else { self.topology.bind(queue) };
        }
        let existing = self.queues.get(queue.name.as_str()).and_then(|waiting| waiting.arguments.as_deref());
        same_arguments(&queue.name, existing, &queue.arguments)?;
        self.topology.bind(queue)?;
        let waiting = self.queue(&queue.name);
        waiting.1.arguments.get_or_insert_with(|| queue.arguments.clone());
        Ok(())
    }

    /// Where a publication goes.
    pub(super) fn route(&self, publication: &Publication) -> Result<Vec<String>> {
        if publication.exchange.is_empty() {
            return Ok(vec![publication.routing_key.clone()]);
        }
        self.topology.route(&publication.exchange, &publication.routing_key)
    }

    pub(super) fn put(&mut self, queues: &[String], publication: &Publication, now: WallTime) {
        let item = Item {
            exchange: publication.exchange.as_str().into(),
            routing_key: publication.routing_key.as_str().into(),
            priority: publication.priority,
            redelivered: false,
            deaths: 0,
            message: publication.message.clone(),
        };
        for queue in queues {
            let id = self.next_id();
            let waiting = self.queue(queue).1;
            match publication.due.filter(|due| *due > now) {
                Some(due) => waiting.delayed.insert((due, id), item.clone()),
                None => waiting.ready.insert((rank(item.priority), id), item.clone()),
            };
        }
    }

    /// Carries out one Commit; false when its Receipt is not (or no longer) one of the session `epoch`.
    pub(super) fn commit(&mut self, commit: Commit, terms: &Terms, now: WallTime) -> bool {
        if let Some((receipt, verdict)) = commit.settle
            && !self.settle(&receipt, verdict, terms.epoch, now)
        {
            return false;
        }
        let ended = commit.chords.as_ref().and_then(|chords| chords.ended.as_ref());
        if ended.is_some_and(|group_id| !self.chords.may_end(group_id, now)) {
            return true; // another run has released the chord: what this one wants has been done
        }
        for record in commit.records {
            self.save(record, terms.result_expires.map(|after| now.after(after)), now);
        }
        let limits = commit.limits.as_deref();
        if let Some((key, id)) = limits.and_then(|limits| limits.unlock.as_ref()) {
            self.bounds.unlock(key, id);
        }
        if let Some(key) = limits.and_then(|limits| limits.token.as_ref()) {
            self.bounds.give_back(terms.epoch, key);
        }
        for (place, publication) in commit.publications.iter().enumerate() {
            if self.may_go(limits, place, now, terms.result_expires.map(|after| now.after(after))) {
                self.send(publication, now);
            }
        }
        if let Some(chords) = commit.chords {
            let expires = terms.chord_expires.map(|after| now.after(after));
            for complete in self.chords.count(&chords, now, expires, true) {
                self.send(&release(&complete, &terms.internal, ""), now);
            }
        }
        true
    }

    fn send(&mut self, publication: &Publication, now: WallTime) {
        match self.route(publication) {
            Ok(queues) => self.put(&queues, publication, now),
            Err(error) => self.bury_unroutable(publication, &error, now),
        }
    }

    fn settle(&mut self, receipt: &Receipt, verdict: Verdict, epoch: u64, now: WallTime) -> bool {
        let id = receipt.tag().0;
        if receipt.epoch() != epoch || self.claimed.get(&id).is_none_or(|claimed| claimed.epoch != epoch) {
            return false;
        }
        let Some(Claimed { queue, mut item, .. }) = self.claimed.remove(&id) else { return false };
        match verdict {
            Verdict::Ack => {}
            Verdict::Release => self.put_back(id, &queue, item),
            Verdict::Requeue { died } => {
                item.redelivered = true;
                item.deaths += u32::from(died);
                self.put_back(id, &queue, item);
            }
            Verdict::Bury { reason, died } => {
                item.deaths += u32::from(died);
                self.bury(queue, item, reason, now);
            }
        }
        true
    }

    /// Everything the session holds goes back to its place, as if it had not been taken.
    pub(super) fn leave(&mut self, epoch: u64) {
        self.members.remove(&epoch);
        self.bounds.end(epoch);
        let held: Vec<u64> =
            self.claimed.iter().filter(|(_, claimed)| claimed.epoch == epoch).map(|(id, _)| *id).collect();
        for id in held {
            if let Some(claimed) = self.claimed.remove(&id) {
                self.put_back(id, &claimed.queue, claimed.item);
            }
        }
    }

    fn put_back(&mut self, id: u64, queue: &str, item: Item) {
        self.queue(queue).1.ready.insert((rank(item.priority), id), item);
    }

    fn bury(&mut self, queue: Arc<str>, item: Item, reason: String, now: WallTime) {
        let id = self.next_id();
        self.dead.insert(id, Dead { queue, item, reason, buried_at: now });
    }

    /// A follow-up that no queue would get is kept with the reason: failing its Commit would repeat the task for ever.
    fn bury_unroutable(&mut self, publication: &Publication, error: &Error, now: WallTime) {
        let queue: Arc<str> = publication.routing_key.as_str().into();
        let item = Item {
            exchange: publication.exchange.as_str().into(),
            routing_key: Arc::clone(&queue),
            priority: publication.priority,
            redelivered: false,
            deaths: 0,
            message: publication.message.clone(),
        };
        self.bury(queue, item, error.to_string(), now);
    }

    pub(super) fn revive(&mut self, id: u64) {
        if let Some(dead) = self.dead.remove(&id) {
            let place = self.next_id();
            self.put_back(place, &dead.queue, Item { deaths: 0, redelivered: false, ..dead.item });
        }
    }

    /// Makes ready what has fallen due.
    pub(super) fn promote(&mut self, now: WallTime) {
        for waiting in self.queues.values_mut() {
            while let Some(first) = waiting.delayed.first_entry() {
                if first.key().0 > now {
                    break;
                }
                let (_, id) = *first.key();
                let item = first.remove();
                waiting.ready.insert((rank(item.priority), id), item);
            }
        }
    }

    /// Takes at most `limit` messages of one queue.
    pub(super) fn take(&mut self, queue: &str, limit: usize, epoch: u64) -> Vec<Delivery> {
        let Some((name, _)) = self.queues.get_key_value(queue) else { return Vec::new() };
        let name = Arc::clone(name);
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(((_, id), item)) = self.queue(queue).1.ready.pop_first()
        {
            taken.push(delivery(id, epoch, &name, &item));
            self.claimed.insert(id, Claimed { epoch, queue: Arc::clone(&name), item });
        }
        taken
    }

    pub(super) fn ready(&self, queue: &str) -> usize {
        self.queues.get(queue).map_or(0, |waiting| waiting.ready.len())
    }

    /// Whether a message that is not set aside has some text in its headers.
    pub(super) fn holds(&self, text: &str) -> bool {
        let sought = Sought::plain(text);
        let waiting =
            self.queues.values().flat_map(|queue| queue.ready.values().chain(queue.delayed.values()));
        let items = waiting.chain(self.claimed.values().map(|claimed| &claimed.item));
        items.into_iter().any(|item| sought.may_be_in(&item.message.headers, &item.message.body))
    }

    /// The names of all queues, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.queues.keys().map(ToString::to_string).collect()
    }

    /// When the next message of these queues falls due.
    pub(super) fn next_due(&self, queues: &[String]) -> Option<WallTime> {
        let first =
            |name: &String| self.queues.get(name.as_str())?.delayed.keys().next().map(|(due, _)| *due);
        queues.iter().filter_map(first).min()
    }

    pub(super) fn depths(&self) -> Vec<Depth> {
        let depth = |(name, waiting): (&Arc<str>, &Waiting)| Depth {
            queue: name.to_string(),
            ready: waiting.ready.len() as u64,
            in_flight: self.claimed.values().filter(|claimed| claimed.queue == *name).count() as u64,
            delayed: waiting.delayed.len() as u64,
            dead: self.dead.values().filter(|dead| dead.queue == *name).count() as u64,
        };
        self.queues.iter().map(depth).collect()
    }

    pub(super) fn save(&mut self, record: Record, expires: Option<WallTime>, now: WallTime) {
        match self.results.get(&record.task_id) {
            Some(kept) if kept.record.state == "SUCCESS" && kept.lives(now) => {}
            _ => drop(self.results.insert(record.task_id.clone(), Kept { record, expires })),
        }
    }

    fn queue(&mut self, name: &str) -> (Arc<str>, &mut Waiting) {
        let name: Arc<str> = match self.queues.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        let waiting = self.queues.entry(Arc::clone(&name)).or_default();
        (name, waiting)
    }
}

impl Kept {
    pub(super) fn lives(&self, now: WallTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

fn delivery(id: u64, epoch: u64, queue: &Arc<str>, item: &Item) -> Delivery {
    Delivery {
        receipt: Receipt::new(Tag(id), epoch),
        queue: Arc::clone(queue),
        exchange: Arc::clone(&item.exchange),
        routing_key: Arc::clone(&item.routing_key),
        priority: item.priority,
        rank: rank(item.priority),
        redelivered: item.redelivered,
        deaths: item.deaths,
        message: item.message.clone(),
    }
}
