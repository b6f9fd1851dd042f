//! Messages on their way to a server that says when it has them. Pure.

use std::collections::VecDeque;

/// What is not confirmed yet, in the order of sending.
#[derive(Debug)]
pub(super) struct Confirms {
    /// The number of the first that is not; the server counts from 1.
    first: u64,
    /// Whether each from there on was confirmed.
    open: VecDeque<bool>,
    waiting: usize,
    refused: usize,
}

impl Default for Confirms {
    fn default() -> Self {
        Self { first: 1, open: VecDeque::new(), waiting: 0, refused: 0 }
    }
}

impl Confirms {
    /// A message was sent.
    pub(super) fn sent(&mut self) {
        self.open.push_back(false);
        self.waiting += 1;
    }

    /// The server has, or refuses, the message of this number, or all up to it. Numbers it cannot know are ignored.
    pub(super) fn heard(&mut self, tag: u64, multiple: bool, taken: bool) {
        let Some(last) = tag.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        let begin = if multiple { 0 } else { last };
        for confirmed in self.open.iter_mut().take(last.saturating_add(1)).skip(begin) {
            if !std::mem::replace(confirmed, true) {
                self.waiting -= 1;
                self.refused += usize::from(!taken);
            }
        }
        while self.open.front() == Some(&true) {
            self.open.pop_front();
            self.first += 1;
        }
    }

    /// How many are not confirmed.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many were refused since it was last asked.
    pub(super) fn take_refused(&mut self) -> usize {
        std::mem::take(&mut self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_and_multiple_answers_come_in_any_order() {
        let mut confirms = Confirms::default();
        for _ in 0..6 {
            confirms.sent();
        }
        confirms.heard(2, false, true);
        assert_eq!(confirms.waiting(), 5);
        confirms.heard(4, true, true);
        assert_eq!(confirms.waiting(), 2);
        confirms.heard(4, false, true);
        confirms.heard(6, false, false);
        assert_eq!((confirms.waiting(), confirms.take_refused(), confirms.take_refused()), (1, 1, 0));
        confirms.heard(5, false, true);
        assert_eq!(confirms.waiting(), 0);
        confirms.sent();
        confirms.heard(7, true, true);
        assert_eq!(confirms.waiting(), 0);
    }

    #[test]
    fn numbers_that_cannot_be_are_ignored() {
        let mut confirms = Confirms::default();
        confirms.sent();
        for tag in [0, 2, u64::MAX] {
            confirms.heard(tag, false, true);
        }
        assert_eq!(confirms.waiting(), 1);
        confirms.heard(u64::MAX, true, true);
        assert_eq!(confirms.waiting(), 0);
    }
}
