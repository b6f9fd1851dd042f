//! Queues and results in one process: for tests, for eager users, and as the shortest account of what a broker does.

mod chords;
mod hub;
mod limits;
mod results;
mod revoked;
mod session;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    BoxFuture, Broker, Capabilities, DeadLetter, Depth, Duplicate, PriorityOrder, Publication, Queue,
    Session, Subscription, WorkerEntry,
};
use crate::clock::{Clock, HandClock, WallTime};
use crate::error::{Error, ErrorKind, Result};
use crate::fork;
use crate::job::revocation::Revocation;
use crate::message::task::Headers;
use crate::store::Store;
use crate::store::memory::MemoryStore;
use hub::{Dead, Hub};
pub(crate) use session::MemorySession;

/// The hubs of this process that URLs name. They live as long as the process, as a server would.
static HUBS: LazyLock<Mutex<HashMap<String, Arc<Shared>>>> = LazyLock::new(Mutex::default);

/// A broker whose queues live in this process.
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
}

/// One hub and who waits for it.
pub(crate) struct Shared {
    hub: Mutex<Hub>,
    /// A message became ready, or the time of the next one changed. Rung by publishers, heard by sessions.
    arrived: Notify,
    /// Results were stored. Heard by the store's waiters.
    stored: Condvar,
    /// Tasks were called off. Heard by ears.
    revoked: Notify,
    clock: Clock,
}

impl MemoryBroker {
    /// The hub called `name`, made when it is first asked for; everyone in this process shares it.
    pub fn named(name: &str) -> Self {
        Self::shared(name, Clock::system)
    }

    /// As [`MemoryBroker::named`], for a hub whose clock is turned by hand and begins at the present time.
    ///
    /// # Errors
    /// `Config` when the hub is there already and goes by the machine's clock.
    pub fn by_hand(name: &str) -> Result<Self> {
        let hub = Self::shared(name, || Clock::Hand(Arc::new(HandClock::at(Clock::system().wall()))));
        if hub.hand().is_none() {
            let sentence = "the queues of this name are in use with the machine's clock";
            return Err(Error::new(ErrorKind::Config, sentence).with("name", name));
        }
        Ok(hub)
    }

    fn shared(name: &str, clock: impl FnOnce() -> Clock) -> Self {
        let _inside = fork::enter();
        let mut hubs = HUBS.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = hubs.entry(name.to_owned()).or_insert_with(|| Arc::new(Shared::new(clock())));
        Self { shared: Arc::clone(shared) }
    }

    /// The clock of the hub, when it is turned by hand.
    pub fn hand(&self) -> Option<Arc<HandClock>> {
        match &self.shared.clock {
            Clock::Hand(hand) => Some(Arc::clone(hand)),
            Clock::System(_) => None,
        }
    }

    /// When the next message falls due, whatever its queue.
    pub fn next_due(&self) -> Option<WallTime> {
        let _inside = fork::enter();
        let hub = self.shared.lock();
        hub.next_due(&hub.names())
    }

    /// A session that takes from every queue there is at the time, not only from those of its subscription.
    ///
    /// # Errors
    /// As from [`Broker::subscribe`].
    pub fn take_all(&self, subscription: Subscription) -> Result<Box<dyn Session>> {
        let session = MemorySession::join(Arc::clone(&self.shared), subscription)?;
        Ok(Box::new(session.of_all_queues()))
    }

    /// Forgets the hub's name: who asks for it next gets a new one. Who has it keeps it.
    pub fn retire(&self) {
        let _inside = fork::enter();
        let mut hubs = HUBS.lock().unwrap_or_else(PoisonError::into_inner);
        hubs.retain(|_, shared| !Arc::ptr_eq(shared, &self.shared));
    }

    /// A hub of its own, on the clock given.
    pub fn private(clock: Clock) -> Self {
        Self { shared: Arc::new(Shared::new(clock)) }
    }

    fn matching_dead(&self, queue: Option<&str>, ids: &[String]) -> Vec<u64> {
        let wanted = |(id, dead): &(&u64, &Dead)| {
            queue.is_none_or(|queue| *dead.queue == *queue)
                && (ids.is_empty() || ids.contains(&id.to_string()))
        };
        self.shared.lock().dead.iter().filter(wanted).map(|(id, _)| *id).collect()
    }
}

impl Shared {
    fn new(clock: Clock) -> Self {
        Self {
            hub: Mutex::default(),
            arrived: Notify::new(),
            stored: Condvar::new(),
            revoked: Notify::new(),
            clock,
        }
    }

