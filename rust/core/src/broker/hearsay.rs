//! What an ear on a connection of its own has heard, and when it tries again after a fault.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Said;
use crate::error::Error;

/// Heard and not told, in order; faults among it.
#[derive(Debug)]
pub(super) struct Hearsay {
    said: VecDeque<Said>,
    pause: Duration,
    retry_at: Instant,
}

impl Hearsay {
    /// The pause before another try: it doubles from the first to the longest.
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        Self { said: VecDeque::new(), pause: Self::FIRST_PAUSE, retry_at: Instant::now() }
    }

    /// Something was heard.
    pub(super) fn put(&mut self, said: Said) {
        self.said.push_back(said);
    }

    /// What is to be told next.
    pub(super) fn take(&mut self) -> Option<Said> {
        loop {
            match self.said.pop_front()? {
                Said::Revoked(none) if none.is_empty() => {}
                said => return Some(said),
            }
        }
    }

    /// It hears; that is told where it was told that it does not.
    pub(super) fn works(&mut self) {
        // Only a fault that was told makes the pause longer.
        let was_deaf = std::mem::replace(&mut self.pause, Self::FIRST_PAUSE) != Self::FIRST_PAUSE;
        self.said.extend(was_deaf.then_some(Said::Hears));
    }

    /// It does not; that is told once. `did`: it did until now.
    pub(super) fn broke(&mut self, did: bool, error: Error) {
        let is_first = did || self.pause == Self::FIRST_PAUSE;
        self.retry_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(Self::LONGEST_PAUSE);
        self.said.extend(is_first.then_some(Said::Deaf(error)));
    }

    /// Waits for the next try.
    pub(super) async fn rest(&self) {
        sleep_until(self.retry_at).await;
    }
}
