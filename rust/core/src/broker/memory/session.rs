//! A worker's session on a hub. Its lease is the session itself: dropped, everything it held is back.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::hub::{Hub, Terms};
use super::revoked::MemoryEar;
use crate::broker::{BoxFuture, Ear, Harvest, Queue, Renewal, Session, Subscription};
use crate::error::{Error, ErrorKind, Result};
use crate::fork;
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Granted, Lines};
use crate::store::Record;

/// Takes from the queues of one hub.
pub(crate) struct MemorySession {
    shared: Arc<Shared>,
    queues: Vec<String>,
    lease: Duration,
    terms: Terms,
    /// The queue that is served first; moves on with every exchange, so that none starves.
    turn: usize,
    /// It takes from every queue there is.
    takes_all: bool,
    /// What it has told of the record.
    told: u64,
    /// Its ear was asked for.
    is_heard: bool,
    /// Where it is in line for tokens.
    lines: Lines,
    /// How often some had been given back when it last was called, or came into a line.
    called_at: u64,
}

impl MemorySession {
    pub(super) fn join(shared: Arc<Shared>, subscription: Subscription) -> Result<Self> {
        let _inside = fork::enter();
        let now = shared.now();
        let mut hub = shared.lock();
        let internal = subscription.internal_queue().to_owned();
        let all: Vec<_> = subscription.queues.into_iter().chain(subscription.internal).collect();
        all.iter().try_for_each(|queue| hub.declare(queue))?;
        let queues: Vec<String> = all.into_iter().map(|queue| queue.name).collect();
        let epoch = hub.next_id();
        let lease_until = now.after(subscription.lease);
        let member = super::hub::Member {
            node: subscription.node,
            started_at: now,
            lease_until,
            queues: queues.clone(),
        };
        hub.members.insert(epoch, member);
        drop(hub);
        let (result_expires, chord_expires) = (subscription.result_expires, subscription.chord_expires);
        let terms = Terms { epoch, result_expires, chord_expires, internal };
        let (lease, turn, told) = (subscription.lease, 0, 0);
        let (takes_all, is_heard, lines, called_at) = (false, false, Lines::default(), 0);
        Ok(Self { shared, queues, lease, terms, turn, takes_all, told, is_heard, lines, called_at })
    }

    /// The same session, taking from every queue there is at the time.
    pub(super) fn of_all_queues(mut self) -> Self {
        self.takes_all = true;
        self
    }

    fn step(&mut self, commits: &mut Vec<Commit>, credit: usize) -> Result<Harvest> {
        let _inside = fork::enter();
        let now = self.shared.now();
        let mut hub = self.shared.lock();
        if !hub.members.contains_key(&self.terms.epoch) {
            return Err(Error::new(ErrorKind::Closed, "the session has ended"));
        }
        let mut harvest = Harvest::default();
        let (mut ended, mut sent) = (false, false);
        for commit in commits.drain(..) {
            ended |= commit.records.iter().any(|record| Record::is_final(&record.state));
            let changes = commit.settle.is_some() || commit.limits.is_some() || commit.chords.is_some();
            sent |= !commit.publications.is_empty() || changes;
            let tag = commit.settle.as_ref().map(|(receipt, _)| receipt.tag());
            if !hub.commit(commit, &self.terms, now) {
                harvest.refused.extend(tag);
            }
        }
        hub.promote(now);
        if self.takes_all {
            self.queues = hub.names();
        }
        self.take(&mut hub, credit, &mut harvest);
        harvest.revoked = hub.recorded.after(&mut self.told);
        drop(hub);
        self.turn = self.turn.wrapping_add(1);
        if ended {
            self.shared.stored.notify_all();
        }
        if sent {
            self.shared.arrived.notify_waiters();
        }
        Ok(harvest)
    }

    /// Takes messages: of each queue its share, then what is left of any.
    fn take(&self, hub: &mut Hub, credit: usize, harvest: &mut Harvest) {
        for turn in 0..self.queues.len() {
            let queue = &self.queues[(self.turn + turn) % self.queues.len()];
            let share = (credit - harvest.deliveries.len()).div_ceil(self.queues.len() - turn);
            harvest.deliveries.extend(hub.take(queue, share, self.terms.epoch));
        }
        for queue in &self.queues {
            let left = credit - harvest.deliveries.len();
            harvest.deliveries.extend(hub.take(queue, left, self.terms.epoch));
        }
        harvest.deliveries.sort_by_key(|delivery| (delivery.rank, delivery.tag()));
        harvest.more = self.queues.iter().any(|queue| hub.ready(queue) > 0);
    }

