//! Commits gathered until it is worth while to carry them out.
//!
//! The rule of the house is: flush when idle, one flush in flight. While a flush is unanswered, Commits gather by
//! themselves. When the broker is faster than the executors that would make many tiny transactions, so Commits that
//! nobody waits for are gathered a moment longer: as long as the slots have work and the batch is small.

use std::time::Duration;

use crate::clock::Instant;
use crate::job::ending::Commit;

/// Commits that wait to be carried out.
#[derive(Debug, Default)]
pub struct Batch {
    commits: Vec<Commit>,
    since: Instant,
}

impl Batch {
    /// A batch of so many is carried out at once.
    pub const ENOUGH: usize = 256;
    /// The longest a Commit is held back, and only while the slots have work.
    pub const PATIENCE: Duration = Duration::from_millis(2);

    /// Adds Commits.
    pub fn add(&mut self, commits: impl IntoIterator<Item = Commit>, now: Instant) {
        if self.commits.is_empty() {
            self.since = now;
        }
        self.commits.extend(commits);
    }

    /// When it should be carried out: `None` when there is nothing. `hurry`: somebody waits for it.
    pub fn due(&self, hurry: bool) -> Option<Instant> {
        if self.commits.is_empty() {
            None
        } else if hurry || self.commits.len() >= Self::ENOUGH {
            Some(self.since)
        } else {
            Some(self.since.after(Self::PATIENCE))
        }
    }

    /// The Commits, for the broker to take.
    pub fn commits(&mut self) -> &mut Vec<Commit> {
        &mut self.commits
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.commits.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(count: usize) -> Vec<Commit> {
        (0..count).map(|_| Commit::store(Vec::new())).collect()
    }

    #[test]
    fn a_batch_is_due_at_once_when_somebody_waits_or_it_is_large() {
        let mut batch = Batch::default();
        assert_eq!(batch.due(true), None);
        batch.add(commits(1), Instant(100));
        batch.add(commits(1), Instant(200));
        assert_eq!(batch.due(true), Some(Instant(100)));
        assert_eq!(batch.due(false), Some(Instant(100).after(Batch::PATIENCE)));
        batch.add(commits(Batch::ENOUGH), Instant(300));
        assert_eq!(batch.due(false), Some(Instant(100)));
    }
}
