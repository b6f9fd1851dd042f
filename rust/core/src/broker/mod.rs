//! Where messages wait.
//!
//! Two faces, after who uses them: [`Broker`] is blocking, for clients and tools, which fork and have threads of
//! their own; [`Session`] is a worker's leased right to take messages, async, driven by the worker's one runtime.
//! Callers read [`Capabilities`] and never ask for a broker's name.

mod account;
#[cfg(feature = "amqp")]
pub mod amqp;
mod capabilities;
pub mod connect;
#[cfg(any(feature = "amqp", feature = "redis"))]
mod hearsay;
pub mod memory;
mod nearest;
#[cfg(any(feature = "amqp", feature = "redis"))]
pub(crate) mod net;
mod options;
mod overhear;
#[cfg(any(feature = "amqp", feature = "redis", feature = "sqlite"))]
mod process;
pub mod receipt;
#[cfg(feature = "redis")]
pub mod redis;
mod release;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod subscription;
pub mod topology;
pub mod url;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, WallTime};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Granted};
use crate::job::revocation::Revocation;
use crate::message::Message;
use crate::store::Store;

pub use account::{DeadLetter, Depth, WorkerEntry};
pub use capabilities::{Capabilities, PriorityOrder};
pub use connect::{connect, connect_store};
pub use overhear::{Ear, Said, Word};
pub use receipt::Receipt;
pub(crate) use release::release;
pub use subscription::{Harvest, Renewal, Subscription};
pub use topology::Queue;

/// A future of a trait object: boxed once per batch, never once per message.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection to one broker for everything but taking messages. Blocking, thread-safe, fork-safe.
pub trait Broker: Send + Sync {
    /// What this broker can do.
    fn capabilities(&self) -> Capabilities;

    /// Makes queues, exchanges and bindings exist. Declaring what exists changes nothing.
    ///
    /// # Errors
    /// `Mismatch` when a queue exists with other arguments; `Unsupported` for an exchange type this broker lacks.
    fn declare(&self, queues: &[Queue]) -> Result<()>;

    /// As [`Broker::publish_within`], with all the time that the settings allow.
    ///
    /// # Errors
    /// Those of [`Broker::publish_within`].
    fn publish(&self, publications: &[Publication]) -> Result<()> {
        self.publish_within(publications, None)
    }

    /// Sends messages; when it returns they are safe to the degree of [`Capabilities::durable`]. All or none. `within`
    /// may allow less time than the settings do.
    ///
    /// # Errors
    /// `Timeout` when the deadline passes, `Unreachable`, `Busy`; nothing was sent then.
    fn publish_within(&self, publications: &[Publication], within: Option<Duration>) -> Result<()>;

    /// As [`Broker::publish_within`], for one message that nobody waits for where its safety is known behind the call:
    /// what turns out not to be there is sent again, as long as this process lives.
    ///
    /// # Errors
    /// Those of [`Broker::publish_within`].
    fn publish_later(&self, publication: &Publication, within: Option<Duration>) -> Result<()> {
        self.publish_within(std::slice::from_ref(publication), within)
    }

    /// Waits until everything is safe that [`Broker::publish_later`] has sent; `within`: else for as long as a call may
    /// take.
    ///
    /// # Errors
    /// `Timeout` when it is not; it is sent on as long as this process lives.
    fn flush(&self, within: Option<Duration>) -> Result<()> {
        let _ = within;
        Ok(())
    }

    /// As [`Broker::publish_within`], but a message that wants a lock ([`crate::message::bounds::Lock`]) is sent only
    /// if no other task has it, and takes it in the same step; returns those that were not sent. `together`: if there
    /// is one of them, none of the messages is sent. A message whose own task has the lock counts as sent before.
    ///
    /// # Errors
    /// Those of [`Broker::publish_within`]; `Unsupported` without [`Capabilities::limits`]; `Encode` for a lock that
    /// cannot be.
    fn publish_locking(
        &self,
        publications: &[Publication],
        together: bool,
        within: Option<Duration>,
    ) -> Result<Vec<Duplicate>> {
        let _ = (publications, together, within);
        let sentence = "unique tasks need a broker that keeps their locks: Redis, SQLite or memory";
        Err(Error::new(ErrorKind::Unsupported, sentence))
    }

