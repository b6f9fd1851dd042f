//! When a dead child is replaced: at once, unless children die of their start. Pure.

use std::time::Duration;

use crate::clock::Instant;
use crate::ident::SlotId;

/// Planned replacements.
#[derive(Debug, Default)]
pub struct Replacement {
    planned: Vec<(Instant, SlotId)>,
    /// Deaths in a row that may have been of the start, without a run that ended in between.
    fruitless: u32,
}

impl Replacement {
    /// So many children in a row may die without a finished run before the pauses begin.
    const FREE: u32 = 3;
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(10);

    /// A run ended: children do get on.
    pub fn got_on(&mut self) {
        self.fruitless = 0;
    }

    /// Plans the successor of a child that is gone. `of_its_start`: it may have died of its own start, so that its
    /// successor would, too.
    pub fn plan(&mut self, slot: SlotId, of_its_start: bool, now: Instant) {
        let pause = if of_its_start { self.pause() } else { Duration::ZERO };
        self.planned.push((now.after(pause), slot));
    }

    /// How long to wait after one more fruitless death.
    fn pause(&mut self) -> Duration {
        self.fruitless += 1;
        match self.fruitless.saturating_sub(Self::FREE) {
            0 => Duration::ZERO,
            doublings => Self::FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(Self::LONGEST_PAUSE),
        }
    }

    /// Takes the slots whose successor is due.
    pub fn take_due(&mut self, now: Instant) -> Vec<SlotId> {
        let mut due = Vec::new();
        self.planned.retain(|(at, slot)| {
            let later = *at > now;
            if !later {
                due.push(*slot);
            }
            later
        });
        due
    }

    /// Whether a slot is to be filled again.
    pub fn is_planned(&self, slot: SlotId) -> bool {
        self.planned.iter().any(|(_, planned)| *planned == slot)
    }

    /// When the next successor is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.planned.iter().map(|(at, _)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_worked_is_replaced_at_once_and_one_that_cannot_start_after_growing_pauses() {
        let mut replacement = Replacement::default();
        for _ in 0..Replacement::FREE {
            replacement.plan(SlotId(0), true, Instant(0));
            assert_eq!(replacement.take_due(Instant(0)), [SlotId(0)]);
        }
        replacement.plan(SlotId(0), true, Instant(0));
        assert!(replacement.take_due(Instant(0)).is_empty());
        assert_eq!(replacement.next_due(), Some(Instant(200_000_000)));
        replacement.take_due(Instant(u64::MAX));
        replacement.got_on();
        replacement.plan(SlotId(0), true, Instant(5));
        assert_eq!(replacement.take_due(Instant(5)), [SlotId(0)]);
    }

    #[test]
    fn a_child_that_had_begun_to_work_is_replaced_at_once_whatever_befell_others() {
        let mut replacement = Replacement::default();
        for death in 0..10 {
            replacement.plan(SlotId(1), true, Instant(death));
            replacement.plan(SlotId(0), false, Instant(death));
            assert!(replacement.take_due(Instant(death)).contains(&SlotId(0)));
        }
    }
}
