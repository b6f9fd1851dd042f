//! Results in one process, beside the queues of a memory hub.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{ChordRecord, ChordStore, Chords, GroupStore, Part, Patience, Record, Release, Store, Watch};
use crate::broker::memory::Shared;
use crate::error::Result;

/// The results of one hub.
pub struct MemoryStore {
    shared: Arc<Shared>,
}

impl MemoryStore {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Store for MemoryStore {
    fn save(&self, records: &[Record], expires: Option<Duration>) -> Result<()> {
        self.shared.save(records, expires);
        Ok(())
    }

    fn load(&self, task_ids: &[String]) -> Result<Vec<Option<Record>>> {
        Ok(self.shared.load(task_ids))
    }

    fn forget(&self, task_ids: &[String]) -> Result<()> {
        self.shared.forget(task_ids);
        Ok(())
    }

    fn wait(&self, task_ids: &[String], timeout: Duration) -> Result<Vec<Record>> {
        let ended = self.shared.wait(timeout.min(super::LONGEST_WAIT), |hub| {
            Some(self.shared.ended(task_ids.iter(), hub)).filter(|ended| !ended.is_empty())
        });
        Ok(ended.unwrap_or_default())
    }

    fn watch(self: Arc<Self>) -> Result<Box<dyn Watch>> {
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(MemoryWatch { shared, task_ids: Mutex::default(), stop: AtomicBool::new(false) }))
    }

    fn clean(&self) -> Result<u64> {
        Ok(self.shared.clean())
    }

    fn close(&self) {}
}

impl GroupStore for MemoryStore {}

impl ChordStore for MemoryStore {
    fn count(&self, chords: &Chords, expires: Option<Duration>) -> Result<Vec<Release>> {
        Ok(self.shared.count(chords, expires))
    }

    fn chord(&self, group_id: &str) -> Result<Option<ChordRecord>> {
        Ok(self.shared.chord(group_id))
    }

    fn parts(&self, group_id: &str) -> Result<Vec<Part>> {
        Ok(self.shared.parts(group_id))
    }

    fn grow(&self, group_id: &str, by: u32) -> Result<()> {
        self.shared.grow(group_id, by);
        Ok(())
    }

    fn overdue(&self, patience: &Patience) -> Result<Vec<Release>> {
        Ok(self.shared.overdue(patience))
    }
}

/// A wait for tasks that become more.
struct MemoryWatch {
    shared: Arc<Shared>,
    task_ids: Mutex<HashSet<String>>,
    stop: AtomicBool,
}

impl MemoryWatch {
    fn task_ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.task_ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for MemoryWatch {
    fn add(&self, task_ids: &[String]) {
        self.task_ids().extend(task_ids.iter().cloned());
        self.shared.nudge();
    }

    fn remove(&self, task_ids: &[String]) {
        let mut known = self.task_ids();
        for id in task_ids {
            known.remove(id);
        }
    }

    fn next(&self, timeout: Duration) -> Result<Vec<Record>> {
        let ended = self.shared.wait(timeout.min(super::LONGEST_WAIT), |hub| {
            let ended = self.shared.ended(self.task_ids().iter(), hub);
            (self.stop.swap(false, Ordering::SeqCst) || !ended.is_empty()).then_some(ended)
        });
        let ended = ended.unwrap_or_default();
        let mut known = self.task_ids();
        for record in &ended {
            known.remove(&record.task_id);
        }
        Ok(ended)
    }

    fn interrupt(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.shared.nudge();
    }
}
