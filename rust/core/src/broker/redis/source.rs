//! The lists a session takes from, and what it holds of each.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::RedisConfig;
use super::dead::bare;
use super::ring::{Held, Ring};
use crate::broker::{Delivery, Receipt, Subscription};
use crate::ident::{self, ByTag, Tag};
use crate::message::Message;
use crate::message::envelope::{Opened, open};
use crate::message::legacy::modernized;
use crate::message::object::quote;

/// One list: a queue's messages of one priority step.
pub(super) struct Source {
    pub(super) place: Place,
    pub(super) queue: Arc<str>,
    /// The list's key.
    pub(super) key: String,
    /// The key of what this session took from it.
    pub(super) held: String,
    /// Messages it was last seen to hold.
    pub(super) length: u64,
    pub(super) ring: Ring,
    /// A waiting command takes from it.
    pub(super) waiting: bool,
    /// The session takes from its queue no more; it stays here, because what was taken refers to its place.
    pub(super) closed: bool,
    /// It is of the internal queue (see [`Subscription::internal`]).
    pub(super) internal: bool,
}

/// A list as it is written down with a session, for whoever reaps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) queue: String,
    pub(super) step: u8,
    pub(super) list: String,
}

/// Everything a session holds.
pub(super) struct Book {
    pub(super) sources: Vec<Source>,
    /// Where the delivery of a tag lies.
    tags: ByTag<(usize, u64)>,
    /// What came by a fanout exchange and lies nowhere on the server, by tag.
    loose: ByTag<(Arc<str>, Bytes)>,
    /// Tags of those that an exchange under way settles, and whether they are to come again.
    loosened: Vec<(u64, bool)>,
    /// The internal queue may hold something that is not known yet.
    pub(super) look_inside: bool,
    /// The name of the internal queue.
    internal: Option<String>,
    /// Held, and not yet handed out.
    pub(super) landed: VecDeque<Delivery>,
    pub(super) epoch: u64,
    /// Whether kombu's records are kept beside ours.
    mirrors: bool,
    /// What was taken and has no record yet.
    pub(super) fresh: Vec<Tag>,
}

impl Book {
    /// An empty book for a session on some queues.
    pub(super) fn new(config: &RedisConfig, subscription: &Subscription, session: &str) -> Self {
        let mut book = Self {
            sources: Vec::new(),
            internal: subscription.internal.as_ref().map(|queue| queue.name.clone()),
            tags: ByTag::default(),
            loose: ByTag::default(),
            loosened: Vec::new(),
            look_inside: true,
            landed: VecDeque::new(),
            epoch: u64::from_str_radix(&session[..16], 16).unwrap_or(1),
            mirrors: config.unacked.mirrors,
            fresh: Vec::new(),
        };
        let mut names: Vec<&str> = subscription.queues.iter().map(|queue| queue.name.as_str()).collect();
        if config.order == super::config::QueueOrder::Sorted {
            names.sort_unstable();
        }
        for name in names.into_iter().chain(subscription.internal.as_ref().map(|queue| queue.name.as_str())) {
            book.open(config, name, session);
        }
        book
    }

    /// Takes from a queue too. One that was closed is open again; a new one comes after those that are there.
    pub(super) fn open(&mut self, config: &RedisConfig, name: &str, session: &str) {
        let mut is_new = true;
        for source in self.sources.iter_mut().filter(|source| *source.queue == *name) {
            (source.closed, is_new) = (false, false);
        }
        if !is_new {
            return;
        }
        let queue: Arc<str> = name.into();
        for step in config.steps.all() {
            let list = config.keys.list_name(name, *step);
            self.sources.push(Source {
                queue: Arc::clone(&queue),
                key: config.keys.key(&list),
                held: config.keys.in_flight(&list, session),
                place: Place { queue: name.to_owned(), step: *step, list },
                length: 0,
                ring: Ring::default(),
                waiting: false,
                closed: false,
                internal: self.internal.as_deref() == Some(name),
            });
        }
    }

    /// Takes from a queue no more.
    pub(super) fn close(&mut self, name: &str) {
        for source in self.sources.iter_mut().filter(|source| *source.queue == *name) {
            source.closed = true;
        }
    }

