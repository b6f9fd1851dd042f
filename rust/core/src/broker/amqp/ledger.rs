//! What a session has been given and has not settled, and what it remembers of what it lost with a connection. Pure.
//!
//! When a connection breaks, the server gives everything that was not acknowledged to others, or to us again. A run that
//! goes on here is not to be begun a second time: what comes back gets the tag that it had. And what had been settled,
//! but perhaps not heard by the server any more, is only acknowledged.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use crate::clock::Instant;
use crate::ident::{ByTag, Tag};
use crate::message::Message;
use crate::message::envelope::{DEATHS_HEADER, REDELIVERED_HEADER};
use crate::message::object::RawObject;

/// So many that were settled last are remembered: more than can be on their way to the server.
const REMEMBERED: usize = 4096;
/// Messages up to this size are kept as they are until somebody asks what they were: that is seldom.
const SMALL: usize = 4096;
/// What was acknowledged so long before a connection broke has been heard.
const UNHEARD: Duration = Duration::from_secs(30);
/// What did not come back for so long after that does not come any more.
const COMES_BACK: Duration = Duration::from_secs(600);
/// Headers that a server changes from delivery to delivery.
const CHANGING: [&str; 5] =
    ["x-delivery-count", "x-acquired-count", "x-death", REDELIVERED_HEADER, DEATHS_HEADER];

/// A delivery that was not settled.
#[derive(Debug)]
pub(super) struct Held {
    /// Which of the session's queues it came from.
    pub(super) source: usize,
    /// By which tag the channel knows it; `None`: the connection broke, and it did not come back yet.
    pub(super) place: Option<u64>,
    pub(super) message: Message,
    pub(super) priority: Option<u8>,
    pub(super) deaths: u32,
    /// It was settled, perhaps by an exchange that failed later on.
    pub(super) done: bool,
    /// It was acknowledged, so that it is not to run when it comes back.
    pub(super) is_for_good: bool,
    /// The same message was sent again: what comes back may be that one, and is to run.
    pub(super) is_sent_again: bool,
}

impl Held {
    /// A delivery that came.
    pub(super) fn new(source: usize, place: u64, message: Message) -> Self {
        let (place, priority) = (Some(place), None);
        let (done, is_for_good, is_sent_again) = (false, false, false);
        Self { source, place, message, priority, deaths: 0, done, is_for_good, is_sent_again }
    }

    /// It is settled; `acked`: for good, unless the same message was sent again.
    pub(super) fn settle(&mut self, acked: bool) {
        (self.done, self.is_for_good) = (true, acked && !self.is_sent_again);
    }
}

/// Deliveries by the tags we give them.
#[derive(Default)]
pub(super) struct Ledger {
    held: ByTag<Held>,
    last: u64,
    hash: foldhash::fast::RandomState,
    /// What was held when a connection broke, by what it is.
    orphans: HashMap<u64, Tag>,
    /// What was acknowledged lately, and when.
    finished: VecDeque<(Finished, Instant)>,
    /// Those of them that may come back, until a moment.
    unheard: HashSet<u64>,
    forget_at: Option<Instant>,
}

/// A message that was acknowledged.
enum Finished {
    /// As it is, with the queue it came from.
    Whole(Message, usize),
    /// What it is.
    What(u64),
}

/// What a delivery turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// It is new, or one that is held here and has come back: to be handed out under this tag.
    Given(Tag),
    /// It was done before: to be acknowledged.
    Done,
}

impl Ledger {
    /// Enters a delivery.
    pub(super) fn enter(&mut self, held: Held, redelivered: bool, now: Instant) -> Arrived {
        if redelivered && !(self.orphans.is_empty() && self.unheard.is_empty()) {
            if self.forget_at.is_some_and(|at| at <= now) {
                self.forget();
            }
            let what = self.what(&held.message, held.source);
            if let Some(tag) = self.orphans.remove(&what) {
                if let Some(known) = self.held.get_mut(&tag) {
                    known.place = held.place;
                    return Arrived::Given(tag);
                }
            } else if self.unheard.remove(&what) {
                return Arrived::Done;
            }
        }
        self.last += 1;
        self.held.insert(Tag(self.last), held);
        Arrived::Given(Tag(self.last))
    }