    /// Shows which queues it takes from.
    fn register(&self, hub: &mut Hub) -> Result<()> {
        let member = hub.members.get_mut(&self.terms.epoch);
        let member = member.ok_or_else(|| Error::new(ErrorKind::Closed, "the session has ended"))?;
        member.queues.clone_from(&self.queues);
        Ok(())
    }

    /// Whether tokens were given back since it asked in vain.
    fn is_called(&self) -> bool {
        let _inside = fork::enter();
        !self.lines.is_empty() && self.shared.lock().bounds.freed > self.called_at
    }

    /// How long until something is there: zero when it is.
    fn until_next(&self) -> Option<Duration> {
        if self.is_called() {
            return Some(Duration::ZERO);
        }
        let _inside = fork::enter();
        let now = self.shared.now();
        let hub = self.shared.lock();
        if self.queues.iter().any(|queue| hub.ready(queue) > 0) {
            return Some(Duration::ZERO);
        }
        hub.next_due(&self.queues).map(|due| due.from_now(now))
    }
}

impl Session for MemorySession {
    fn exchange<'a>(
        &'a mut self,
        commits: &'a mut Vec<Commit>,
        credit: usize,
    ) -> BoxFuture<'a, Result<Harvest>> {
        Box::pin(async move { self.step(commits, credit) })
    }

    fn arrival<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            loop {
                // Listen before looking: what arrives between the two is heard.
                let mut arrived = std::pin::pin!(self.shared.arrived.notified());
                arrived.as_mut().enable();
                match self.until_next() {
                    Some(Duration::ZERO) => return,
                    Some(wait) => {
                        let _ = tokio::time::timeout(wait, arrived).await;
                    }
                    None => arrived.await,
                }
            }
        })
    }

    fn subscribe_to<'a>(&'a mut self, queues: &'a [Queue]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let _inside = fork::enter();
            let shared = Arc::clone(&self.shared);
            let mut hub = shared.lock();
            queues.iter().try_for_each(|queue| hub.declare(queue))?;
            for queue in queues {
                if !self.queues.contains(&queue.name) {
                    self.queues.push(queue.name.clone());
                }
            }
            self.register(&mut hub)
        })
    }

    fn unsubscribe_from<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let _inside = fork::enter();
            let shared = Arc::clone(&self.shared);
            let mut hub = shared.lock();
            self.queues.retain(|name| name != queue);
            self.register(&mut hub)
        })
    }

    fn admit<'a>(&'a mut self, asks: &'a [Ask]) -> BoxFuture<'a, Result<Vec<Granted>>> {
        Box::pin(async move {
            let _inside = fork::enter();
            let now = self.shared.now();
            let mut hub = self.shared.lock();
            if !hub.members.contains_key(&self.terms.epoch) {
                return Err(Error::new(ErrorKind::Closed, "the session has ended"));
            }
            let granted = hub.bounds.admit(self.terms.epoch, asks, now);
            if self.lines.is_empty() {
                self.called_at = hub.bounds.freed;
            }
            self.lines.note(asks, &granted);
            drop(hub);
            if asks.iter().any(|ask| ask.wanted == 0) {
                self.shared.arrived.notify_waiters();
            }
            Ok(granted)
        })
    }

    fn freed(&mut self) -> bool {
        let called = self.is_called();
        if called {
            let _inside = fork::enter();
            self.called_at = self.shared.lock().bounds.freed;
        }
        called
    }

    fn renew<'a>(&'a mut self) -> BoxFuture<'a, Result<Renewal>> {
        Box::pin(async move {
            let _inside = fork::enter();
            let now = self.shared.now();
            let lease_until = now.after(self.lease);
            self.shared.lock().bounds.tidy(now);
            match self.shared.lock().members.get_mut(&self.terms.epoch) {
                Some(member) => member.lease_until = lease_until,
                None => return Err(Error::new(ErrorKind::Closed, "the session has ended")),
            }
            Ok(Renewal { asked: true, ..Renewal::default() })
        })
    }

    fn ear(&mut self) -> Option<Box<dyn Ear>> {
        let is_first = !std::mem::replace(&mut self.is_heard, true);
        is_first.then(|| Box::new(MemoryEar::new(Arc::clone(&self.shared))) as Box<dyn Ear>)
    }

    fn renew_every(&self) -> Duration {
        (self.lease / 3).min(Duration::from_secs(2))
    }

    fn close<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            drop(self);
            Ok(())
        })
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        let _inside = fork::enter();
        self.shared.lock().leave(self.terms.epoch);
        self.shared.arrived.notify_waiters();
    }
}
