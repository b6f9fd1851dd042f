//! How densely messages come from a server that pushes them, and how long to let them gather. Pure.
//!
//! Such a server writes a few messages at a time. To take each few at once costs both sides a round of system calls for
//! them, and where the two share cores it slows the server down: so dense messages are let gather for a moment.

use std::time::Duration;

use tokio::time::Instant;

/// From so many messages a second on they are dense: some come within the moment that one of them waits.
const DENSE: f64 = 4_000.0;
/// How long they gather. Timers of the runtime count milliseconds, so it is up to one longer.
const GATHER: Duration = Duration::from_micros(200);
/// Their number is averaged over about this time.
const OVER: Duration = Duration::from_millis(5);

/// How densely messages came lately.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { per_second: 0.0, at: now }
    }

    /// An exchange brought so many.
    pub(super) fn note(&mut self, now: Instant, count: usize) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64().max(1e-6);
        let weight = (seconds / OVER.as_secs_f64()).min(1.0);
        self.per_second += (count as f64 / seconds - self.per_second) * weight;
        self.at = now;
    }

    /// No exchange is worth its while before this moment.
    pub(super) fn next(&self) -> Instant {
        if self.per_second < DENSE { self.at } else { self.at + GATHER }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn only_dense_messages_gather() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.next(), now);
        let mut note = |pace: &mut Pace, after, count| {
            now += after;
            pace.note(now, count);
            pace.next() - now
        };
        for _ in 0..20 {
            assert_eq!(note(&mut pace, MILLISECOND, 2), Duration::ZERO);
        }
        let gathered = (0..20).map(|_| note(&mut pace, MILLISECOND, 20)).collect::<Vec<_>>();
        assert_eq!(gathered.last(), Some(&GATHER));
        assert_eq!(note(&mut pace, MILLISECOND * 50, 1), Duration::ZERO, "a pause ends it at once");
    }

    #[test]
    fn a_few_at_once_are_not_dense_yet() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        pace.note(now + MILLISECOND, 10);
        assert_eq!(pace.next(), now + MILLISECOND);
    }
}
