//! Jobs of tasks with a rate limit that wait for their turn, and who may pass. Pure.
//!
//! A bucket of one token, as Celery's: runs of a task begin at least 1 / rate apart, whatever came at once. A moment
//! that was missed by less than that is made up for, so that the rate is kept over time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Instant;
use crate::ident::Tag;

/// The shelves of all limited tasks.
#[derive(Debug, Default)]
pub struct Limited {
    kinds: HashMap<String, Kind>,
    count: usize,
}

#[derive(Debug)]
struct Kind {
    every: Duration,
    /// When the next one may begin.
    free_at: Instant,
    shelf: VecDeque<Tag>,
}

impl Kind {
    fn take(&mut self, now: Instant) -> bool {
        if now < self.free_at {
            return false;
        }
        let is_late = now >= self.free_at.after(self.every);
        self.free_at = if is_late { now } else { self.free_at }.after(self.every);
        true
    }
}

impl Limited {
    /// Whether a job of a task may begin now, which `per_second` runs at most may do. It takes its turn then.
    pub fn may_pass(&mut self, name: &str, per_second: f64, now: Instant) -> bool {
        let every = Duration::try_from_secs_f64(per_second.recip()).unwrap_or(Duration::MAX);
        if let Some(kind) = self.kinds.get_mut(name) {
            return kind.shelf.is_empty() && kind.take(now);
        }
        let kind = Kind { every, free_at: now.after(every), shelf: VecDeque::new() };
        self.kinds.insert(name.to_owned(), kind);
        true
    }

    /// Has a job wait for its turn, behind those of its task.
    pub fn put(&mut self, name: &str, tag: Tag) {
        if let Some(kind) = self.kinds.get_mut(name) {
            kind.shelf.push_back(tag);
            self.count += 1;
        }
    }

    /// Takes a job whose turn it is; it takes its turn.
    pub fn pop_due(&mut self, now: Instant) -> Option<Tag> {
        let mut waiting = self.kinds.values_mut().filter(|kind| !kind.shelf.is_empty());
        let tag = waiting.find_map(|kind| kind.take(now).then(|| kind.shelf.pop_front()).flatten())?;
        self.count -= 1;
        Some(tag)
    }

    /// When the next one may begin.
    pub fn next_due(&self) -> Option<Instant> {
        self.kinds.values().filter(|kind| !kind.shelf.is_empty()).map(|kind| kind.free_at).min()
    }

    /// How long the last job of a task has to wait.
    pub fn wait(&self, name: &str, now: Instant) -> Duration {
        self.kinds.get(name).map_or(Duration::ZERO, |kind| {
            let count = u32::try_from(kind.shelf.len()).unwrap_or(u32::MAX);
            kind.free_at.since(now).saturating_add(kind.every.saturating_mul(count))
        })
    }

    /// Keeps only some of those that wait, in their order.
    pub fn retain(&mut self, keeps: impl Fn(&Tag) -> bool) {
        self.kinds.values_mut().for_each(|kind| kind.shelf.retain(&keeps));
        self.count = self.kinds.values().map(|kind| kind.shelf.len()).sum();
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Empties all shelves.
    pub fn drain(&mut self) -> Vec<Tag> {
        self.count = 0;
        self.kinds.values_mut().flat_map(|kind| kind.shelf.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant(milliseconds * 1_000_000)
    }

    #[test]
    fn the_first_may_pass_and_the_others_wait_in_order_for_their_turns() {
        let mut limited = Limited::default();
        assert!(limited.may_pass("mail", 10.0, at(0)));
        for tag in 1..=3 {
            assert!(!limited.may_pass("mail", 10.0, at(0)));
            limited.put("mail", Tag(tag));
        }
        assert!(limited.may_pass("other", 10.0, at(0)), "tasks are counted apart");
        assert_eq!((limited.next_due(), limited.count()), (Some(at(100)), 3));
        assert_eq!(limited.wait("mail", at(0)), Duration::from_millis(400));
        assert_eq!(limited.pop_due(at(99)), None);
        assert_eq!(limited.pop_due(at(130)), Some(Tag(1)));
        limited.put("mail", Tag(4));
        limited.retain(|tag| *tag != Tag(4));
        assert_eq!(limited.count(), 2);
        assert_eq!(limited.pop_due(at(199)), None);
        assert_eq!(limited.pop_due(at(200)), Some(Tag(2)), "what was late is made up for");
        assert!(!limited.may_pass("mail", 10.0, at(5000)), "one waits before it");
        assert_eq!(limited.pop_due(at(5000)), Some(Tag(3)));
        assert_eq!((limited.pop_due(at(9000)), limited.next_due(), limited.count()), (None, None, 0));
    }

    #[test]
    fn a_pause_saves_nothing_up() {
        let mut limited = Limited::default();
        assert!(limited.may_pass("mail", 1.0, at(0)));
        assert!(limited.may_pass("mail", 1.0, at(60_000)));
        assert!(!limited.may_pass("mail", 1.0, at(60_999)));
        assert!(limited.may_pass("mail", 1.0, at(61_000)));
    }

    proptest! {
        #[test]
        fn never_more_begin_than_the_rate_allows_and_none_is_forgotten(
            arrivals in prop::collection::vec(0_u64..400, 1..100), late in 0_u64..150
        ) {
            let mut limited = Limited::default();
            let (mut now, mut begun) = (0, Vec::new());
            let count = arrivals.len();
            for (tag, after) in arrivals.into_iter().enumerate() {
                now += after;
                while limited.pop_due(at(now)).is_some() {
                    begun.push(now);
                }
                if limited.may_pass("mail", 10.0, at(now)) {
                    begun.push(now);
                } else {
                    limited.put("mail", Tag(tag as u64));
                }
            }
            while let Some(due) = limited.next_due() {
                now = now.max(due.0 / 1_000_000) + late;
                prop_assert!(limited.pop_due(at(now)).is_some());
                begun.push(now);
            }
            prop_assert_eq!(begun.len(), count);
            for window in begun.windows(11) {
                prop_assert!(window[10] - window[0] >= 900, "eleven within a second: {:?}", window);
            }
        }
    }
}