    /// The places of lists whose lengths are asked for: those of the internal queue when something may be there.
    pub(super) fn looked_at(&self) -> impl Iterator<Item = usize> + '_ {
        let wanted = |source: &Source| !source.internal || self.look_inside || source.length > 0;
        (0..self.sources.len()).filter(move |place| wanted(&self.sources[*place]))
    }

    /// The lengths were learned.
    pub(super) fn looked(&mut self) {
        self.look_inside = false;
    }

    /// Enters what was taken from a list; the delivery, unless there was nothing in it.
    pub(super) fn enter(&mut self, source: usize, raw: Vec<u8>) -> Option<Delivery> {
        let raw = Bytes::from(raw);
        if raw.is_empty() {
            self.sources[source].ring.push_empty();
            return None;
        }
        let opened = open(&raw).unwrap_or_else(|_| unreadable(&raw));
        let tag = self.free_tag(&opened, &raw);
        let name =
            (self.mirrors && !opened.delivery_tag.is_empty()).then(|| opened.delivery_tag.as_str().into());
        if self.mirrors {
            self.fresh.push(Tag(tag));
        }
        let found = &mut self.sources[source];
        let number = found.ring.push(Held { tag, raw, deaths: opened.deaths, name });
        self.tags.insert(Tag(tag), (source, number));
        let (queue, step) = (Arc::clone(&found.queue), found.place.step);
        Some(delivery(queue, step, Receipt::new(Tag(tag), self.epoch), opened))
    }

    /// Enters what came to a queue by a fanout exchange.
    pub(super) fn enter_loose(&mut self, queue: Arc<str>, raw: Vec<u8>) -> Delivery {
        let raw = Bytes::from(raw);
        let opened = open(&raw).unwrap_or_else(|_| unreadable(&raw));
        let tag = self.free_tag(&opened, &raw);
        self.loose.insert(Tag(tag), (Arc::clone(&queue), raw));
        delivery(queue, 0, Receipt::new(Tag(tag), self.epoch), opened)
    }

    fn free_tag(&self, opened: &Opened, raw: &Bytes) -> u64 {
        let mut tag = tag_of(&opened.delivery_tag, raw);
        // The same message twice, such as one that Celery has restored while we hold it. Not the next number: a sender
        // that names all its messages alike would make this search longer with each of them.
        while self.tags.contains_key(&Tag(tag)) || self.loose.contains_key(&Tag(tag)) {
            tag = (ident::random() ^ tag).max(1);
        }
        tag
    }

    /// Settles what lies nowhere on the server, with the exchange that is being prepared. `again`: it is to come again,
    /// to this worker alone. Gives queue and bytes; `None` when it is not there.
    pub(super) fn settle_loose(&mut self, receipt: &Receipt, again: bool) -> Option<(Arc<str>, Bytes)> {
        let tag = receipt.tag().0;
        if receipt.epoch() != self.epoch || self.loosened.iter().any(|(settled, _)| *settled == tag) {
            return None;
        }
        let found = self.loose.get(&Tag(tag))?.clone();
        self.loosened.push((tag, again));
        Some(found)
    }

    /// The exchange was carried out.
    pub(super) fn apply_loose(&mut self) {
        for (tag, again) in std::mem::take(&mut self.loosened) {
            let Some((queue, raw)) = self.loose.remove(&Tag(tag)).filter(|_| again) else { continue };
            let delivery = self.enter_loose(queue, raw.to_vec());
            self.landed.push_back(delivery);
        }
    }

    /// The exchange was not carried out.
    pub(super) fn unsettle(&mut self) {
        self.loosened.clear();
        self.sources.iter_mut().for_each(|source| source.ring.unsettle());
    }

    /// Where the unsettled delivery of a receipt lies; `None` when it is not ours any more.
    pub(super) fn find(&self, receipt: &Receipt) -> Option<(usize, u64)> {
        if receipt.epoch() != self.epoch {
            return None;
        }
        let (source, number) = *self.tags.get(&receipt.tag())?;
        self.sources[source].ring.held(number).map(|_| (source, number))
    }

    /// Strikes out tags that are settled or lost.
    pub(super) fn strike(&mut self, tags: impl IntoIterator<Item = u64>) {
        for tag in tags {
            self.tags.remove(&Tag(tag));
        }
    }

    /// Enters an element that was known already, at its new place.
    pub(super) fn keep(&mut self, source: usize, held: Held) {
        let tag = held.tag;
        let number = self.sources[source].ring.push(held);
        self.tags.insert(Tag(tag), (source, number));
    }

    /// Delivery tag and record of a message that is held, as kombu writes them; `None` when there is none to write.
    pub(super) fn kombus_entry(&self, tag: Tag) -> Option<(String, Vec<u8>)> {
        let (source, number) = *self.tags.get(&tag)?;
        let held = self.sources[source].ring.held(number)?;
        let opened = open(&held.raw).ok()?;
        let mut entry = Vec::with_capacity(held.raw.len() + 64);
        entry.push(b'[');
        entry.extend_from_slice(&held.raw);
        for text in [&opened.exchange, &opened.routing_key] {
            entry.push(b',');
            quote(text, &mut entry);
        }
        entry.push(b']');
        Some((held.name.as_deref()?.to_owned(), entry))
    }

    /// Whether a delivery that was not handed out is still ours.
    pub(super) fn has(&self, receipt: &Receipt) -> bool {
        self.find(receipt).is_some() || self.loose.contains_key(&receipt.tag())
    }
}

/// The number by which a message is known here, in the machine and on the slot page. It is made from what the message
/// itself says, so that a reaper finds it again.
pub(super) fn tag_of(delivery_tag: &str, raw: &[u8]) -> u64 {
    let name = if delivery_tag.is_empty() { raw } else { delivery_tag.as_bytes() };
    // FNV-1a (Fowler, Noll, Vo): the same in every process and version.
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}

fn delivery(queue: Arc<str>, step: u8, receipt: Receipt, opened: Opened) -> Delivery {
    let Opened { message, exchange, routing_key, priority, redelivered, deaths, .. } = opened;
    let routing_key: Arc<str> = if routing_key.is_empty() && exchange.is_empty() || *routing_key == *queue {
        Arc::clone(&queue)
    } else {
        routing_key.into()
    };
    Delivery {
        receipt,
        queue,
        exchange: exchange.into(),
        routing_key,
        priority,
        rank: step,
        redelivered,
        deaths,
        message: modernized(&message).into_owned(),
    }
}

fn unreadable(raw: &Bytes) -> Opened {
    Opened {
        message: Message { ..bare(raw) },
        exchange: String::new(),
        routing_key: String::new(),
        priority: None,
        redelivered: false,
        deaths: 0,
        delivery_tag: String::new(),
    }
}
