//! The thread that owns a session's connection: it takes orders one at a time and never waits for anything else.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::commit::{self, carry_out};
use super::connection::Handle;
use super::keeper::Keeper;
use super::lease::Lease;
use super::load::Load;
use super::watch::Watch;
use super::{chords, consume, lock, reap, revoked, tokens, wake};
use crate::broker::{Harvest, Queue, Renewal};
use crate::clock::{Clock, WallTime};
use crate::error::Result;
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Granted};
use crate::job::revocation::Revocation;

/// How long an order may wait for other processes; then it is an error, and the session tries again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Expired results deleted in one transaction: producers wait for it.
const EXPIRED_CHUNK: i64 = 500;
/// Expired chords deleted in one renewal; each may have many parts.
const EXPIRED_CHORDS: i64 = 20;
/// Time for deleting expired results in one renewal, when there is work to do and when there is none.
const TIDY_BUSY: Duration = Duration::from_millis(5);
const TIDY_IDLE: Duration = Duration::from_millis(100);

/// What the async side may ask for.
pub(super) enum Order {
    Exchange { load: Load, credit: usize },
    Renew { answer: oneshot::Sender<Result<Renewal>> },
    Admit { asks: Vec<Ask>, answer: oneshot::Sender<Result<Vec<Granted>>> },
    Look { answer: oneshot::Sender<Look> },
    Subscribe { queues: Vec<Queue>, answer: oneshot::Sender<Result<()>> },
    Unsubscribe { queue: String, answer: oneshot::Sender<Result<()>> },
    Revoked { seen: i64, answer: oneshot::Sender<Result<revoked::News>> },
    Revoke { revocations: Vec<Revocation>, answer: oneshot::Sender<Result<()>> },
    Close { answer: oneshot::Sender<Result<()>> },
}

/// The answer to `Look`: what the file holds for this session.
#[derive(Default)]
pub(super) struct Look {
    pub(super) ready: bool,
    pub(super) next_due: Option<WallTime>,
}

/// A session as its thread knows it.
pub(super) struct SessionThread {
    pub(super) keeper: Arc<Keeper>,
    pub(super) clock: Clock,
    pub(super) lease: Lease,
    pub(super) watch: Watch,
    pub(super) checkpointer: Checkpointer,
    /// The queue that is served first; moves on with every exchange, so that none starves.
    pub(super) turn: usize,
    /// The internal queue may hold something.
    pub(super) look_inside: bool,
    /// An exchange did something since the last renewal.
    pub(super) busy: bool,
    /// What was put back when the session began; told with the first renewal.
    pub(super) begun: Renewal,
    /// The last number of the record of revocations that was told.
    pub(super) told: i64,
}

