//! The order of closing, and why. Pure.
//!
//! 1. Nothing more is taken; what has not started goes back at once (machine), so that other workers need not wait.
//! 2. What runs may finish: without limit, or within the given time; then it is ended and goes back.
//! 3. When no job is in hand, the consumer settles what is left and ends the session; only then is the lease given up,
//!    so that nobody takes over what is still to be settled.
//! 4. The executors leave: their pipes say so; those that do not within a while are killed.
//! 5. The nursery goes last: it alone can say how its children ended.

use std::time::Duration;

use super::config::StopHow;
use crate::clock::Instant;
use crate::dispatch::Input;

/// A stop under way, or not.
#[derive(Debug, Default)]
pub(super) struct Stop {
    /// How long running jobs have after a warm stop.
    within: Option<Duration>,
    /// How long they have after a soft one.
    soft_within: Duration,
    how: Option<StopHow>,
    began_at: Instant,
    /// When a soft stop began.
    soft_at: Option<Instant>,
    draining: bool,
    settled: Option<bool>,
    parting: Parting,
    over: bool,
    failure: Option<String>,
    drain_began_at: Option<Instant>,
}

/// How far it has come with the executors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Parting {
    /// They have work, or may get some.
    #[default]
    Staying,
    /// They were asked to leave.
    Asked,
    /// Those that did not leave were killed.
    Killed,
    /// Some are there all the same, and are not waited for.
    GivenUp,
}

impl Stop {
    /// How long executors have to leave when they have nothing left to do.
    const LEAVE_WITHIN: Duration = Duration::from_secs(3);

    pub(super) fn new(within: Option<Duration>, soft_within: Duration) -> Self {
        Self { within, soft_within, ..Self::default() }
    }

    /// Begins a stop, or makes one that is under way more urgent; the machine's input, unless nothing changes.
    pub(super) fn begin(&mut self, how: StopHow, now: Instant) -> Option<Input> {
        if self.how.is_some_and(|before| before >= how) {
            return None;
        }
        if self.how.is_none() {
            self.began_at = now;
        }
        self.soft_at = (how == StopHow::Soft).then_some(now).or(self.soft_at);
        self.how = Some(how);
        Some(Input::Stop { at_once: how == StopHow::Cold })
    }

    /// The worker stops because something broke.
    pub(super) fn fail(&mut self, reason: &str) {
        self.failure.get_or_insert_with(|| reason.to_owned());
    }

    pub(super) fn has_begun(&self) -> bool {
        self.how.is_some()
    }

    /// Running jobs have had their time.
    pub(super) fn must_hurry(&self, now: Instant) -> bool {
        self.hurry_at().is_some_and(|at| now >= at)
    }

    fn hurry_at(&self) -> Option<Instant> {
        let under_way = matches!(self.how, Some(StopHow::Warm | StopHow::Soft)) && !self.draining;
        let warm = self.within.map(|within| self.began_at.after(within));
        let soft = self.soft_at.map(|since| since.after(self.soft_within));
        [warm, soft].into_iter().flatten().min().filter(|_| under_way)
    }

    /// No job is in hand: the consumer may be told to drain. True once.
    pub(super) fn may_drain(&mut self, empty: bool) -> bool {
        let may = self.has_begun() && empty && !self.draining;
        self.draining |= may;
        may
    }

    /// The executors have nothing left to do: they may be asked to leave. True once.
    pub(super) fn may_retire(&mut self) -> bool {
        // The consumer may end by itself, without having been told to drain.
        self.draining && self.part(Parting::Asked)
    }

    /// The consumer has ended.
    pub(super) fn settled(&mut self, clean: bool) {
        self.settled = Some(clean);
        self.draining = true;
        self.how.get_or_insert(StopHow::Warm);
    }

    /// Executors that should have left by now may be killed. True once.
    pub(super) fn may_kill(&mut self, now: Instant) -> bool {
        if self.draining && self.drain_began_at.is_none() {
            self.drain_began_at = Some(now);
        }
        self.kill_at().is_some_and(|at| now >= at) && self.part(Parting::Killed)
    }

    fn kill_at(&self) -> Option<Instant> {
        Some(self.drain_began_at?.after(Self::LEAVE_WITHIN))
    }

    /// When executors that have not left are killed, or given up.
    fn leave_at(&self) -> Option<Instant> {
        match self.parting {
            Parting::Staying | Parting::Asked => self.kill_at(),
            Parting::Killed => Some(self.kill_at()?.after(Self::LEAVE_WITHIN)),
            Parting::GivenUp => None,
        }
    }

    /// Goes a step further with the executors; false when it had come as far before.
    fn part(&mut self, step: Parting) -> bool {
        let further = self.parting < step;
        self.parting = self.parting.max(step);
        further
    }

