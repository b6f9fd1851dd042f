//! Telling dead workers from stalled ones when nobody knows whether their process is gone.
//!
//! Only the watcher's own monotonic clock counts, and only while the watcher itself renews in time. The wall clock
//! may be set, and a full disk, a long lock or a suspended machine stalls everyone: the first to come back would take
//! all others for dead.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::{Instant, WallTime};

/// A peer's lease may be longer than ours: at most so many times as long is believed. The wall clock may be wrong.
const LONGEST_LEASES: u32 = 10;

/// What one worker has seen of the leases of its peers.
pub(super) struct Watch {
    term: Duration,
    /// When the watcher last renewed its own lease.
    renewed: Instant,
    seen: HashMap<i64, Sight>,
}

/// A lease that stands still.
struct Sight {
    lease_until: WallTime,
    since: Instant,
    /// How long it has to stand still until its worker is taken for dead.
    patience: Duration,
}

impl Watch {
    /// Begins to watch with a lease of that term, taken `now`.
    pub(super) fn new(term: Duration, now: Instant) -> Self {
        Self { term, renewed: now, seen: HashMap::new() }
    }

    /// The watcher has renewed its lease. If that came late, what kept it may have kept its peers as well.
    pub(super) fn renewed(&mut self, now: Instant) {
        if now.since(self.renewed) > self.term / 2 {
            self.seen.clear();
        }
        self.renewed = now;
    }

    /// The watcher could not renew its lease: perhaps nobody could.
    pub(super) fn failed(&mut self) {
        self.seen.clear();
    }

    /// Whether a peer's lease has stood still for so long that its worker counts as dead.
    pub(super) fn is_overdue(&mut self, worker: i64, lease_until: WallTime, wall: WallTime) -> bool {
        let now = self.renewed;
        let patience = lease_until.from_now(wall).clamp(self.term, self.term.saturating_mul(LONGEST_LEASES));
        let sight = self.seen.entry(worker).or_insert(Sight { lease_until, since: now, patience });
        if sight.lease_until != lease_until {
            *sight = Sight { lease_until, since: now, patience };
        }
        now.since(sight.since) >= sight.patience
    }

    /// Forgets the workers that have left.
    pub(super) fn retain(&mut self, is_present: impl Fn(i64) -> bool) {
        self.seen.retain(|worker, _| is_present(*worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(10);
    const PEER: i64 = 7;

    /// A watch that renews every two seconds, and looks at a peer each time.
    struct Watcher {
        watch: Watch,
        now: Instant,
    }

    impl Watcher {
        fn new() -> Self {
            Self { watch: Watch::new(TERM, Instant(0)), now: Instant(0) }
        }

        fn renew_after(&mut self, seconds: u64) {
            self.now = self.now.after(Duration::from_secs(seconds));
            self.watch.renewed(self.now);
        }

        fn sees(&mut self, lease_until: i64) -> bool {
            self.watch.is_overdue(PEER, WallTime(lease_until), WallTime(0))
        }

        /// Seconds until the peer is taken for dead.
        fn seconds_until_overdue(&mut self, lease_until: i64) -> u64 {
            let began = self.now;
            while !self.sees(lease_until) {
                self.renew_after(2);
            }
            self.now.since(began).as_secs()
        }
    }

    #[test]
    fn a_lease_that_stands_still_for_a_term_is_overdue_whatever_the_wall_clock_says() {
        for lease_until in [-1_000_000, 0, 10_000] {
            assert_eq!(Watcher::new().seconds_until_overdue(lease_until), 10, "{lease_until}");
        }
    }

    #[test]
    fn every_renewal_of_the_peer_begins_a_new_term() {
        let mut watcher = Watcher::new();
        for lease_until in 0..20 {
            assert!(!watcher.sees(lease_until));
            watcher.renew_after(4);
        }
        // A wall clock that was set back makes the lease end earlier: that is a renewal too.
        assert_eq!(watcher.seconds_until_overdue(-5), 10);
    }

    #[test]
    fn a_watcher_that_came_late_or_could_not_renew_begins_anew() {
        let mut watcher = Watcher::new();
        watcher.sees(0);
        watcher.renew_after(5);
        watcher.renew_after(60);
        assert_eq!(watcher.seconds_until_overdue(0), 10);
        let mut watcher = Watcher::new();
        watcher.sees(0);
        watcher.renew_after(5);
        watcher.watch.failed();
        watcher.renew_after(5);
        assert_eq!(watcher.seconds_until_overdue(0), 10);
    }

    #[test]
    fn a_longer_lease_is_waited_for_and_an_impossible_one_is_not_believed() {
        assert_eq!(Watcher::new().seconds_until_overdue(60_000), 60);
        assert_eq!(Watcher::new().seconds_until_overdue(i64::MAX), 100);
    }

    #[test]
    fn those_who_left_are_forgotten() {
        let mut watcher = Watcher::new();
        watcher.sees(0);
        watcher.watch.retain(|worker| worker == PEER);
        assert_eq!(watcher.watch.seen.len(), 1);
        watcher.watch.retain(|_| false);
        assert!(watcher.watch.seen.is_empty());
    }
}