    pub(super) fn get(&self, tag: Tag) -> Option<&Held> {
        self.held.get(&tag)
    }

    pub(super) fn get_mut(&mut self, tag: Tag) -> Option<&mut Held> {
        self.held.get_mut(&tag)
    }

    /// Takes out what is settled.
    pub(super) fn leave(&mut self, tag: Tag, now: Instant) {
        let Some(held) = self.held.remove(&tag) else { return };
        if held.place.is_none() {
            let what = self.what(&held.message, held.source);
            self.orphans.remove(&what);
            if held.is_for_good {
                self.unheard.insert(what);
            }
        } else if held.is_for_good {
            let finished = if held.message.size_bytes() <= SMALL {
                Finished::Whole(held.message, held.source)
            } else {
                Finished::What(self.what(&held.message, held.source))
            };
            if self.finished.len() == REMEMBERED {
                self.finished.pop_front();
            }
            self.finished.push_back((finished, now));
        }
    }

    /// The channels of some queues are gone, and what they had given is the server's again.
    pub(super) fn lose(&mut self, is_lost: impl Fn(usize) -> bool, now: Instant) {
        let mut lost = Vec::new();
        for (tag, held) in self.held.iter_mut().filter(|(_, held)| is_lost(held.source)) {
            if held.place.take().is_some() {
                lost.push(*tag);
            }
        }
        for tag in lost {
            // What was acknowledged needs no run, whether the server has heard of it or not.
            let Some(held) = self.held.get(&tag) else { continue };
            let what = self.what(&held.message, held.source);
            if !held.done {
                self.orphans.insert(what, tag);
            } else if held.is_for_good {
                self.unheard.insert(what);
            }
        }
        for (finished, at) in std::mem::take(&mut self.finished) {
            if now.since(at) <= UNHEARD {
                let what = match finished {
                    Finished::Whole(message, source) => self.what(&message, source),
                    Finished::What(what) => what,
                };
                self.unheard.insert(what);
            }
        }
        self.forget_at = Some(now.after(COMES_BACK));
    }

    /// What did not come back is somebody else's.
    fn forget(&mut self) {
        self.unheard.clear();
        self.forget_at = None;
        for (_, tag) in self.orphans.drain() {
            self.held.remove(&tag);
        }
    }

    /// Forgets what was never handed out.
    pub(super) fn discard(&mut self, tag: Tag) {
        self.held.remove(&tag);
    }

