//! Time as data: clocks are passed in, so that deciders stay pure and tests turn time by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

/// A point on a clock that never goes back, in nanoseconds since that clock began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The point `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time from `earlier` to this point; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A point on the wall clock, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

impl WallTime {
    /// The time from now to this point; zero when it has passed.
    pub fn from_now(self, now: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }

    /// The point `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// From seconds since 1970, rounded up to the millisecond so that nothing is early.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1000.0).ceil() as i64)
    }

    /// As seconds since 1970.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// Where time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks; monotonic time counts from the clock's creation.
    System(StdInstant),
    /// A clock that a test turns: both times in one place.
    Hand(Arc<HandClock>),
}

/// The time of a [`Clock::Hand`]. Written by the test, read by everyone.
#[derive(Debug, Default)]
pub struct HandClock {
    nanoseconds: AtomicU64,
}

impl HandClock {
    /// A clock that stands at `wall`.
    pub fn at(wall: WallTime) -> Self {
        let milliseconds = u64::try_from(wall.0).unwrap_or(0);
        Self { nanoseconds: AtomicU64::new(milliseconds.saturating_mul(1_000_000)) }
    }

    /// Turns both times on to `wall`; what has passed stays as it is.
    pub fn turn_to(&self, wall: WallTime) {
        let milliseconds = u64::try_from(wall.0).unwrap_or(0);
        self.nanoseconds.fetch_max(milliseconds.saturating_mul(1_000_000), Ordering::SeqCst);
    }

    /// Moves both times on.
    pub fn advance(&self, duration: Duration) {
        self.nanoseconds.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(0), Ordering::SeqCst);
    }
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self::System(StdInstant::now())
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        match self {
            Self::System(origin) => Instant(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            Self::Hand(hand) => Instant(hand.nanoseconds.load(Ordering::SeqCst)),
        }
    }

    /// Wall time.
    pub fn wall(&self) -> WallTime {
        match self {
            Self::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                WallTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Hand(hand) => WallTime((hand.nanoseconds.load(Ordering::SeqCst) / 1_000_000) as i64),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_turned_by_hand_stands_still_and_never_goes_back() {
        let hand = Arc::new(HandClock::at(WallTime(5_000)));
        let clock = Clock::Hand(Arc::clone(&hand));
        let begun = clock.now();
        hand.turn_to(WallTime(8_000));
        hand.turn_to(WallTime(6_000));
        assert_eq!(clock.wall(), WallTime(8_000));
        assert_eq!(clock.now().since(begun), Duration::from_secs(3));
    }
}
