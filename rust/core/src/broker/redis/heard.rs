//! How far a worker has heard what is called off: the number of the last notice that was told.
//!
//! Messages and notices come over two connections, so a message may be here before the notice that calls it off. Each
//! notice has a number, and each transaction that takes brings the number of the last one along. What was taken waits
//! until that notice has been told; if it does not come soon the record is read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Written by the ear and by the session that reads the record, read by the session.
#[derive(Debug, Default)]
pub(super) struct Heard {
    number: AtomicU64,
    bell: Notify,
}

impl Heard {
    /// A notice takes no longer than a message, where somebody listens.
    const PATIENCE: Duration = Duration::from_millis(20);

    /// All up to this number has been told, or will be before whoever waits here goes on.
    pub(super) fn note(&self, number: u64) {
        self.number.fetch_max(number, Ordering::SeqCst);
        self.bell.notify_waiters();
    }

    /// Waits for a notice for a moment; whether all up to its number has been told.
    pub(super) async fn wait_for(&self, number: u64) -> bool {
        let has_come = async {
            loop {
                let rings = self.bell.notified();
                if self.has(number) {
                    return;
                }
                rings.await;
            }
        };
        self.has(number) || timeout(Self::PATIENCE, has_come).await.is_ok()
    }

    fn has(&self, number: u64) -> bool {
        self.number.load(Ordering::SeqCst) >= number
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_told_is_not_waited_for_and_what_comes_ends_the_wait() {
        let heard = Arc::new(Heard::default());
        assert!(heard.wait_for(0).await);
        assert!(!heard.wait_for(1).await, "nothing came");
        let other = Arc::clone(&heard);
        let waiting = tokio::spawn(async move { other.wait_for(7).await });
        tokio::task::yield_now().await;
        heard.note(8);
        assert!(waiting.await.is_ok_and(|came| came));
        heard.note(3);
        assert!(heard.wait_for(8).await, "it never goes back");
    }
}
