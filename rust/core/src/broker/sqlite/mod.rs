//! The embedded default: queues, leases and results in one SQLite file on one host.
//!
//! A Commit is one transaction, so a result, its follow-ups and the acknowledgement stand or fall together. Clients
//! work in the calling thread over one connection; a worker's session has a thread of its own ([`session`]).

mod checkpoint;
pub(crate) mod chords;
mod commit;
mod config;
mod connection;
mod consume;
mod error;
mod inspect;
mod keeper;
mod lease;
mod load;
mod lock;
mod patience;
mod place;
mod publish;
mod reap;
mod revoked;
mod schema;
mod session;
mod thread;
mod tokens;
mod wake;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{
    BoxFuture, Broker, Capabilities, DeadLetter, Depth, Duplicate, PriorityOrder, Publication, Queue,
    Session, Subscription, WorkerEntry,
};
use crate::clock::Clock;
use crate::error::Result;
use crate::job::revocation::Revocation;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

pub(crate) use commit::{ended, save};
pub use config::{PUBLISH_TIMEOUT, SqliteConfig, Synchronous};
pub(crate) use connection::Handle;
pub(crate) use keeper::Keeper;
pub(crate) use reap::delete_expired;
use session::SqliteSession;
pub(crate) use wake::{Bell, LONGEST_DATAGRAM};

/// A broker in a file. Nothing is opened before the first use.
pub struct SqliteBroker {
    keeper: Arc<Keeper>,
    store: Arc<SqliteStore>,
    clock: Clock,
}

impl SqliteBroker {
    /// A broker in the file that `config` names, on the clock given.
    pub fn new(config: SqliteConfig, clock: Clock) -> Self {
        let keeper = Keeper::new(config);
        let store = Arc::new(SqliteStore::new(Arc::clone(&keeper), clock.clone()));
        Self { keeper, store, clock }
    }

    /// Runs `work` with the client's connection.
    fn with<T>(&self, operation: &'static str, work: impl FnOnce(&mut Handle) -> Result<T>) -> Result<T> {
        self.keeper.lend(operation, self.keeper.config.publish_timeout, work)
    }
}

impl Broker for SqliteBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            shared: true,
            transactional: true,
            delay: true,
            priority: PriorityOrder::HighestFirst,
            exchanges: true,
            dead_letters: true,
            leases: true,
            limits: true,
            revocations: true,
            revokes_ahead: true,
            mailbox: false,
            channels: false,
            pushes: false,
            sees_workers: true,
            releases_unmarked: true,
            insists_on_arguments: true,
        }
    }

    fn declare(&self, queues: &[Queue]) -> Result<()> {
        self.with("declare", |handle| handle.transaction(|handle| publish::declare(handle, queues)))
    }

    fn publish_within(&self, publications: &[Publication], within: Option<Duration>) -> Result<()> {
        if publications.is_empty() {
            return Ok(());
        }
        let most = self.keeper.config.publish_timeout;
        self.keeper.lend("publish", within.map_or(most, |within| within.min(most)), |handle| {
            publish::publish(handle, publications, self.clock.wall())?;
            handle.ringer.ring_workers();
            Ok(())
        })
    }

    fn publish_locking(
        &self,
        publications: &[Publication],
        together: bool,
        within: Option<Duration>,
    ) -> Result<Vec<Duplicate>> {
        let most = self.keeper.config.publish_timeout;
        self.keeper.lend("publish", within.map_or(most, |within| within.min(most)), |handle| {
            let now = self.clock.wall();
            let duplicates =
                handle.transaction(|handle| lock::publish_locking(handle, publications, together, now))?;
            handle.ringer.ring_workers();
            Ok(duplicates)
        })
    }

    fn purge(&self, queue: &str) -> Result<u64> {
        self.with("purge", |handle| handle.transaction(|handle| inspect::purge(handle, queue)))
    }

    fn depths(&self) -> Result<Vec<Depth>> {
        self.with("count messages", |handle| inspect::depths(handle))
    }

    fn dead_letters(&self, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.with("list dead letters", |handle| inspect::dead_letters(handle, queue, limit))
    }

    fn requeue_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        self.with("requeue dead letters", |handle| {
            let now = self.clock.wall();
            let requeued = handle.transaction(|handle| inspect::requeue_dead(handle, queue, ids, now))?;
            handle.ringer.ring_workers();
            Ok(requeued)
        })
    }

    fn drop_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        self.with("drop dead letters", |handle| {
            handle.transaction(|handle| inspect::drop_dead(handle, queue, ids))
        })
    }

    fn holds(&self, text: &str) -> Result<bool> {
        self.with("look for messages", |handle| inspect::holds(handle, text))
    }

    fn workers(&self) -> Result<Vec<WorkerEntry>> {
        self.with("list workers", |handle| inspect::workers(handle))
    }

    fn revoke(&self, revocations: &[Revocation]) -> Result<()> {
        self.with("revoke", |handle| {
            let now = self.clock.wall();
            handle.transaction(|handle| revoked::add(handle, revocations, now))?;
            handle.ringer.ring_ears();
            Ok(())
        })
    }

    fn revoked(&self) -> Result<Vec<Revocation>> {
        self.with("list revoked tasks", |handle| Ok(revoked::after(handle, 0, self.clock.wall())?.0))
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::clone(&self.store) as Arc<dyn Store>)
    }

    fn run_directory(&self) -> Result<Option<PathBuf>> {
        place::prepare(&self.keeper.config.path)?;
        Ok(Some(place::run_directory(&self.keeper.config.path)))
    }

    fn subscribe<'a>(&'a self, subscription: Subscription) -> BoxFuture<'a, Result<Box<dyn Session>>> {
        Box::pin(async move {
            let config = self.keeper.config.clone();
            let session = SqliteSession::begin(config, self.clock.clone(), subscription).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn close(&self) {
        self.keeper.close();
    }
}
