//! Where results live, for the stores that the core writes itself.
//!
//! Blocking and for clients, like [`crate::broker::Broker`]: a worker's results travel in its Commits.

pub mod chord;
pub mod group;
mod member;
pub mod memory;
pub mod record;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "amqp")]
pub mod rpc;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;

pub use chord::{ChordRecord, ChordState, ChordStore, Chords, NewChord, Part, Patience, Release};
pub use group::GroupStore;
pub use member::part_of;
pub use record::Record;

/// What a longer timeout is cut to: adding more to a clock may overflow.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// A client's view of the results. Blocking, thread-safe, fork-safe.
pub trait Store: ChordStore + GroupStore {
    /// Writes records in order. A record of a task that already succeeded is kept as it is, whatever comes later.
    /// `expires` is how long they live; `None` for ever.
    fn save(&self, records: &[Record], expires: Option<Duration>) -> Result<()>;

    /// Reads records; `None` for an id that is unknown or has expired. In the order of `task_ids`.
    fn load(&self, task_ids: &[String]) -> Result<Vec<Option<Record>>>;

    /// Deletes records; unknown ids are no error.
    fn forget(&self, task_ids: &[String]) -> Result<()>;

    /// Waits until at least one of `task_ids` has ended and returns the records of those that have; empty when
    /// `timeout` passes first. The caller is woken by the writer, not by polling alone.
    fn wait(&self, task_ids: &[String], timeout: Duration) -> Result<Vec<Record>>;

    /// A wait for tasks that may become more while it goes on. Watches nothing yet.
    fn watch(self: Arc<Self>) -> Result<Box<dyn Watch>>;

    /// Deletes what has expired; returns how many.
    fn clean(&self) -> Result<u64>;

    /// Ends the connection. Later calls open a new one.
    fn close(&self);
}

/// Waiting for the results of many tasks from one thread, while others add to them. Thread-safe; it does not survive a
/// fork.
pub trait Watch: Send + Sync {
    /// Watches for the end of some tasks too, those that have ended already included. Never blocks.
    fn add(&self, task_ids: &[String]);

    /// Watches for them no more. Never blocks.
    fn remove(&self, task_ids: &[String]);

    /// The records of tasks that have ended, which are then watched no more; empty when `timeout` passes first, or
    /// after [`Watch::interrupt`]. For one thread at a time.
    fn next(&self, timeout: Duration) -> Result<Vec<Record>>;

    /// Ends the call of [`Watch::next`] that is under way, or the one to come. Never blocks.
    fn interrupt(&self);
}
