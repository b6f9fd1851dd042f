//! Locks of unique tasks, turns and tokens of one hub.

use std::collections::HashMap;

use super::hub::Hub;
use crate::broker::{Duplicate, Publication};
use crate::clock::WallTime;
use crate::error::Result;
use crate::job::limits::Limits;
use crate::message::bounds::Lock;

/// What a hub keeps of tasks beside their messages.
#[derive(Default)]
pub(super) struct Bounds {
    /// Who has a lock, and until when.
    locks: HashMap<String, (String, WallTime)>,
}

impl Bounds {
    /// Who has a lock.
    fn holder(&self, key: &str, now: WallTime) -> Option<&str> {
        self.locks.get(key).filter(|(_, until)| *until > now).map(|(holder, _)| holder.as_str())
    }

    fn take(&mut self, lock: &Lock, now: WallTime) {
        self.locks.insert(lock.key.clone(), (lock.id.clone(), now.after(lock.lasts)));
    }

    /// Gives a lock back if its task still has it.
    pub(super) fn unlock(&mut self, key: &str, id: &str) {
        if self.locks.get(key).is_some_and(|(holder, _)| holder == id) {
            self.locks.remove(key);
        }
    }

    /// Forgets locks whose time is over.
    pub(super) fn tidy(&mut self, now: WallTime) {
        self.locks.retain(|_, (_, until)| *until > now);
    }
}

impl Hub {
    /// Which of the publications may go; those that may have their locks. With `together`, one that may not go keeps
    /// all from going.
    pub(super) fn lock_all(
        &mut self,
        publications: &[Publication],
        together: bool,
        now: WallTime,
    ) -> Result<(Vec<usize>, Vec<Duplicate>)> {
        let mut locks = Vec::new();
        for publication in publications {
            locks.push(Lock::wanted(&publication.message.headers)?);
        }
        let (mut going, mut duplicates) = (Vec::new(), Vec::new());
        let mut taken: HashMap<&str, &str> = HashMap::new();
        for (place, lock) in locks.iter().enumerate() {
            let Some(lock) = lock else {
                going.push(place);
                continue;
            };
            let holder = taken.get(lock.key.as_str()).copied().or_else(|| self.bounds.holder(&lock.key, now));
            match holder {
                None => {
                    taken.insert(&lock.key, &lock.id);
                    going.push(place);
                }
                Some(holder) if holder == lock.id => {}
                Some(holder) => duplicates.push(Duplicate { place, holder: holder.to_owned() }),
            }
        }
        if together && !duplicates.is_empty() {
            return Ok((Vec::new(), duplicates));
        }
        for place in &going {
            if let Some(lock) = &locks[*place] {
                self.bounds.take(lock, now);
            }
        }
        Ok((going, duplicates))
    }

    /// Whether a publication of a Commit may go; otherwise the record that says so is stored.
    pub(super) fn may_go(
        &mut self,
        limits: Option<&Limits>,
        place: usize,
        now: WallTime,
        expires: Option<WallTime>,
    ) -> bool {
        let locked = limits.and_then(|limits| limits.locked.iter().find(|locked| locked.place == place));
        let Some(locked) = locked else { return true };
        let holder = self.bounds.holder(&locked.lock.key, now).map(str::to_owned);
        match holder {
            None => {
                self.bounds.take(&locked.lock, now);
                true
            }
            Some(holder) => {
                if holder != locked.lock.id
                    && let Some(record) = &locked.otherwise
                {
                    self.save(record.clone(), expires, now);
                }
                false
            }
        }
    }

    /// Gives back the locks of messages that are deleted.
    pub(super) fn unlock_messages(&mut self, headers: &[bytes::Bytes]) {
        for lock in headers.iter().filter_map(|headers| Lock::wanted(headers).ok().flatten()) {
            self.bounds.unlock(&lock.key, &lock.id);
        }
    }
}
