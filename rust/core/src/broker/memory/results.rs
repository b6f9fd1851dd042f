//! What the store sees of a hub.

use std::sync::PoisonError;
use std::time::Duration;

use super::Shared;
use super::hub::Hub;
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

    /// Deletes what has expired.
    pub(crate) fn clean(&self) -> u64 {
        let _inside = fork::enter();
        let now = self.now();
        let mut hub = self.lock();
        let before = hub.results.len();
        hub.results.retain(|_, kept| kept.lives(now));
        (before - hub.results.len()) as u64
    }

    /// Waits for the next store, at most until `limit` has passed, unless one of `task_ids` has ended already.
    pub(crate) fn wait(&self, task_ids: &[String], limit: Duration) {
        let ended = |hub: &Hub| {
            let now = self.now();
            let find = |id: &String| hub.results.get(id).filter(|kept| kept.lives(now));
            task_ids.iter().filter_map(find).any(|kept| Record::is_final(&kept.record.state))
        };
        // Not inside the gate: a wait must not hold off a fork.
        let hub = self.lock();
        drop(
            self.stored
                .wait_timeout_while(hub, limit, |hub| !ended(hub))
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
