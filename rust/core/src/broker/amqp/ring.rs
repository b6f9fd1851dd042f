//! What one channel has delivered and is not settled, in the order of delivery: so that many acknowledgements are one.
//! Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::wire::call;

/// How long one that is done may wait for those before it. Children that finish their batches at different times are
/// nearly in order, and a server takes one acknowledgement for many at a small part of the cost of many.
const PATIENCE: Duration = Duration::from_millis(5);

/// The deliveries of one channel by their tags, which rise. It is as large as what is open, however long the first of
/// them runs.
#[derive(Debug, Default)]
pub(super) struct Ring {
    open: BTreeSet<u64>,
    /// To be acknowledged.
    done: Vec<u64>,
    is_due: bool,
    /// Since when some are done and wait for those before them.
    waiting_since: Option<Instant>,
}

impl Ring {
    /// A delivery came.
    pub(super) fn delivered(&mut self, tag: u64) {
        self.open.insert(tag);
    }

    /// How many are with us.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// It is to be acknowledged.
    pub(super) fn done(&mut self, tag: u64) {
        if self.open.remove(&tag) {
            self.done.push(tag);
        }
        self.is_due = true;
    }

    /// It was settled by itself.
    pub(super) fn settled(&mut self, tag: u64) {
        self.open.remove(&tag);
        self.is_due = true;
    }

    /// Whether something was done since the last flush.
    pub(super) fn is_due(&self) -> bool {
        self.is_due
    }

