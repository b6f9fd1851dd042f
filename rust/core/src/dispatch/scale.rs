//! How many slots a worker should have, between two bounds. Pure.
//!
//! It grows quickly: a job that has waited for a slot for [`PATIENCE`] while all were busy gets another one, half as
//! many again at a time. It shrinks slowly: slots that were never all needed at once for [`KEPT`] go. What is needed
//! for a moment only brings nothing into being, and a pause between two rushes ends nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;

/// How long a job waits before a slot is made for it; and how long new slots have to show what they bring.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long slots that nobody needs are kept. Celery's AUTOSCALE_KEEPALIVE.
const KEPT: Duration = Duration::from_secs(30);

/// How the slots are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Slots that take jobs, or soon will.
    pub slots: usize,
    /// Those that have one.
    pub busy: usize,
    /// A job waits for a slot, and none is free.
    pub pressed: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Stay,
    /// Make so many.
    Grow(usize),
    /// Let so many idle ones go.
    Shrink(usize),
}

/// Decides how many slots there should be.
#[derive(Debug)]
pub struct Scale {
    least: usize,
    most: usize,
    pressed_since: Option<Instant>,
    /// The largest numbers of busy slots of late: falling, each with the moment it was seen last.
    peaks: VecDeque<(Instant, usize)>,
}

impl Scale {
    /// Between `least` and `most` slots.
    pub fn new(least: usize, most: usize) -> Self {
        Self { least, most: most.max(least), pressed_since: None, peaks: VecDeque::new() }
    }

    /// As [`Scale::new`]; `None` when there is nothing to decide.
    pub fn between(least: u32, most: u32) -> Option<Self> {
        (most > least).then(|| Self::new(least as usize, most as usize))
    }

    /// Whether there may be more than `slots`.
    pub fn may_grow(&self, slots: usize) -> bool {
        slots < self.most
    }

    /// Looks at the load, and says what follows.
    pub fn observe(&mut self, now: Instant, load: Load) -> Change {
        self.remember(now, load.busy);
        let pressed = load.pressed && self.may_grow(load.slots);
        let since = *self.pressed_since.get_or_insert(now);
        if !pressed {
            self.pressed_since = None;
        } else if now >= since.after(PATIENCE) {
            self.pressed_since = None;
            return Change::Grow((load.slots / 2).clamp(1, self.most - load.slots));
        }
        let spare = load.slots.saturating_sub(self.needed(now));
        if spare == 0 || load.pressed { Change::Stay } else { Change::Shrink(spare) }
    }

    /// When time alone may change something.
    pub fn next_wake(&self, slots: usize) -> Option<Instant> {
        let grow = self.pressed_since.map(|since| since.after(PATIENCE));
        let oldest = self.peaks.front().filter(|_| slots > self.least && self.peaks.len() > 1);
        [grow, oldest.map(|(seen, _)| seen.after(KEPT))].into_iter().flatten().min()
    }

    fn remember(&mut self, now: Instant, busy: usize) {
        while self.peaks.back().is_some_and(|(_, lower)| *lower <= busy) {
            self.peaks.pop_back();
        }
        self.peaks.push_back((now, busy));
        while self.peaks.len() > 1 && self.peaks.front().is_some_and(|(seen, _)| now >= seen.after(KEPT)) {
            self.peaks.pop_front();
        }
    }

    /// As many as were busy at once of late.
    fn needed(&self, now: Instant) -> usize {
        let peak = self.peaks.front().filter(|(seen, _)| now < seen.after(KEPT)).map_or(0, |(_, busy)| *busy);
        peak.max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    fn load(slots: usize, busy: usize, pressed: bool) -> Load {
        Load { slots, busy, pressed }
    }

    #[test]
    fn a_job_that_waits_for_a_while_gets_another_slot_and_so_on_up_to_the_bound() {
        let mut scale = Scale::new(2, 10);
        assert_eq!(scale.observe(at(0), load(2, 2, true)), Change::Stay);
        assert_eq!(scale.next_wake(2), Some(at(250)));
        assert_eq!(scale.observe(at(250), load(2, 2, true)), Change::Grow(1));
        assert_eq!(scale.observe(at(300), load(3, 3, true)), Change::Stay);
        assert_eq!(scale.observe(at(550), load(3, 3, true)), Change::Grow(1));
        assert_eq!(scale.observe(at(600), load(8, 8, true)), Change::Stay);
        assert_eq!(scale.observe(at(850), load(8, 8, true)), Change::Grow(2));
        assert_eq!(scale.observe(at(900), load(10, 10, true)), Change::Stay);
        assert_eq!(scale.observe(at(9000), load(10, 10, true)), Change::Stay);
    }

    #[test]
    fn a_rush_that_ends_at_once_makes_no_slot() {
        let mut scale = Scale::new(1, 4);
        for round in 0..100 {
            assert_eq!(scale.observe(at(round * 200), load(1, 1, true)), Change::Stay);
            assert_eq!(scale.observe(at(round * 200 + 100), load(1, 1, false)), Change::Stay);
        }
    }

    #[test]
    fn slots_go_that_were_not_needed_at_once_for_half_a_minute() {
        let mut scale = Scale::new(1, 8);
        assert_eq!(scale.observe(at(0), load(8, 8, false)), Change::Stay);
        assert_eq!(scale.observe(at(10_000), load(8, 3, false)), Change::Stay);
        assert_eq!(scale.observe(at(20_000), load(8, 0, false)), Change::Stay);
        assert_eq!(scale.next_wake(8), Some(at(30_000)));
        assert_eq!(scale.observe(at(30_000), load(8, 0, false)), Change::Shrink(5));
        assert_eq!(scale.next_wake(3), Some(at(40_000)));
        assert_eq!(scale.observe(at(40_000), load(3, 0, false)), Change::Shrink(2));
        assert_eq!(scale.next_wake(1), None);
        assert_eq!(scale.observe(at(90_000), load(1, 0, false)), Change::Stay);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_the_load(
            loads in prop::collection::vec((0_u64..20_000, 0_usize..12, any::<bool>()), 1..200)
        ) {
            let mut scale = Scale::new(2, 9);
            let (mut now, mut slots) = (0, 2);
            for (after, busy, pressed) in loads {
                now += after;
                match scale.observe(at(now), load(slots, busy.min(slots), pressed)) {
                    Change::Stay => {}
                    Change::Grow(more) => slots += more,
                    Change::Shrink(fewer) => slots -= fewer,
                }
                prop_assert!((2..=9).contains(&slots), "{slots}");
            }
        }
    }
}
