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
}

/// Limits by time. A run that ends leaves its entries behind; whoever takes one asks whether that run still goes on.
#[derive(Debug, Default)]
pub struct Deadlines(BinaryHeap<Reverse<(Instant, Limit, Tag, u64)>>);

impl Deadlines {
    /// Sets a limit for `run`, the run's number, of the job `tag`.
    pub fn set(&mut self, at: Instant, limit: Limit, tag: Tag, run: u64) {
        self.0.push(Reverse((at, limit, tag, run)));
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
