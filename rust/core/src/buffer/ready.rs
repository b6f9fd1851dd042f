//! First in, first out, within a rank; rank 0 first.

use std::collections::{BTreeMap, VecDeque};

use crate::ident::Tag;

/// The shelf of jobs that may run now.
#[derive(Debug, Default)]
pub struct Ready {
    ranks: BTreeMap<u8, VecDeque<Tag>>,
    length: usize,
}

impl Ready {
    /// Adds a job behind those of its rank.
    pub fn push_back(&mut self, tag: Tag, rank: u8) {
        self.ranks.entry(rank).or_default().push_back(tag);
        self.length += 1;
    }

    /// Adds a job before those of its rank.
    pub fn push_front(&mut self, tag: Tag, rank: u8) {
        self.ranks.entry(rank).or_default().push_front(tag);
        self.length += 1;
    }

    /// The first job.
    pub fn peek(&self) -> Option<Tag> {
        self.ranks.values().find_map(|queue| queue.front().copied())
    }

    /// Takes the first job. A rank seen once keeps its queue: they are few, and emptied all the time.
    pub fn pop(&mut self) -> Option<Tag> {
        let tag = self.ranks.values_mut().find_map(VecDeque::pop_front)?;
        self.length -= 1;
        Some(tag)
    }

    /// Takes the last job of the last rank.
    pub fn pop_last(&mut self) -> Option<Tag> {
        let tag = self.ranks.values_mut().rev().find_map(VecDeque::pop_back)?;
        self.length -= 1;
        Some(tag)
    }

    /// Keeps only some jobs, in their order.
    pub fn retain(&mut self, keeps: impl Fn(&Tag) -> bool) {
        self.ranks.values_mut().for_each(|queue| queue.retain(&keeps));
        self.length = self.ranks.values().map(VecDeque::len).sum();
    }

    /// How many jobs.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_rank_goes_first_and_within_a_rank_the_older() {
        let mut ready = Ready::default();
        for (tag, rank) in [(1, 5), (2, 5), (3, 0), (4, 9)] {
            ready.push_back(Tag(tag), rank);
        }
        ready.push_front(Tag(5), 5);
        let order: Vec<u64> = std::iter::from_fn(|| ready.pop()).map(|tag| tag.0).collect();
        assert_eq!(order, [3, 5, 1, 2, 4]);
        assert!(ready.is_empty());
    }

    #[test]
    fn what_is_taken_off_the_shelf_leaves_the_others_in_their_order() {
        let mut ready = Ready::default();
        for (tag, rank) in [(1, 5), (2, 5), (3, 0), (4, 5)] {
            ready.push_back(Tag(tag), rank);
        }
        ready.retain(|tag| tag.0 != 2 && tag.0 != 3);
        assert_eq!((ready.len(), ready.pop(), ready.pop()), (2, Some(Tag(1)), Some(Tag(4))));
        assert!(ready.is_empty());
    }
}
