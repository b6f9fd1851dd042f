//! Jobs whose time has not come, nearest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::WallTime;
use crate::ident::Tag;

/// The shelf of jobs that may run later.
#[derive(Debug, Default)]
pub struct Waiting {
    heap: BinaryHeap<Reverse<(WallTime, u64, Tag)>>,
    counter: u64,
}

impl Waiting {
    /// Adds a job that may run from `due` on.
    pub fn push(&mut self, tag: Tag, due: WallTime) {
        self.counter += 1;
        self.heap.push(Reverse((due, self.counter, tag)));
    }

    /// Takes the first job whose time has come.
    pub fn pop_due(&mut self, now: WallTime) -> Option<Tag> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, tag))| tag)
    }

    /// When the next job falls due.
    pub fn next_due(&self) -> Option<WallTime> {
        self.heap.peek().map(|Reverse((due, _, _))| *due)
    }

    /// Keeps only some jobs.
    pub fn retain(&mut self, keeps: impl Fn(&Tag) -> bool) {
        self.heap.retain(|Reverse((_, _, tag))| keeps(tag));
    }

    /// How many jobs.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Takes all, in no order.
    pub fn drain(&mut self) -> impl Iterator<Item = Tag> + '_ {
        self.heap.drain().map(|Reverse((_, _, tag))| tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_fall_due_in_the_order_of_their_times_and_equal_ones_in_order_of_arrival() {
        let mut waiting = Waiting::default();
        for (tag, due) in [(1, 30), (2, 10), (3, 10)] {
            waiting.push(Tag(tag), WallTime(due));
        }
        assert_eq!(waiting.pop_due(WallTime(9)), None);
        assert_eq!(waiting.pop_due(WallTime(10)), Some(Tag(2)));
        assert_eq!(waiting.pop_due(WallTime(10)), Some(Tag(3)));
        assert_eq!(waiting.pop_due(WallTime(10)), None);
        waiting.push(Tag(4), WallTime(20));
        waiting.retain(|tag| *tag != Tag(4));
        assert_eq!((waiting.next_due(), waiting.len()), (Some(WallTime(30)), 1));
    }
}
