//! Commits on their way to a session's thread and back.

use tokio::sync::oneshot;

use crate::broker::Harvest;
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};
use crate::job::ending::Commit;

/// Commits to be carried out. They come back to whoever gave them, even when the thread is gone or dies of them:
/// dropped unanswered, the load answers by itself.
pub(super) struct Load {
    pub(super) commits: Vec<Commit>,
    answer: Option<oneshot::Sender<Exchanged>>,
}

/// The answer to a [`Load`]. The Commits come back: empty when they were carried out.
pub(super) struct Exchanged {
    pub(super) commits: Vec<Commit>,
    pub(super) result: Result<Harvest>,
    pub(super) next_due: Option<WallTime>,
}

impl Load {
    pub(super) fn new(commits: Vec<Commit>, answer: oneshot::Sender<Exchanged>) -> Self {
        Self { commits, answer: Some(answer) }
    }

    /// Tells that they were carried out.
    pub(super) fn done(mut self, harvest: Harvest, next_due: Option<WallTime>) {
        self.commits.clear();
        self.give_back(Ok(harvest), next_due);
    }

    /// Gives them back with the error.
    pub(super) fn failed(mut self, error: Error) {
        self.give_back(Err(error), None);
    }

    fn give_back(&mut self, result: Result<Harvest>, next_due: Option<WallTime>) {
        if let Some(answer) = self.answer.take() {
            let commits = std::mem::take(&mut self.commits);
            // An answer nobody waits for any more is no fault: the order was carried out all the same.
            drop(answer.send(Exchanged { commits, result, next_due }));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.give_back(Err(gone()), None);
    }
}

/// The error of a session whose thread has ended.
pub(super) fn gone() -> Error {
    Error::new(ErrorKind::Unexpected, "the session's thread has ended")
}
