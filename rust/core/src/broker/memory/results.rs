//! What the store sees of a hub.

use std::sync::PoisonError;
use std::time::Duration;

use super::Shared;
use super::chords::Counter;
use super::hub::Hub;
use crate::clock::WallTime;
use crate::fork;
use crate::store::Record;

impl Shared {
    /// Writes records and wakes whoever waits for one of them.
    pub(crate) fn save(&self, records: &[Record], expires: Option<Duration>) {
        let _inside = fork::enter();
        let now = self.now();
        let mut hub = self.lock();
        for record in records {
            hub.save(record.clone(), expires.map(|after| now.after(after)), now);
        }
        drop(hub);
        self.stored.notify_all();
    }

    /// Reads one record each.
    pub(crate) fn load(&self, task_ids: &[String]) -> Vec<Option<Record>> {
        let _inside = fork::enter();
        let now = self.now();
        let hub = self.lock();
        let find =
            |id: &String| hub.results.get(id).filter(|kept| kept.lives(now)).map(|kept| kept.record.clone());
        task_ids.iter().map(find).collect()
    }

    /// Deletes records.
    pub(crate) fn forget(&self, task_ids: &[String]) {
        let _inside = fork::enter();
        let mut hub = self.lock();
        for id in task_ids {
            hub.results.remove(id);
        }
    }

    /// Does something with the chords of the hub.
    pub(super) fn with_chords<T>(&self, work: impl FnOnce(&mut Counter, WallTime) -> T) -> T {
        let _inside = fork::enter();
        let now = self.now();
        work(&mut self.lock().chords, now)
    }

    /// Deletes what has expired.
    pub(crate) fn clean(&self) -> u64 {
        let _inside = fork::enter();
        let now = self.now();
        let mut hub = self.lock();
        let before = hub.results.len();
        hub.results.retain(|_, kept| kept.lives(now));
        (before - hub.results.len()) as u64
    }

    /// The records of those of `task_ids` that have ended.
    pub(crate) fn ended<'a>(&self, task_ids: impl Iterator<Item = &'a String>, hub: &Hub) -> Vec<Record> {
        let now = self.now();
        let find = |id: &String| hub.results.get(id).filter(|kept| kept.lives(now));
        let found = task_ids.filter_map(find).filter(|kept| Record::is_final(&kept.record.state));
        found.map(|kept| kept.record.clone()).collect()
    }

    /// Waits until `probe` finds something, asked after every store and every [`Shared::nudge`]; `None` when `limit` has
    /// passed.
    pub(crate) fn wait<T>(&self, limit: Duration, mut probe: impl FnMut(&Hub) -> Option<T>) -> Option<T> {
        // Not inside the gate: a wait must not hold off a fork.
        let mut found = None;
        drop(
            self.stored
                .wait_timeout_while(self.lock(), limit, |hub| {
                    found = probe(hub);
                    found.is_none()
                })
                .unwrap_or_else(PoisonError::into_inner),
        );
        found
    }

    /// Has everybody who waits look again.
    pub(crate) fn nudge(&self) {
        // Who is between looking and waiting holds the lock.
        drop(self.lock());
        self.stored.notify_all();
    }
}