    /// Everybody has left, or has been killed a while ago: the nursery may go. True once.
    pub(super) fn may_quit(&mut self, nobody_left: bool, now: Instant) -> bool {
        if self.parting == Parting::Killed && self.leave_at().is_some_and(|at| now >= at) {
            self.parting = Parting::GivenUp;
        }
        let gone = nobody_left || self.parting == Parting::GivenUp;
        let may = !self.over && self.settled.is_some() && gone;
        self.over |= may;
        may
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Everything was settled or given back, and nothing broke.
    pub(super) fn was_clean(&self) -> bool {
        self.settled == Some(true) && self.failure.is_none()
    }

    /// When time alone brings the stop on; nothing that has been acted upon is due again.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        [self.hurry_at(), self.leave_at()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_warm_stop_turns_cold_when_its_time_is_over_and_closes_in_order() {
        let mut stop = Stop::new(Some(Duration::from_secs(25)), Duration::ZERO);
        assert!(matches!(stop.begin(StopHow::Warm, Instant(0)), Some(Input::Stop { at_once: false })));
        assert!(stop.begin(StopHow::Warm, Instant(1)).is_none());
        assert!(!stop.may_drain(false) && !stop.must_hurry(Instant(24 * SECOND)));
        assert!(stop.must_hurry(Instant(25 * SECOND)));
        assert!(matches!(
            stop.begin(StopHow::Cold, Instant(25 * SECOND)),
            Some(Input::Stop { at_once: true })
        ));
        assert!(stop.may_drain(true) && !stop.may_drain(true));
        assert!(!stop.may_quit(true, Instant(26 * SECOND)), "the session has not ended");
        stop.settled(true);
        assert!(!stop.may_quit(false, Instant(26 * SECOND)), "an executor is still there");
        assert!(stop.may_quit(true, Instant(26 * SECOND)) && stop.is_over() && stop.was_clean());
    }

    #[test]
    fn a_soft_stop_turns_cold_when_its_own_time_is_over() {
        let mut stop = Stop::new(Some(Duration::from_secs(25)), Duration::from_secs(4));
        stop.begin(StopHow::Warm, Instant(0));
        assert!(matches!(
            stop.begin(StopHow::Soft, Instant(2 * SECOND)),
            Some(Input::Stop { at_once: false })
        ));
        assert_eq!(stop.next_wake(), Some(Instant(6 * SECOND)));
        assert!(!stop.must_hurry(Instant(5 * SECOND)) && stop.must_hurry(Instant(6 * SECOND)));
        assert!(stop.begin(StopHow::Warm, Instant(3 * SECOND)).is_none(), "less urgent");
    }

    #[test]
    fn a_soft_stop_does_not_outlast_a_warm_one() {
        let mut stop = Stop::new(Some(Duration::from_secs(3)), Duration::from_secs(60));
        stop.begin(StopHow::Warm, Instant(0));
        stop.begin(StopHow::Soft, Instant(SECOND));
        assert_eq!(stop.next_wake(), Some(Instant(3 * SECOND)));
    }

    #[test]
    fn executors_that_do_not_leave_are_killed_once() {
        let mut stop = Stop::new(None, Duration::ZERO);
        stop.begin(StopHow::Warm, Instant(0));
        stop.may_drain(true);
        assert!(!stop.may_kill(Instant(0)));
        assert_eq!(stop.next_wake(), Some(Instant(3 * SECOND)));
        assert!(stop.may_kill(Instant(3 * SECOND)) && !stop.may_kill(Instant(4 * SECOND)));
    }

    #[test]
    fn a_stop_that_waits_for_nothing_but_the_consumer_wakes_nobody() {
        let mut stop = Stop::new(None, Duration::ZERO);
        stop.begin(StopHow::Warm, Instant(0));
        stop.may_drain(true);
        assert!(!stop.may_kill(Instant(0)) && stop.may_kill(Instant(3 * SECOND)));
        assert!(!stop.may_quit(false, Instant(3 * SECOND)));
        assert_eq!(stop.next_wake(), Some(Instant(6 * SECOND)));
        assert!(!stop.may_quit(false, Instant(6 * SECOND)));
        assert_eq!(stop.next_wake(), None);
        stop.settled(true);
        assert!(stop.may_quit(false, Instant(6 * SECOND)));
    }

    #[test]
    fn executors_are_asked_to_leave_also_when_the_consumer_ended_by_itself() {
        let mut stop = Stop::new(None, Duration::ZERO);
        assert!(!stop.may_retire());
        stop.settled(false);
        assert!(!stop.may_drain(true), "nobody is there to drain");
        assert!(stop.may_retire() && !stop.may_retire());
    }
}