    /// The hub's state, for a moment: never held while waiting for anything else.
    fn lock(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> WallTime {
        self.clock.wall()
    }
}

impl Broker for MemoryBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            durable: false,
            shared: false,
            transactional: true,
            delay: true,
            priority: PriorityOrder::HighestFirst,
            exchanges: true,
            dead_letters: true,
            leases: false,
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
        let _inside = fork::enter();
        let mut hub = self.shared.lock();
        queues.iter().try_for_each(|queue| hub.declare(queue))
    }

    fn publish_within(&self, publications: &[Publication], _within: Option<Duration>) -> Result<()> {
        let _inside = fork::enter();
        let now = self.shared.now();
        let mut hub = self.shared.lock();
        // All routes before the first message: all or none.
        let routes =
            publications.iter().map(|publication| hub.route(publication)).collect::<Result<Vec<_>>>()?;
        for (publication, queues) in publications.iter().zip(&routes) {
            hub.put(queues, publication, now);
        }
        drop(hub);
        self.shared.arrived.notify_waiters();
        Ok(())
    }

    fn publish_locking(
        &self,
        publications: &[Publication],
        together: bool,
        _within: Option<Duration>,
    ) -> Result<Vec<Duplicate>> {
        let _inside = fork::enter();
        let now = self.shared.now();
        let mut hub = self.shared.lock();
        let routes =
            publications.iter().map(|publication| hub.route(publication)).collect::<Result<Vec<_>>>()?;
        let (going, duplicates) = hub.lock_all(publications, together, now)?;
        for place in going {
            hub.put(&routes[place], &publications[place], now);
        }
        drop(hub);
        self.shared.arrived.notify_waiters();
        Ok(duplicates)
    }

    fn purge(&self, queue: &str) -> Result<u64> {
        let _inside = fork::enter();
        let mut hub = self.shared.lock();
        let Some(waiting) = hub.queues.get_mut(queue) else { return Ok(0) };
        let ready = std::mem::take(&mut waiting.ready).into_values();
        let purged: Vec<_> = ready.chain(std::mem::take(&mut waiting.delayed).into_values()).collect();
        let headers: Vec<_> = purged.iter().map(|item| item.message.headers.clone()).collect();
        hub.unlock_messages(&headers);
        Ok(purged.len() as u64)
    }

    fn depths(&self) -> Result<Vec<Depth>> {
        let _inside = fork::enter();
        Ok(self.shared.lock().depths())
    }

    fn dead_letters(&self, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
        let _inside = fork::enter();
        let hub = self.shared.lock();
        let newest_first = hub.dead.iter().rev();
        let wanted = newest_first.filter(|(_, dead)| queue.is_none_or(|queue| *dead.queue == *queue));
        Ok(wanted.take(limit).map(|(id, dead)| letter(*id, dead)).collect())
    }

    fn requeue_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        let _inside = fork::enter();
        let wanted = self.matching_dead(queue, ids);
        let mut hub = self.shared.lock();
        for id in &wanted {
            hub.revive(*id);
        }
        drop(hub);
        self.shared.arrived.notify_waiters();
        Ok(wanted.len() as u64)
    }

    fn drop_dead(&self, queue: Option<&str>, ids: &[String]) -> Result<u64> {
        let _inside = fork::enter();
        let wanted = self.matching_dead(queue, ids);
        let mut hub = self.shared.lock();
        hub.dead.retain(|id, _| !wanted.contains(id));
        Ok(wanted.len() as u64)
    }

    fn holds(&self, text: &str) -> Result<bool> {
        let _inside = fork::enter();
        Ok(self.shared.lock().holds(text))
    }

    fn workers(&self) -> Result<Vec<WorkerEntry>> {
        let _inside = fork::enter();
        let hub = self.shared.lock();
        let entry = |(epoch, member): (&u64, &hub::Member)| WorkerEntry {
            node: member.node.clone(),
            pid: std::process::id(),
            host: String::new(),
            started_at: member.started_at,
            lease_until: member.lease_until,
            in_flight: hub.claimed.values().filter(|claimed| claimed.epoch == *epoch).count() as u64,
            queues: member.queues.clone(),
        };
        Ok(hub.members.iter().map(entry).collect())
    }

    fn now(&self) -> WallTime {
        self.shared.now()
    }

    fn revoke(&self, revocations: &[Revocation]) -> Result<()> {
        self.shared.revoke(revocations);
        Ok(())
    }

    fn revoked(&self) -> Result<Vec<Revocation>> {
        Ok(self.shared.recorded())
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(MemoryStore::new(Arc::clone(&self.shared))))
    }

    fn run_directory(&self) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    fn subscribe<'a>(&'a self, subscription: Subscription) -> BoxFuture<'a, Result<Box<dyn Session>>> {
        Box::pin(async move {
            let session = MemorySession::join(Arc::clone(&self.shared), subscription)?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn close(&self) {}
}

fn letter(id: u64, dead: &Dead) -> DeadLetter {
    let headers = Headers::parse(&dead.item.message.headers).unwrap_or_default();
    DeadLetter {
        id: id.to_string(),
        task_id: headers.id.unwrap_or_default().into_owned(),
        task_name: headers.task.unwrap_or_default().into_owned(),
        queue: dead.queue.to_string(),
        reason: dead.reason.clone(),
        buried_at: dead.buried_at,
        deaths: dead.item.deaths,
        message: dead.item.message.clone(),
    }
}