impl SessionThread {
    /// Serves until the session is closed or dropped; either way it holds nothing afterwards.
    pub(super) fn serve(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            // An answer nobody waits for any more is no fault: the order was carried out all the same.
            match order {
                Order::Exchange { load, credit } => self.exchange(load, credit),
                Order::Renew { answer } => drop(answer.send(self.renew())),
                Order::Admit { asks, answer } => drop(answer.send(self.admit(&asks))),
                Order::Look { answer } => drop(answer.send(self.look().unwrap_or_default())),
                Order::Subscribe { queues, answer } => drop(answer.send(self.subscribe_to(&queues))),
                Order::Unsubscribe { queue, answer } => drop(answer.send(self.unsubscribe_from(&queue))),
                Order::Revoked { seen, answer } => drop(answer.send(self.revoked(seen))),
                Order::Revoke { revocations, answer } => drop(answer.send(self.revoke(&revocations))),
                Order::Close { answer } => {
                    let ended = self.end();
                    self.keeper.close();
                    drop(answer.send(ended));
                    return;
                }
            }
        }
        // Dropped without closing. If this fails too, the lease runs out.
        let _ = self.end();
    }

    fn exchange(&mut self, load: Load, credit: usize) {
        match self.carry_out_and_claim(&load.commits, credit) {
            Ok((harvest, next_due, told)) => {
                self.told = told;
                let busy = !load.commits.is_empty() || !harvest.deliveries.is_empty();
                if busy {
                    self.checkpointer.nudge();
                }
                self.busy |= busy;
                self.turn = self.turn.wrapping_add(1);
                load.done(harvest, next_due);
            }
            Err(error) => load.failed(error),
        }
    }

    fn carry_out_and_claim(
        &mut self,
        commits: &[Commit],
        credit: usize,
    ) -> Result<(Harvest, Option<WallTime>, i64)> {
        let now = self.clock.wall();
        let Self { keeper, lease, turn, look_inside, told, .. } = self;
        keeper.lend("exchange", PATIENCE, |handle| {
            let (harvest, next_due, put_in, told, inside) = handle.transaction(|handle| {
                lease.check(handle)?;
                let carried = carry_out(handle, lease, commits, now)?;
                let next_due = consume::promote(handle, now)?;
                // A busy worker looks there when it knows of something; one that has nothing to settle always does.
                let inside = lease.inside.as_slice();
                let inside =
                    if *look_inside || carried.released || commits.is_empty() { inside } else { &[] };
                let mut deliveries = consume::claim(handle, lease.worker, inside, credit, 0)?;
                let left = credit - deliveries.len();
                deliveries.extend(consume::claim(handle, lease.worker, &lease.sources, left, *turn)?);
                let more_inside = consume::any_ready(handle, inside)?;
                let more = more_inside || consume::any_ready(handle, &lease.sources)?;
                let (revoked, told) = revoked::after(handle, *told, now)?;
                let refused = carried.refused;
                let harvest = Harvest { deliveries, refused, more, revoked, ..Harvest::default() };
                Ok((harvest, next_due, carried.put_in, told, more_inside))
            })?;
            *look_inside = inside;
            if put_in {
                handle.ringer.ring_workers();
            }
            let refused = |commit: &&Commit| {
                commit.settle.as_ref().is_none_or(|(receipt, _)| !harvest.refused.contains(&receipt.tag()))
            };
            let records = commits.iter().filter(refused).flat_map(|commit| commit::ended(&commit.records));
            handle.ringer.tell_waiters(records);
            Ok((harvest, next_due, told))
        })
    }

    fn admit(&self, asks: &[Ask]) -> Result<Vec<Granted>> {
        let now = self.clock.wall();
        self.keeper.lend("ask for turns and tokens", PATIENCE, |handle| {
            let granted = handle.transaction(|handle| {
                self.lease.check(handle)?;
                tokens::admit(handle, self.lease.worker, asks, now)
            })?;
            // Who leaves a line calls the next: it may have been called itself.
            if asks.iter().any(|ask| ask.wanted == 0) {
                handle.ringer.ring_workers();
            }
            Ok(granted)
        })
    }

    fn look(&self) -> Result<Look> {
        let now = self.clock.wall();
        self.keeper.lend("look for messages", PATIENCE, |handle| {
            let next_due = consume::next_due(handle)?;
            let is_due = next_due.is_some_and(|due| due <= now);
            let ready = is_due
                || consume::any_ready(handle, &self.lease.sources)?
                || consume::any_ready(handle, self.lease.inside.as_slice())?;
            Ok(Look { ready, next_due })
        })
    }

    fn subscribe_to(&mut self, queues: &[Queue]) -> Result<()> {
        let Self { keeper, lease, .. } = self;
        keeper.lend("take from more queues", PATIENCE, |handle| lease.add(handle, queues))
    }

    fn unsubscribe_from(&mut self, queue: &str) -> Result<()> {
        let Self { keeper, lease, .. } = self;
        keeper.lend("take from fewer queues", PATIENCE, |handle| lease.remove(handle, queue))
    }

    fn revoked(&self, seen: i64) -> Result<revoked::News> {
        let now = self.clock.wall();
        self.keeper.lend("look for revoked tasks", PATIENCE, |handle| revoked::after(handle, seen, now))
    }

    fn revoke(&self, revocations: &[Revocation]) -> Result<()> {
        let now = self.clock.wall();
        self.keeper.lend("revoke", PATIENCE, |handle| {
            handle.transaction(|handle| revoked::add(handle, revocations, now))?;
            handle.ringer.ring_ears();
            Ok(())
        })
    }

    fn renew(&mut self) -> Result<Renewal> {
        let now = self.clock.wall();
        let busy = std::mem::take(&mut self.busy);
        self.checkpointer.nudge();
        let renewed = self.keeper.lend("renew the lease", PATIENCE, |handle| {
            self.lease.renew(handle, now)?;
            self.watch.renewed(self.clock.now());
            let reaped = put_back(handle, &self.lease, &mut self.watch, now)?;
            tidy(handle, now, busy)?;
            self.look_inside |= consume::any_ready(handle, self.lease.inside.as_slice())?;
            Ok(reaped)
        });
        if renewed.is_err() {
            self.watch.failed();
        }
        let reaped = renewed?;
        let begun = std::mem::take(&mut self.begun);
        Ok(Renewal {
            asked: true,
            recovered: begun.recovered + reaped.recovered,
            buried: begun.buried + reaped.buried,
        })
    }

    fn end(&self) -> Result<()> {
        self.keeper.lend("end the session", PATIENCE, |handle| {
            if self.lease.end(handle)? {
                handle.ringer.ring_workers();
            }
            Ok(())
        })
    }
}

/// Reaps, and wakes those whom that concerns.
pub(super) fn put_back(
    handle: &mut Handle,
    lease: &Lease,
    watch: &mut Watch,
    now: WallTime,
) -> Result<Renewal> {
    let reaped = reap::reap(handle, lease, watch, now)?;
    if reaped.renewal.recovered + reaped.renewal.buried > 0 || reaped.freed {
        handle.ringer.ring_workers();
        handle.ringer.tell_waiters(commit::ended(&reaped.failures));
    }
    Ok(reaped.renewal)
}

/// Deletes what has expired, and the bells of those who left without taking them along.
fn tidy(handle: &Handle, now: WallTime, busy: bool) -> Result<()> {
    let began = Instant::now();
    let limit = if busy { TIDY_BUSY } else { TIDY_IDLE };
    while reap::delete_expired(handle, now, EXPIRED_CHUNK)? > 0 && began.elapsed() < limit {}
    lock::tidy(handle, now)?;
    tokens::tidy(handle, now)?;
    chords::delete_expired(handle, now, EXPIRED_CHORDS)?;
    wake::sweep(handle.ringer.directory());
    Ok(())
}
