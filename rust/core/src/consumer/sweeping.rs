//! Looking for chords that do not get on: rarely, by any worker, in the store that counts them.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant as TokioInstant;

use super::elsewhere::off_the_loop;
use crate::broker::{Subscription, release};
use crate::job::ending::Commit;
use crate::store::{Patience, Store};

/// What a release says that a sweeper has sent: whoever gets it looks more closely.
const WHY: &str = "overdue";

/// Looks every now and then; what it finds comes as Commits that send a message each.
pub(super) struct Sweeper {
    /// `None`: nobody counts chords, or none shall be looked for.
    work: Option<(Arc<dyn Store>, Patience)>,
    queue: String,
    look_at: TokioInstant,
    found: mpsc::UnboundedReceiver<Vec<Commit>>,
    finder: mpsc::UnboundedSender<Vec<Commit>>,
}

impl Sweeper {
    pub(super) fn new(store: Option<Arc<dyn Store>>, subscription: &Subscription) -> Self {
        let patience = subscription.patience.filter(|_| subscription.internal.is_some());
        let (finder, found) = mpsc::unbounded_channel();
        let first = patience.map_or_else(Default::default, |patience| patience.look_every);
        Self {
            work: store.zip(patience),
            queue: subscription.internal_queue().to_owned(),
            look_at: TokioInstant::now() + first,
            found,
            finder,
        }
    }

    /// What was found; begins to look when it is time to.
    ///
    /// # Cancel safety
    /// Cancel safe: what was found stays.
    pub(super) async fn next(&mut self) -> Vec<Commit> {
        loop {
            let Some((store, patience)) = &self.work else { return std::future::pending().await };
            tokio::select! {
                Some(commits) = self.found.recv() => return commits,
                () = tokio::time::sleep_until(self.look_at) => {
                    self.look_at = TokioInstant::now() + patience.look_every;
                    tokio::spawn(look(Arc::clone(store), *patience, self.queue.clone(), self.finder.clone()));
                }
            }
        }
    }
}

async fn look(
    store: Arc<dyn Store>,
    patience: Patience,
    queue: String,
    finder: mpsc::UnboundedSender<Vec<Commit>>,
) {
    // A store that is away is asked again the next time; results tell of the fault.
    let Ok(overdue) = off_the_loop(move || store.overdue(&patience)).await else { return };
    let commits = overdue
        .iter()
        .map(|chord| Commit { publications: vec![release(chord, &queue, WHY)], ..Commit::store(Vec::new()) });
    let _ = finder.send(commits.collect()); // nobody waits for it when the worker stops
}
