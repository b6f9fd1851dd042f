//! Messages on their way to a server that says when it has them. Pure.

use std::collections::VecDeque;

/// What is not confirmed yet, in the order of sending. `T` is what is known of a message.
#[derive(Debug)]
pub(super) struct Confirms<T> {
    /// The number of the first that is not; the server counts from 1.
    first: u64,
    /// Those from there on; `None`: it was confirmed.
    open: VecDeque<Option<T>>,
    waiting: usize,
    refused: Vec<T>,
}

impl<T> Default for Confirms<T> {
    fn default() -> Self {
        Self { first: 1, open: VecDeque::new(), waiting: 0, refused: Vec::new() }
    }
}

impl<T> Confirms<T> {
    /// A message was sent.
    pub(super) fn sent(&mut self, what: T) {
        self.open.push_back(Some(what));
        self.waiting += 1;
    }

    /// The server has, or refuses, the message of this number, or all up to it. Numbers it cannot know are ignored.
    pub(super) fn heard(&mut self, tag: u64, multiple: bool, taken: bool) {
        let Some(last) = tag.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        let begin = if multiple { 0 } else { last };
        for open in self.open.iter_mut().take(last.saturating_add(1)).skip(begin) {
            if let Some(what) = open.take() {
                self.waiting -= 1;
                if !taken {
                    self.refused.push(what);
                }
            }
        }
        while let Some(None) = self.open.front() {
            self.open.pop_front();
            self.first += 1;
        }
    }

    /// How many are not confirmed.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Those that were refused since it was last asked.
    pub(super) fn take_refused(&mut self) -> Vec<T> {
        std::mem::take(&mut self.refused)
    }

    /// Begins anew on another channel; gives those that nobody has confirmed.
    pub(super) fn begin_anew(&mut self) -> impl Iterator<Item = T> + use<T> {
        let Self { open, refused, .. } = std::mem::take(self);
        refused.into_iter().chain(open.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_and_multiple_answers_come_in_any_order() {
        let mut confirms = Confirms::default();
        (1..=6).for_each(|number| confirms.sent(number));
        confirms.heard(2, false, true);
        assert_eq!(confirms.waiting(), 5);
        confirms.heard(4, true, true);
        assert_eq!(confirms.waiting(), 2);
        confirms.heard(4, false, true);
        confirms.heard(6, false, false);
        assert_eq!(
            (confirms.waiting(), confirms.take_refused(), confirms.take_refused()),
            (1, vec![6], vec![])
        );
        confirms.heard(5, false, true);
        assert_eq!(confirms.waiting(), 0);
        confirms.sent(7);
        confirms.heard(7, true, true);
        assert_eq!(confirms.waiting(), 0);
    }

    #[test]
    fn what_nobody_has_confirmed_is_left_over_when_a_channel_ends() {
        let mut confirms = Confirms::default();
        (1..=5).for_each(|number| confirms.sent(number));
        confirms.heard(2, false, true);
        confirms.heard(4, false, false);
        assert_eq!(confirms.begin_anew().collect::<Vec<_>>(), [4, 1, 3, 5]);
        assert_eq!(confirms.waiting(), 0);
        confirms.sent(6);
        confirms.heard(1, false, true);
        assert_eq!(confirms.waiting(), 0);
    }

    #[test]
    fn numbers_that_cannot_be_are_ignored() {
        let mut confirms = Confirms::default();
        confirms.sent(());
        for tag in [0, 2, u64::MAX] {
            confirms.heard(tag, false, true);
        }
        assert_eq!(confirms.waiting(), 1);
        confirms.heard(u64::MAX, true, true);
        assert_eq!(confirms.waiting(), 0);
    }
}
