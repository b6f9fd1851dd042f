//! Queues, leases and results on a Redis server, in the layout of kombu and Celery (kombu-layouts.md §2).
//!
//! Any mix of Celery and fastq works on the same lists. What fastq adds lies beside them, under keys of its own
//! ([`keys`]). A worker moves messages atomically into lists of its own, and settles them in transactions that the
//! server refuses once another worker has taken it for dead ([`session`]).

mod address;
mod arrival;
mod broadcast;
pub(crate) mod chords;
mod claim;
mod commit;
mod config;
mod connection;
mod dead;
mod ear;
mod ending;
mod error;
mod heard;
mod holds;
mod inspect;
mod keeper;
mod keys;
mod kombu;
mod lease;
mod link;
mod lock;
mod mirror;
mod open;
mod promote;
mod publish;
mod queues;
mod reap;
mod resp;
mod resync;
mod revoked;
mod ring;
mod routes;
mod session;
mod source;
mod tokens;
mod transaction;
mod waiter;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{
    BoxFuture, Broker, Capabilities, DeadLetter, Depth, Duplicate, PriorityOrder, Publication, Queue,
    Session, Subscription, WorkerEntry,
};
use crate::clock::Clock;
use crate::error::Result;
use crate::job::revocation::Revocation;
use crate::store::Store;
use crate::store::redis::RedisStore;
use routes::Routes;

pub(crate) use config::ResultLayout;
pub use config::{PUBLISH_TIMEOUT, RedisConfig};
pub(crate) use connection::Handle;
pub(crate) use keeper::Keeper;
use session::RedisSession;
pub(crate) use wire::{Batch, bytes};

/// A broker on a Redis server. Nothing is opened before the first use.
pub struct RedisBroker {
    keeper: Arc<Keeper>,
    store: Arc<RedisStore>,
    /// What is known of exchanges. Taken while a connection is lent only, inside the gate: free in a forked child.
    routes: Mutex<Routes>,
    clock: Clock,
}

impl RedisBroker {
    /// A broker on the server of `config`, on the clock given.
    pub fn new(config: RedisConfig, clock: Clock) -> Self {
        let keeper = Keeper::new(config);
        let store = Arc::new(RedisStore::beside(Arc::clone(&keeper), clock.clone()));
        Self { keeper, store, routes: Mutex::default(), clock }
    }

    fn send_locking(
        &self,
        handle: &mut Handle,
        publications: &[Publication],
        together: bool,
        until: Instant,
    ) -> Result<Vec<Duplicate>> {
        let config = &self.keeper.config;
        self.learn_routes(handle, publications, until)?;
        let now = self.clock.wall();
        let batch = lock::publish_all(config, &mut self.routes(), publications, together, now)?;
        lock::duplicates(batch.len(), &mut handle.call(&batch, until)?)
    }

    /// Lends the client's connection for a publish.
    fn send<T>(
        &self,
        within: Option<Duration>,
        send: impl Fn(&mut Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        let most = self.keeper.config.publish_timeout;
        let until = Instant::now() + within.map_or(most, |within| within.min(most));
        self.keeper.lend_until("publish", until, |handle, until| {
            let result = send(handle, until);
            if result.is_err() {
                // What was to be written down may not have been.
                self.routes().clear();
            }
            result
        })
    }

    fn learn_routes(&self, handle: &mut Handle, publications: &[Publication], until: Instant) -> Result<()> {
        let config = &self.keeper.config;
        let unknown = self.routes().unknown(publications.iter());
        if unknown.is_empty() {
            return Ok(());
        }
        let mut answer = handle.call(&Routes::question(config, &unknown), until)?;
        self.routes().learn(config, &unknown, &mut answer)
    }

    fn send_over(&self, handle: &mut Handle, publications: &[Publication], until: Instant) -> Result<()> {
        let config = &self.keeper.config;
        self.learn_routes(handle, publications, until)?;
        let batch = publish::publish_all(config, &mut self.routes(), publications, self.clock.wall())?;
        let mut replies = handle.call(&batch, until)?;
        match batch.len() {
            1 => replies.skip(1),
            sent => wire::committed(&mut replies, sent),
        }
    }

    /// What is known of exchanges; held for a moment, never while the server is asked.
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker for RedisBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            shared: true,
            transactional: true,
            delay: true,
            priority: PriorityOrder::LowestFirst,
            exchanges: true,
            dead_letters: true,
            leases: true,
            limits: true,
            revocations: true,
            revokes_ahead: true,
            mailbox: true,
            channels: true,
            pushes: false,
            sees_workers: true,
            releases_unmarked: true,
            insists_on_arguments: true,
        }
    }

    fn declare(&self, queues: &[Queue]) -> Result<()> {
        if queues.iter().all(|queue| queue.no_declare) {
            return Ok(());
        }
        self.keeper.lend("declare", |handle, until| {
            let config = &self.keeper.config;
            let known = handle.call(&routes::declared(config, queues), until)?;
            let batch = routes::declare(config, queues, known)?;
            for queue in queues {
                self.routes().forget(&queue.exchange);
            }
            wire::committed(&mut handle.call(&batch, until)?, batch.len())
        })
    }

    fn publish_within(&self, publications: &[Publication], within: Option<Duration>) -> Result<()> {
        if publications.is_empty() {
            return Ok(());
        }
        self.send(within, |handle, until| self.send_over(handle, publications, until))
    }

    fn publish_locking(
        &self,
        publications: &[Publication],
        together: bool,
        within: Option<Duration>,
    ) -> Result<Vec<Duplicate>> {
        self.send(within, |handle, until| self.send_locking(handle, publications, together, until))
    }

    fn purge(&self, queue: &str) -> Result<u64> {
        inspect::purge(&self.keeper, queue)
    }

    fn depths(&self) -> Result<Vec<Depth>> {
        inspect::depths(&self.keeper)
    }

    fn dead_letters(&self, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
        inspect::dead_letters(&self.keeper, queue, limit)
    }

    fn requeue_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        inspect::requeue_dead(&self.keeper, queue, ids)
    }

    fn drop_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        inspect::drop_dead(&self.keeper, queue, ids)
    }

    fn holds(&self, text: &str) -> Result<bool> {
        holds::holds(&self.keeper, text)
    }

    fn workers(&self) -> Result<Vec<WorkerEntry>> {
        inspect::workers(&self.keeper)
    }

    fn revoke(&self, revocations: &[Revocation]) -> Result<()> {
        let mut batch = Batch::new();
        revoked::revoke(&self.keeper.config, revocations, self.clock.wall(), true, &mut batch);
        self.keeper.call("revoke", &batch)?.skip(batch.len())
    }

    fn revoked(&self) -> Result<Vec<Revocation>> {
        revoked::all(&self.keeper)
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::clone(&self.store) as Arc<dyn Store>)
    }

    fn run_directory(&self) -> Result<Option<PathBuf>> {
        Ok(lease::run_directory())
    }

    fn subscribe<'a>(&'a self, subscription: Subscription) -> BoxFuture<'a, Result<Box<dyn Session>>> {
        Box::pin(async move {
            let config = Arc::new(self.keeper.config.clone());
            let session = RedisSession::begin(config, self.clock.clone(), subscription).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn close(&self) {
        self.keeper.close();
    }
}
