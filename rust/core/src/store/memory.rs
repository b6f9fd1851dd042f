//! Results in one process, beside the queues of a memory hub.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Record, Store};
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
        let deadline = Instant::now() + timeout.min(super::LONGEST_WAIT);
        loop {
            let mut ended: Vec<Record> = self.shared.load(task_ids).into_iter().flatten().collect();
            ended.retain(|record| Record::is_final(&record.state));
            let left = deadline.saturating_duration_since(Instant::now());
            if !ended.is_empty() || left.is_zero() {
                return Ok(ended);
            }
            self.shared.wait(task_ids, left);
        }
    }

    fn clean(&self) -> Result<u64> {
        Ok(self.shared.clean())
    }

    fn close(&self) {}
}
