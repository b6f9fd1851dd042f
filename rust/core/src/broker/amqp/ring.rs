//! What one channel has delivered and is not settled, in the order of delivery: so that many acknowledgements are one.
//! Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::wire::call;

/// How long one that is done may wait for those before it. Children that finish their batches at different times are
/// nearly in order, and a server takes one acknowledgement for many at a small part of the cost of many.
const PATIENCE: Duration = Duration::from_millis(5);

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// To be acknowledged with the next flush.
    Done,
    /// Settled with the server.
    Settled,
}

/// The deliveries of one channel by their tags, which count from 1.
#[derive(Debug)]
pub(super) struct Ring {
    /// The tag of the first.
    first: u64,
    states: VecDeque<State>,
    open: usize,
    is_due: bool,
    /// Since when some are done and wait for those before them.
    waiting_since: Option<Instant>,
}

impl Default for Ring {
    fn default() -> Self {
        Self { first: 1, states: VecDeque::new(), open: 0, is_due: false, waiting_since: None }
    }
}

impl Ring {
    /// A delivery came. Tags come without gaps; one that does not is treated as if those before it were settled.
    pub(super) fn delivered(&mut self, tag: u64) {
        while self.first + (self.states.len() as u64) < tag {
            self.states.push_back(State::Settled);
        }
        self.states.push_back(State::Open);
        self.open += 1;
    }

    /// How many are with us.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// It is to be acknowledged.
    pub(super) fn done(&mut self, tag: u64) {
        self.become_(tag, State::Done);
        self.is_due = true;
    }

    /// It was settled by itself.
    pub(super) fn settled(&mut self, tag: u64) {
        self.become_(tag, State::Settled);
        self.is_due = true;
    }

    fn become_(&mut self, tag: u64, state: State) {
        let place = tag.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(known) = place.and_then(|place| self.states.get_mut(place))
            && *known == State::Open
        {
            *known = state;
            self.open -= 1;
        }
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
        let waiting = self.states.iter().filter(|state| **state == State::Done).count();
        if waiting == 0 {
            self.waiting_since = None;
        } else if is_over || waiting > most {
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
        let closed = self.states.iter().take_while(|state| **state != State::Open).count();
        let (mut last, mut count) = (None, 0);
        for (place, state) in self.states.drain(..closed).enumerate() {
            if state == State::Done {
                (last, count) = (Some(self.first + place as u64), count + 1);
            }
        }
        self.first += closed as u64;
        if let Some(last) = last {
            // The server must know the tag: so it is that of one that was not settled yet.
            call::ack(channel, last, count > 1, out);
        }
    }

    fn flush_waiting(&mut self, channel: u16, out: &mut Vec<u8>) {
        for (place, state) in self.states.iter_mut().enumerate().filter(|(_, state)| **state == State::Done) {
            call::ack(channel, self.first + place as u64, false, out);
            *state = State::Settled;
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
