//! Waiting for other processes' transactions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long statements of one connection may wait for others. SQLite's own handler sleeps up to 100 ms and is unfair.
pub(super) struct Patience {
    origin: Instant,
    /// Nanoseconds since `origin`. Written by the borrower, read by the busy handler on the same thread.
    until: AtomicU64,
}

impl Patience {
    /// Rounds of yielding before the first sleep: a commit takes some ten microseconds.
    const SPINS: i32 = 40;

    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), until: AtomicU64::new(0) }
    }

    pub(super) fn until(&self, deadline: Instant) {
        let nanoseconds = deadline.saturating_duration_since(self.origin).as_nanos();
        self.until.store(u64::try_from(nanoseconds).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn wait(&self, count: i32) -> bool {
        let now = self.origin.elapsed().as_nanos() as u64;
        if now >= self.until.load(Ordering::Relaxed) {
            return false;
        }
        if count < Self::SPINS {
            std::thread::yield_now();
        } else {
            // Spread out, so that those who wait do not all come back together.
            sleep(Duration::from_micros(200 + now % 800));
        }
        true
    }
}

pub(super) fn yield_briefly() {
    sleep(Duration::from_millis(1));
}

#[expect(clippy::disallowed_methods, reason = "SQLite's locks cannot be waited for, only tried again")]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}