    /// Removes the messages that wait in a queue (ready and delayed, not in flight); returns how many.
    fn purge(&self, queue: &str) -> Result<u64>;

    /// Counts the messages of each queue that exists.
    fn depths(&self) -> Result<Vec<Depth>>;

    /// The messages set aside, newest first, at most `limit`.
    fn dead_letters(&self, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>>;

    /// Puts dead letters back into their queues with their deaths forgotten, all when `ids` is empty; returns how many.
    fn requeue_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64>;

    /// Deletes dead letters, all when `ids` is empty; returns how many.
    fn drop_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64>;

    /// Whether a message that waits, is delayed or held by a worker has `text` in its headers or body. True where that
    /// cannot be told, or not without harm: whoever asks wants to be sure that there is none.
    ///
    /// # Errors
    /// Those of reading.
    fn holds(&self, text: &str) -> Result<bool> {
        let _ = text;
        Ok(true)
    }

    /// The workers that hold a lease.
    fn workers(&self) -> Result<Vec<WorkerEntry>>;

    /// The present, by the clock that this broker goes by.
    fn now(&self) -> WallTime {
        Clock::system().wall()
    }

    /// Calls tasks off: writes it into a record that lasts until the time each names, and tells all workers. At most so
    /// many are kept as [`crate::buffer::revoked::MOST`] says; those that end first go first.
    ///
    /// # Errors
    /// `Unsupported` without [`Capabilities::revocations`]; what a publish can bring.
    fn revoke(&self, _revocations: &[Revocation]) -> Result<()> {
        Err(overhear::no_record())
    }

    /// The record: which tasks are called off now.
    ///
    /// # Errors
    /// As [`Broker::revoke`].
    fn revoked(&self) -> Result<Vec<Revocation>> {
        Err(overhear::no_record())
    }

    /// The store on the same server, when there is one: then a Commit is one transaction.
    fn store(&self) -> Option<Arc<dyn Store>>;

    /// A private folder for what a worker keeps beside the broker (its slot page), when the broker is a file.
    fn run_directory(&self) -> Result<Option<PathBuf>>;

    /// Begins a worker's session: registers its lease and returns the right to take.
    fn subscribe<'a>(&'a self, subscription: Subscription) -> BoxFuture<'a, Result<Box<dyn Session>>>;

    /// Ends the connection. Later calls open a new one, and so does what is not safe yet ([`Broker::flush`]): it is sent
    /// again.
    fn close(&self);
}

