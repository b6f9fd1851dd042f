//! Soft and hard limits of running jobs, nearest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;
use crate::ident::Tag;

/// A limit that a run may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Raise in the executor.
    Soft,
    /// End the executor.
    Hard,
    /// The executor did not let go of a run that it was to end.
    Patience,
}

/// Limits by time. A run that ends leaves its entries behind; whoever takes one asks whether that run still goes on.
#[derive(Debug, Default)]
pub struct Deadlines(BinaryHeap<Reverse<(Instant, Limit, Tag, u64)>>);

impl Deadlines {
    /// Sets a limit for `run`, the run's number, of the job `tag`.
    pub fn set(&mut self, at: Instant, limit: Limit, tag: Tag, run: u64) {
        self.0.push(Reverse((at, limit, tag, run)));
    }

    /// Forgets what ended runs left behind, when that is most of it. `lives`: whether a run still goes on.
    pub fn tidy(&mut self, slots: usize, lives: impl Fn(Tag, u64) -> bool) {
        if self.0.len() > 64 + 4 * slots {
            self.0.retain(|Reverse((_, _, tag, run))| lives(*tag, *run));
        }
    }

    /// Takes the next limit that has passed.
    pub fn pop(&mut self, now: Instant) -> Option<(Limit, Tag, u64)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, limit, tag, run))| (limit, tag, run))
    }

    /// When the next limit passes.
    pub fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_ended_runs_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        for run in 1..=10_000 {
            deadlines.set(Instant(u64::MAX), Limit::Hard, Tag(run), run);
            deadlines.tidy(2, |_, other| other == run);
            assert!(deadlines.0.len() <= 72);
        }
    }

    #[test]
    fn the_nearest_limit_comes_first_and_a_soft_one_before_a_hard_one() {
        let mut deadlines = Deadlines::default();
        deadlines.set(Instant(20), Limit::Hard, Tag(1), 1);
        deadlines.set(Instant(10), Limit::Hard, Tag(2), 2);
        deadlines.set(Instant(10), Limit::Soft, Tag(2), 2);
        assert_eq!(deadlines.pop(Instant(9)), None);
        assert_eq!(deadlines.pop(Instant(10)), Some((Limit::Soft, Tag(2), 2)));
        assert_eq!(deadlines.pop(Instant(10)), Some((Limit::Hard, Tag(2), 2)));
        assert_eq!(deadlines.next(), Some(Instant(20)));
    }
}
