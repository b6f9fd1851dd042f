//! Queues on RabbitMQ, or what else speaks AMQP 0-9-1, as Celery uses them (kombu-layouts.md §3).
//!
//! Any mix of Celery and fastq works on the same queues. The protocol is ours ([`wire`]), pure, and the same for
//! both: clients block on a socket of their own ([`connection`]), workers wait for many things at once ([`link`]).
//! The broker pushes, confirms and has no transactions: how a Commit is carried out all the same stands in
//! [`session`].

mod address;
mod adrift;
mod asking;
mod channels;
mod commit;
mod config;
mod confirmer;
mod confirms;
mod connection;
mod consume;
mod dead;
mod delay;
mod ear;
mod error;
mod greeting;
mod hearing;
mod inbound;
mod inspect;
mod late;
mod ledger;
mod link;
mod mailbox;
mod membership;
mod names;
mod publish;
mod publisher;
mod record;
mod replies;
mod rescue;
mod ring;
mod sending;
mod session;
mod source;
mod topology;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::net::{Home, Terms};
use super::topology::ExchangeKind;
use super::{
    BoxFuture, Broker, Capabilities, DeadLetter, Depth, PriorityOrder, Publication, Queue, Session,
    Subscription, WorkerEntry,
};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::job::revocation::Revocation;
use crate::store::Store;
pub use config::AmqpConfig;
use config::PEER;
use connection::{CHANNEL, Handle};
use hearing::Hearing;
pub(crate) use mailbox::{Letter, Mailbox};
use names::Names;
use publish::Sender;

/// The connections of a client's process.
type Keeper = super::net::Keeper<AmqpConfig>;

/// A broker on a RabbitMQ server. Nothing is opened before the first use.
pub struct AmqpBroker {
    sender: Arc<Sender>,
}

impl AmqpBroker {
    /// A broker on the server of `config`, on the clock given.
    pub fn new(config: AmqpConfig, clock: Clock) -> Self {
        let names = Names::default();
        names.note(config.queues.iter().map(String::as_str));
        Self { sender: Arc::new(Sender::new(Keeper::new(config), names, clock)) }
    }

    fn note(&self, queues: &[Queue]) {
        self.sender.names.note(queues.iter().map(|queue| queue.name.as_str()));
        let is_fanout = |queue: &&Queue| {
            ExchangeKind::parse(&queue.exchange_type).is_ok_and(|kind| kind == ExchangeKind::Fanout)
        };
        let fanouts = queues.iter().filter(is_fanout).map(|queue| queue.exchange.clone());
        self.sender.fanouts().extend(fanouts);
    }
}

impl Broker for AmqpBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: true,
            shared: true,
            transactional: false,
            delay: true,
            priority: PriorityOrder::HighestFirst,
            exchanges: true,
            dead_letters: true,
            leases: false,
            limits: false,
            revocations: true,
            revokes_ahead: false,
            mailbox: true,
            channels: false,
            pushes: true,
            sees_workers: false,
            releases_unmarked: false,
            insists_on_arguments: false,
        }
    }

    fn declare(&self, queues: &[Queue]) -> Result<()> {
        self.sender.keeper.lend("declare", |handle, until| {
            for queue in queues {
                let declared = handle.ask_some(until, |out| topology::declare(CHANNEL, queue, out));
                declared.map_err(|error| error.with("queue", &queue.name))?;
                if !queue.exchange.is_empty() {
                    handle.exchanges.insert(queue.exchange.clone());
                }
            }
            self.note(queues);
            Ok(())
        })
    }

    fn publish_within(&self, publications: &[Publication], within: Option<Duration>) -> Result<()> {
        if publications.is_empty() { Ok(()) } else { self.sender.send(publications, within) }
    }

    fn publish_later(&self, publication: &Publication, within: Option<Duration>) -> Result<()> {
        self.sender.send_late(publication, within)
    }

    fn flush(&self, within: Option<Duration>) -> Result<()> {
        self.sender.flush(within)
    }

    fn purge(&self, queue: &str) -> Result<u64> {
        self.empty(queue)
    }

    fn depths(&self) -> Result<Vec<Depth>> {
        self.count()
    }

    fn dead_letters(&self, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
        self.letters(queue, limit)
    }

    fn requeue_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        self.settle_letters(queue, ids, true)
    }

    fn drop_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        self.settle_letters(queue, ids, false)
    }

    /// AMQP knows connections, not workers: they are asked, and those of other libraries do not answer.
    fn workers(&self) -> Result<Vec<WorkerEntry>> {
        Ok(self.described()?.entries)
    }

    fn revoke(&self, revocations: &[Revocation]) -> Result<()> {
        self.call_off(revocations)
    }

    fn revoked(&self) -> Result<Vec<Revocation>> {
        self.called_off()
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        None
    }

    fn run_directory(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    fn subscribe<'a>(&'a self, subscription: Subscription) -> BoxFuture<'a, Result<Box<dyn Session>>> {
        Box::pin(async move {
            let config = Arc::new(self.sender.keeper.config.clone());
            let (clock, names) = (self.sender.clock.clone(), self.sender.names.clone());
            let session = Hearing::begin(config, clock, names, subscription).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn close(&self) {
        self.sender.keeper.close();
    }
}

impl Drop for AmqpBroker {
    fn drop(&mut self) {
        self.sender.confirmer.leave();
    }
}

impl Home for AmqpConfig {
    type Handle = Handle;

    fn open(&self, until: Instant) -> Result<Handle> {
        Handle::open(self, &format!("fastq client {}", std::process::id()), until)
    }

    fn is_sound(&self, handle: &mut Handle, until: Instant) -> bool {
        handle.is_sound(self, until)
    }

    fn is_broken(&self, handle: &Handle) -> bool {
        handle.is_broken()
    }

    fn is_over(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Unreachable
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            peer: &PEER,
            named: (self.setting, &self.shown),
            publish_timeout: self.publish_timeout,
            retry_on_timeout: false,
            max_connections: self.max_connections,
        }
    }
}