/// One worker's leased right to take messages and to settle them.
pub trait Session: Send {
    /// Carries out `commits`, then takes up to `credit` messages: one round trip, one transaction where the broker
    /// has them. On success `commits` is left empty. A Commit whose Receipt is no longer this session's stores
    /// nothing and publishes nothing; its tag comes back in [`Harvest::refused`].
    ///
    /// # Errors
    /// On an error nothing was done and `commits` still holds everything. Temporary: call again later.
    /// Permanent: the session is over; every Receipt of it is poisoned.
    ///
    /// # Cancel safety
    /// Not cancel safe: poll it to its end.
    fn exchange<'a>(
        &'a mut self,
        commits: &'a mut Vec<Commit>,
        credit: usize,
    ) -> BoxFuture<'a, Result<Harvest>>;

    /// Sends what `commits` want sent, and takes it out of them, where results are kept by another server and this one
    /// has no transactions: what follows a run comes before its result, and its result before the acknowledgement.
    ///
    /// # Errors
    /// As [`Session::exchange`].
    ///
    /// # Cancel safety
    /// Not cancel safe: poll it to its end.
    fn publish_first<'a>(&'a mut self, commits: &'a mut Vec<Commit>) -> BoxFuture<'a, Result<()>> {
        let _ = commits;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Completes when taking again is worth while: a message came or fell due.
    ///
    /// # Cancel safety
    /// Cancel safe: a wake-up that is dropped comes again.
    fn arrival<'a>(&'a mut self) -> BoxFuture<'a, ()>;

    /// Takes from more queues, which are made to exist, from the next exchange on. A queue that it takes from already
    /// gets the bindings that are new, and stays as it is.
    ///
    /// # Errors
    /// Those of [`Broker::declare`]; it takes from none of them then.
    ///
    /// # Cancel safety
    /// Not cancel safe: poll it to its end.
    fn subscribe_to<'a>(&'a mut self, queues: &'a [Queue]) -> BoxFuture<'a, Result<()>>;

    /// Takes nothing more from a queue; what it took from it can be settled as ever. A queue that it does not take from
    /// changes nothing.
    ///
    /// # Errors
    /// Temporary ones; it may have been carried out then, and can be asked for again.
    ///
    /// # Cancel safety
    /// Not cancel safe: poll it to its end.
    fn unsubscribe_from<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Renews the lease and puts back what dead workers held.
    ///
    /// # Errors
    /// Permanent when the lease was lost (another worker has taken this one for dead): the session is over.
    fn renew<'a>(&'a mut self) -> BoxFuture<'a, Result<Renewal>>;

    /// Asks for turns and tokens: one round trip, whatever the number of keys. An answer for each ask, in order.
    ///
    /// # Errors
    /// As [`Session::exchange`]; `Unsupported` without [`Capabilities::limits`].
    ///
    /// # Cancel safety
    /// Not cancel safe: poll it to its end.
    fn admit<'a>(&'a mut self, asks: &'a [Ask]) -> BoxFuture<'a, Result<Vec<Granted>>> {
        let _ = asks;
        Box::pin(async {
            let sentence =
                "limits that all workers keep together need a broker that counts: Redis, SQLite or memory";
            Err(Error::new(ErrorKind::Unsupported, sentence))
        })
    }

    /// Whether tokens were given back since this was last asked, so that asking again may bring some.
    fn freed(&mut self) -> bool {
        false
    }

    /// What hears, beside this session, of tasks that are called off and of remote commands. `None`: there is nothing to
    /// hear, or it was asked for before.
    fn ear(&mut self) -> Option<Box<dyn Ear>> {
        None
    }

    /// How often [`Session::renew`] wants to be called.
    fn renew_every(&self) -> Duration;

    /// Ends the session: everything unsettled goes back to its queue, unstarted, at once.
    fn close<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a;
}

/// A message and where it is to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Exchange; the empty one sends to the queue named by the routing key.
    pub exchange: String,
    /// Routing key, or the queue's name.
    pub routing_key: String,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Not before.
    pub due: Option<WallTime>,
    /// What is sent.
    pub message: Message,
}

#[cfg(any(feature = "amqp", feature = "redis"))]
impl Publication {
    /// Until when one of a client's is kept out of its queue; `None`: not at all. One that says itself when it is due
    /// goes there at once, however long that is: a worker puts it aside, and Celery's can hold it, too.
    pub(crate) fn kept_until(&self, now: WallTime) -> Option<WallTime> {
        self.due.filter(|due| *due > now && !self.says_when())
    }

    /// Whether its headers say when it is due.
    pub(crate) fn says_when(&self) -> bool {
        crate::message::task::Headers::parse(&self.message.headers).is_ok_and(|headers| headers.eta.is_some())
    }
}

/// A message that was not sent, because another task has its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its place among the publications.
    pub place: usize,
    /// The task that has the lock.
    pub holder: String,
}

/// A message as received. Its Receipt is the right to settle it, once.
#[derive(Debug)]
pub struct Delivery {
    /// The right to settle it.
    pub receipt: Receipt,
    /// The queue it was taken from.
    pub queue: Arc<str>,
    /// As published; the empty exchange means: straight to the queue.
    pub exchange: Arc<str>,
    /// As published.
    pub routing_key: Arc<str>,
    /// As published.
    pub priority: Option<u8>,
    /// Place in the order of priorities: 0 goes first, whatever the broker's numbers mean.
    pub rank: u8,
    /// It had been delivered before.
    pub redelivered: bool,
    /// How many workers or children died while they ran it.
    pub deaths: u32,
    /// What was sent.
    pub message: Message,
}

impl Delivery {
    /// The tag of its Receipt.
    pub fn tag(&self) -> Tag {
        self.receipt.tag()
    }
}
