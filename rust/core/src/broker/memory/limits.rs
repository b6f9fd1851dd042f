//! Locks of unique tasks, turns and tokens of one hub.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;
use crate::broker::{Duplicate, Publication};
use crate::clock::WallTime;
use crate::error::Result;
use crate::job::limits::{Ask, Asked, Granted, Limits, turns};
use crate::message::bounds::Lock;

/// What a hub keeps of tasks beside their messages.
#[derive(Default)]
pub(super) struct Bounds {
    /// Who has a lock, and until when.
    locks: HashMap<String, (String, WallTime)>,
    /// When the next turn of a rate limit is free, in microseconds since 1970.
    turns: HashMap<Arc<str>, i64>,
    /// Who holds how many tokens of a key.
    tokens: HashMap<Arc<str>, BTreeMap<u64, u32>>,
    /// Who is in line for tokens of a key.
    lines: HashMap<Arc<str>, Vec<u64>>,
    /// How often tokens were given back: sessions in line look at it.
    pub(super) freed: u64,
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

    /// Forgets locks whose time is over, and turns that are free.
    pub(super) fn tidy(&mut self, now: WallTime) {
        self.locks.retain(|_, (_, until)| *until > now);
        self.turns.retain(|_, free_at| *free_at > now.0.saturating_mul(1000));
    }

    /// Answers what the session `epoch` asks for.
    pub(super) fn admit(&mut self, epoch: u64, asks: &[Ask], now: WallTime) -> Vec<Granted> {
        let answer = |ask: &Ask| match ask.what {
            Asked::Turns { every, within } => self.give_turns(ask, every, within, now),
            Asked::Tokens { most } => Granted::of(ask, self.give_tokens(epoch, ask, most), Duration::ZERO),
        };
        asks.iter().map(answer).collect()
    }

    fn give_turns(&mut self, ask: &Ask, every: Duration, within: Duration, now: WallTime) -> Granted {
        let now = now.0.saturating_mul(1000);
        let free_at = self.turns.entry(Arc::clone(&ask.key)).or_insert(now);
        let left = Duration::from_micros(u64::try_from(*free_at - now).unwrap_or(0));
        let count = turns(left, every, within, ask.wanted);
        if count > 0 {
            let taken = (left + every.saturating_mul(count)).as_micros();
            *free_at = now.saturating_add(i64::try_from(taken).unwrap_or(i64::MAX));
        }
        Granted::of(ask, count, left)
    }

    fn give_tokens(&mut self, epoch: u64, ask: &Ask, most: u32) -> u32 {
        let line = self.lines.entry(Arc::clone(&ask.key)).or_default();
        let holders = self.tokens.entry(Arc::clone(&ask.key)).or_default();
        let place = line.iter().position(|other| *other == epoch);
        let held: u32 = holders.values().sum();
        let before = u32::try_from(place.unwrap_or(line.len())).unwrap_or(u32::MAX);
        let count = most.saturating_sub(held).saturating_sub(before).min(ask.wanted);
        if count > 0 {
            *holders.entry(epoch).or_default() += count;
        }
        // Who leaves the line calls the next: it may have been called itself.
        self.freed += u64::from(ask.wanted == 0);
        // What it still wants keeps its place in line only if it got nothing.
        if count > 0 || ask.wanted == 0 {
            line.retain(|other| *other != epoch);
        }
        if count < ask.wanted && (count > 0 || place.is_none()) {
            line.push(epoch);
        }
        self.forget(&ask.key);
        count
    }

    /// Takes a token back.
    pub(super) fn give_back(&mut self, epoch: u64, key: &Arc<str>) {
        if let Some(holders) = self.tokens.get_mut(key) {
            let left = holders.remove(&epoch).unwrap_or(0).saturating_sub(1);
            if left > 0 {
                holders.insert(epoch, left);
            }
            self.freed += 1;
        }
        self.forget(key);
    }

    /// Takes back what a session holds.
    pub(super) fn end(&mut self, epoch: u64) {
        self.lines.values_mut().for_each(|line| line.retain(|other| *other != epoch));
        for holders in self.tokens.values_mut() {
            self.freed += u64::from(holders.remove(&epoch).is_some());
        }
        self.lines.retain(|_, line| !line.is_empty());
        self.tokens.retain(|_, holders| !holders.is_empty());
    }

    fn forget(&mut self, key: &Arc<str>) {
        if self.tokens.get(key).is_some_and(BTreeMap::is_empty) {
            self.tokens.remove(key);
        }
        if self.lines.get(key).is_some_and(Vec::is_empty) {
            self.lines.remove(key);
        }
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
