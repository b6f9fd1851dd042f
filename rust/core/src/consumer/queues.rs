//! Which queues to take from, while the session goes on.
//!
//! A change counts once the session has carried it out: a queue that the broker refuses must not keep the next session
//! from beginning.

use super::{Consumer, Fault, News};
use crate::broker::{Queue, Session};
use crate::error::ErrorKind;

/// A change that the session has not heard of.
#[derive(Debug)]
pub(super) enum Change {
    /// Take from these queues too.
    Consume(Vec<Queue>),
    /// Take no more from this one.
    Cancel(String),
}

impl Consumer {
    /// Carries out the first change that waits. One that the broker refuses for good is given up, and that is said.
    pub(super) async fn change_queues(&mut self, session: &mut dyn Session) -> Result<(), Fault> {
        let Some(change) = self.changes.front() else { return Ok(()) };
        let changed = match change {
            Change::Consume(queues) => session.subscribe_to(queues).await,
            Change::Cancel(queue) => session.unsubscribe_from(queue).await,
        };
        let refused = match changed {
            Ok(()) => None,
            Err(error) if error.is_temporary() || is_over(error.kind()) => return Err(Fault::Session(error)),
            Err(error) => Some(error),
        };
        if let Some(change) = self.changes.pop_front().filter(|_| refused.is_none()) {
            self.remember(change);
        }
        let mut names: Vec<String> = Vec::new();
        for queue in &self.subscription.queues {
            if !names.contains(&queue.name) {
                names.push(queue.name.clone());
            }
        }
        self.say(News::Queues { names, refused });
        Ok(())
    }

    /// The next session begins with it.
    fn remember(&mut self, change: Change) {
        let queues = &mut self.subscription.queues;
        match change {
            Change::Consume(more) => {
                queues.retain(|known| !more.contains(known));
                queues.extend(more);
            }
            Change::Cancel(name) => queues.retain(|known| known.name != name),
        }
    }
}

fn is_over(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Closed | ErrorKind::Forked)
}