    /// A number for what a message is: equal for deliveries of the same message only.
    fn what(&self, message: &Message, source: usize) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write_usize(source);
        let headers = std::str::from_utf8(&message.headers).unwrap_or_default();
        match RawObject::parse(headers) {
            Ok(headers) => {
                for (key, value) in headers.entries().filter(|(key, _)| !CHANGING.contains(key)) {
                    hasher.write(key.as_bytes());
                    hasher.write(value.get().as_bytes());
                }
            }
            Err(_) => hasher.write(&message.headers),
        }
        hasher.write(&message.properties);
        hasher.write(&message.body);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(id: &str, place: u64) -> Held {
        let headers = format!(r#"{{"id":"{id}","x-delivery-count":{place}}}"#);
        let message = Message { headers: headers.into(), ..Message::default() };
        Held::new(0, place, message)
    }

    fn given(arrived: Arrived) -> Tag {
        match arrived {
            Arrived::Given(tag) => tag,
            Arrived::Done => panic!("it is done"),
        }
    }

    fn acked(ledger: &mut Ledger, tag: Tag, now: Instant) {
        ledger.get_mut(tag).unwrap().settle(true);
        ledger.leave(tag, now);
    }

    #[test]
    fn what_was_acknowledged_and_sent_again_runs_when_it_comes_back() {
        let mut ledger = Ledger::default();
        for (place, is_written) in [(1, true), (2, false)] {
            let tag = given(ledger.enter(held("parked", place), false, NOW));
            ledger.get_mut(tag).unwrap().is_sent_again = true;
            ledger.get_mut(tag).unwrap().settle(true);
            if is_written {
                ledger.leave(tag, NOW);
            }
        }
        ledger.lose(|_| true, NOW);
        given(ledger.enter(held("parked", 3), true, NOW));
    }

    #[test]
    fn what_was_given_back_when_the_connection_broke_runs_when_it_comes_back() {
        let mut ledger = Ledger::default();
        let tag = given(ledger.enter(held("1", 1), false, NOW));
        ledger.get_mut(tag).unwrap().settle(false);
        ledger.lose(|_| true, NOW);
        assert_ne!(given(ledger.enter(held("1", 2), true, NOW)), tag);
    }

    const NOW: Instant = Instant(1_000_000_000_000);

    #[test]
    fn what_comes_back_while_it_is_held_gets_its_old_tag() {
        let mut ledger = Ledger::default();
        let one = given(ledger.enter(held("1", 1), false, NOW));
        let two = given(ledger.enter(held("2", 2), false, NOW));
        ledger.lose(|_| true, NOW);
        assert_eq!(ledger.get(one).unwrap().place, None);
        assert_eq!(given(ledger.enter(held("2", 7), true, NOW)), two);
        assert_eq!(ledger.get(two).unwrap().place, Some(7));
        // Another message with the same id, sent by somebody, is another one.
        assert_ne!(given(ledger.enter(held("1", 8), false, NOW)), one);
    }

    #[test]
    fn what_was_finished_is_only_acknowledged_when_it_comes_back() {
        let mut ledger = Ledger::default();
        let before = given(ledger.enter(held("before", 1), false, NOW));
        let long_before = given(ledger.enter(held("long before", 2), false, NOW));
        let meanwhile = given(ledger.enter(held("meanwhile", 3), false, NOW));
        let released = given(ledger.enter(held("released", 4), false, NOW));
        acked(&mut ledger, long_before, NOW);
        let later = NOW.after(Duration::from_secs(40));
        acked(&mut ledger, before, later);
        ledger.lose(|_| true, later);
        acked(&mut ledger, meanwhile, later);
        ledger.get_mut(released).unwrap().settle(false);
        ledger.leave(released, later);
        assert_eq!(ledger.enter(held("before", 5), true, later), Arrived::Done);
        assert_eq!(ledger.enter(held("meanwhile", 6), true, later), Arrived::Done);
        for (id, place) in [("long before", 7), ("released", 8), ("before", 9)] {
            given(ledger.enter(held(id, place), true, later));
        }
    }

    #[test]
    fn nothing_is_remembered_for_ever() {
        let mut ledger = Ledger::default();
        let one = given(ledger.enter(held("1", 1), false, NOW));
        let two = given(ledger.enter(held("2", 2), false, NOW));
        acked(&mut ledger, two, NOW);
        ledger.lose(|_| true, NOW);
        let later = NOW.after(Duration::from_secs(601));
        assert_ne!(given(ledger.enter(held("1", 3), true, later)), one);
        given(ledger.enter(held("2", 4), true, later));
        assert!(ledger.get(one).is_none());
    }

    #[test]
    fn a_channel_is_lost_alone() {
        let mut ledger = Ledger::default();
        let mine = given(ledger.enter(held("1", 1), false, NOW));
        let other = given(ledger.enter(Held { source: 1, ..held("2", 1) }, false, NOW));
        ledger.lose(|source| source == 1, NOW);
        assert_eq!((ledger.get(mine).unwrap().place, ledger.get(other).unwrap().place), (Some(1), None));
    }
}
