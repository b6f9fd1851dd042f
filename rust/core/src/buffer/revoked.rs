//! What a worker remembers of tasks that were called off: bounded, and only for so long. Pure.
//!
//! The record itself is the broker's. This is its picture here, asked for every job, so that the broker need not be.

use std::collections::{BTreeSet, HashMap};

use crate::clock::WallTime;
use crate::job::revocation::{Revocation, Target, stamps};

/// At most so many are remembered, as in Celery; when there are more, those go that would be forgotten first.
pub const MOST: usize = 50_000;

/// The tasks that are called off.
#[derive(Debug, Default)]
pub struct Revoked {
    /// Until when, by id or stamp.
    targets: HashMap<Target, WallTime>,
    /// The same, in the order in which they are forgotten.
    ends: BTreeSet<(WallTime, Target)>,
    /// How many of them are stamps: without any, no message's stamps are read.
    stamps: usize,
}

impl Revoked {
    /// Remembers one; what is known already is remembered for as long as either said.
    pub fn add(&mut self, revocation: &Revocation, now: WallTime) {
        self.forget(now);
        let (target, until) = (&revocation.target, revocation.until);
        if until <= now || self.targets.get(target).is_some_and(|known| *known >= until) {
            return;
        }
        match self.targets.insert(target.clone(), until) {
            Some(before) => drop(self.ends.remove(&(before, target.clone()))),
            None => self.stamps += usize::from(matches!(target, Target::Stamp { .. })),
        }
        self.ends.insert((until, target.clone()));
        while self.ends.len() > MOST {
            self.pop();
        }
    }

    /// Whether a task is called off.
    pub fn has(&self, task_id: &str, headers: &[u8], now: WallTime) -> bool {
        if self.targets.is_empty() {
            return false; // as good as always
        }
        let holds = |target: &Target| self.targets.get(target).is_some_and(|until| *until > now);
        holds(&Target::Id(task_id.to_owned()))
            || (self.stamps > 0
                && stamps(headers).into_iter().any(|(header, value)| holds(&Target::Stamp { header, value })))
    }

    /// Those that hold now.
    pub fn all(&self, now: WallTime) -> impl Iterator<Item = &Target> {
        self.ends.iter().filter(move |(until, _)| *until > now).map(|(_, target)| target)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    fn forget(&mut self, now: WallTime) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some((_, target)) = self.ends.pop_first() {
            self.targets.remove(&target);
            self.stamps -= usize::from(matches!(target, Target::Stamp { .. }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of_id(id: &str, until: i64) -> Revocation {
        Revocation { target: Target::Id(id.into()), terminate: None, until: WallTime(until) }
    }

    fn of_stamp(value: &str, until: i64) -> Revocation {
        let target = Target::Stamp { header: "tenant".into(), value: value.into() };
        Revocation { target, terminate: None, until: WallTime(until) }
    }

    #[test]
    fn a_task_is_called_off_until_the_time_is_over() {
        let mut revoked = Revoked::default();
        revoked.add(&of_id("1", 100), WallTime(0));
        assert!(revoked.has("1", b"", WallTime(99)) && !revoked.has("1", b"", WallTime(100)));
        assert!(!revoked.has("2", b"", WallTime(0)));
        revoked.add(&of_id("2", 300), WallTime(200));
        assert_eq!(revoked.len(), 1, "what is over is forgotten");
        revoked.add(&of_id("3", 200), WallTime(200));
        assert_eq!(revoked.len(), 1, "what is over when it comes is not remembered");
    }

    #[test]
    fn of_two_times_the_later_counts() {
        let mut revoked = Revoked::default();
        for until in [100, 200, 50] {
            revoked.add(&of_id("1", until), WallTime(0));
        }
        assert!(revoked.has("1", b"", WallTime(199)));
        assert_eq!((revoked.len(), revoked.ends.len()), (1, 1));
    }

    #[test]
    fn a_stamp_calls_off_every_task_that_bears_it() {
        let mut revoked = Revoked::default();
        revoked.add(&of_stamp("7", 100), WallTime(0));
        let bears = br#"{"stamped_headers":["tenant"],"stamps":{"tenant":[6,7]}}"#;
        let other = br#"{"stamped_headers":["tenant"],"stamps":{"tenant":"7"}}"#;
        assert!(revoked.has("1", bears, WallTime(0)) && revoked.has("2", bears, WallTime(0)));
        assert!(!revoked.has("1", other, WallTime(0)), "a text is no number");
        assert!(!revoked.has("1", bears, WallTime(100)));
    }

    #[test]
    fn when_there_are_too_many_those_go_that_end_first() {
        let mut revoked = Revoked::default();
        for number in 0..MOST as i64 {
            revoked.add(&of_id(&number.to_string(), 1_000 + number), WallTime(0));
        }
        revoked.add(&of_stamp("7", 500), WallTime(0));
        assert_eq!((revoked.len(), revoked.stamps), (MOST, 0), "the stamp would have ended first");
        revoked.add(&of_id("one more", 10_000_000), WallTime(0));
        assert!(!revoked.has("0", b"", WallTime(0)) && revoked.has("1", b"", WallTime(0)));
        assert_eq!(revoked.len(), MOST);
    }

    proptest! {
        #[test]
        fn both_orders_hold_the_same_whatever_is_added_when(
            added in prop::collection::vec((0_u8..20, any::<bool>(), 0_i64..200, 0_i64..200), 1..200)
        ) {
            let mut revoked = Revoked::default();
            for (name, is_stamp, until, now) in added {
                let name = name.to_string();
                let revocation = if is_stamp { of_stamp(&name, until) } else { of_id(&name, until) };
                revoked.add(&revocation, WallTime(now));
                prop_assert_eq!(revoked.targets.len(), revoked.ends.len());
                let stamps = revoked.targets.keys().filter(|target| matches!(target, Target::Stamp { .. }));
                prop_assert_eq!(revoked.stamps, stamps.count());
                prop_assert!(revoked.ends.iter().all(|(until, target)| revoked.targets[target] == *until));
                prop_assert_eq!(
                    revoked.has(&name, b"", WallTime(now)),
                    revoked.targets.get(&Target::Id(name.clone())).is_some_and(|until| *until > WallTime(now))
                );
            }
        }
    }
}