    /// When those that wait for others are to be acknowledged at the latest.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + PATIENCE)
    }

    /// Writes the acknowledgements that are due: one for all up to the first that is open. Those behind it wait a little,
    /// as long as they are no more than `most`, and are then acknowledged one by one.
    pub(super) fn flush(&mut self, channel: u16, now: Instant, most: usize, out: &mut Vec<u8>) {
        let is_over = self.due_at().is_some_and(|due_at| due_at <= now);
        if !std::mem::take(&mut self.is_due) && !is_over {
            return;
        }
        self.flush_closed(channel, out);
        if self.done.is_empty() {
            self.waiting_since = None;
        } else if is_over || self.done.len() > most {
            self.flush_waiting(channel, out);
        } else {
            self.waiting_since.get_or_insert(now);
        }
    }

    /// Writes every acknowledgement there is: nothing comes after it.
    pub(super) fn flush_all(&mut self, channel: u16, out: &mut Vec<u8>) {
        self.flush_closed(channel, out);
        self.flush_waiting(channel, out);
    }

    fn flush_closed(&mut self, channel: u16, out: &mut Vec<u8>) {
        let first_open = self.open.first().copied().unwrap_or(u64::MAX);
        let (mut last, mut count) = (0, 0);
        self.done.retain(|tag| {
            let is_closed = *tag < first_open;
            if is_closed {
                (last, count) = (last.max(*tag), count + 1);
            }
            !is_closed
        });
        if count > 0 {
            // The server must know the tag: so it is that of one that was not settled yet.
            call::ack(channel, last, count > 1, out);
        }
    }

    fn flush_waiting(&mut self, channel: u16, out: &mut Vec<u8>) {
        self.done.sort_unstable();
        for tag in self.done.drain(..) {
            call::ack(channel, tag, false, out);
        }
        self.waiting_since = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::{Inbox, Incoming, Method};
    use super::*;

    fn acks(bytes: &[u8]) -> Vec<(u64, bool)> {
        let mut inbox = Inbox::default();
        inbox.room()[..bytes.len()].copy_from_slice(bytes);
        inbox.came(bytes.len());
        let mut found = Vec::new();
        while let Some(incoming) = inbox.next().unwrap() {
            let Incoming::Method(7, Method::Ack { tag, multiple }) = incoming else { panic!("{incoming:?}") };
            found.push((tag, multiple));
        }
        found
    }

    fn flushed(ring: &mut Ring) -> Vec<(u64, bool)> {
        let mut out = Vec::new();
        ring.flush(7, Instant::now(), 0, &mut out);
        acks(&out)
    }

    #[test]
    fn those_behind_an_open_one_wait_for_it_a_little() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        let flushed_at = |ring: &mut Ring, now| {
            let mut out = Vec::new();
            ring.flush(7, now, 3, &mut out);
            acks(&out)
        };
        (1..=9).for_each(|tag| ring.delivered(tag));
        ring.done(2);
        ring.done(4);
        assert_eq!(flushed_at(&mut ring, now), []);
        assert_eq!(ring.due_at(), Some(now + PATIENCE));
        ring.done(1);
        assert_eq!(flushed_at(&mut ring, now + PATIENCE / 2), [(2, true)]);
        assert_eq!(flushed_at(&mut ring, now + PATIENCE), [(4, false)]);
        assert_eq!((flushed_at(&mut ring, now + PATIENCE), ring.due_at()), (vec![], None));
        (5..=8).for_each(|tag| ring.done(tag));
        let more_than_may_wait = [(5, false), (6, false), (7, false), (8, false)];
        assert_eq!(flushed_at(&mut ring, now + PATIENCE), more_than_may_wait);
        ring.done(3);
        assert_eq!((flushed_at(&mut ring, now + PATIENCE), ring.due_at()), (vec![(3, false)], None));
    }

    #[test]
    fn at_the_end_nothing_waits() {
        let (mut ring, mut out) = (Ring::default(), Vec::new());
        (1..=3).for_each(|tag| ring.delivered(tag));
        ring.done(2);
        ring.flush(7, Instant::now(), 3, &mut out);
        ring.done(3);
        ring.flush_all(7, &mut out);
        assert_eq!((acks(&out), ring.due_at()), (vec![(2, false), (3, false)], None));
    }

    #[test]
    fn all_up_to_the_first_open_one_are_one_acknowledgement() {
        let mut ring = Ring::default();
        (1..=8).for_each(|tag| ring.delivered(tag));
        for tag in [2, 1, 3, 6] {
            ring.done(tag);
        }
        assert_eq!(flushed(&mut ring), [(3, true), (6, false)]);
        assert_eq!(flushed(&mut ring), []);
        ring.settled(4);
        ring.done(5);
        assert_eq!(flushed(&mut ring), [(5, false)]);
        ring.done(7);
        ring.done(8);
        ring.done(8);
        assert_eq!(flushed(&mut ring), [(8, true)]);
        assert_eq!(ring.open(), 0);
    }

    #[test]
    fn one_that_runs_for_long_does_not_make_it_grow() {
        let (mut ring, mut out) = (Ring::default(), Vec::new());
        ring.delivered(1);
        for tag in 2..10_000 {
            ring.delivered(tag);
            ring.done(tag);
            ring.flush(7, Instant::now(), 0, &mut out);
        }
        assert_eq!((ring.open.len(), ring.done.len()), (1, 0));
        assert_eq!(out.len(), 9_998 * acks_of_one().len());
    }

    fn acks_of_one() -> Vec<u8> {
        let mut out = Vec::new();
        call::ack(7, 1, false, &mut out);
        out
    }

    #[test]
    fn what_was_settled_before_is_not_named_again() {
        let mut ring = Ring::default();
        (1..=3).for_each(|tag| ring.delivered(tag));
        ring.done(2);
        assert_eq!(flushed(&mut ring), [(2, false)]);
        ring.done(1);
        assert_eq!(flushed(&mut ring), [(1, false)]);
        ring.done(99);
        ring.done(0);
        assert_eq!((flushed(&mut ring), ring.open()), (vec![], 1));
    }

    proptest! {
        #[test]
        fn every_delivery_is_acknowledged_once_whatever_the_order(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(), every in 1_usize..9,
        ) {
            let mut ring = Ring::default();
            (1..=40).for_each(|tag| ring.delivered(tag));
            let mut open: std::collections::BTreeSet<u64> = (1..=40).collect();
            for (position, tag) in order.iter().enumerate() {
                ring.done(*tag);
                if position % every == 0 || position == 39 {
                    for (tag, multiple) in flushed(&mut ring) {
                        prop_assert!(open.contains(&tag), "the server does not know {tag}");
                        open.retain(|known| if multiple { *known > tag } else { *known != tag });
                    }
                    let done: std::collections::BTreeSet<u64> = order[..=position].iter().copied().collect();
                    prop_assert!(open.iter().all(|tag| !done.contains(tag)));
                    prop_assert_eq!(open.len(), 39 - position);
                }
            }
        }
    }
}
