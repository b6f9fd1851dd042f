//! The async side of a worker's session: orders go to its thread, the bell is heard here.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::checkpoint::Checkpointer;
use super::config::SqliteConfig;
use super::keeper::Keeper;
use super::lease::Lease;
use super::load::{Exchanged, Load, gone};
use super::place::run_directory;
use super::revoked::SqliteEar;
use super::thread::{self, Look, Order, SessionThread};
use super::wake::{Bell, BellPlace};
use super::watch::Watch;
use crate::broker::{BoxFuture, Ear, Harvest, Queue, Renewal, Session, Subscription};
use crate::clock::{Clock, WallTime};
use crate::error::{Error, ErrorKind, Result};
use crate::ident;
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Granted, Lines};

/// How often to look at the file, in case a bell was not heard: right after something happened, and at rest.
const LOOK_SOON: Duration = Duration::from_millis(5);
const LOOK_LATE: Duration = Duration::from_millis(250);
/// How long beginning a session may wait for the file.
const BEGIN_PATIENCE: Duration = Duration::from_secs(10);

/// Takes from the queues of one file.
pub(super) struct SqliteSession {
    orders: Sender<Order>,
    bell: Option<UnixDatagram>,
    /// Takes the bell's name away with the session.
    _place: Option<BellPlace>,
    clock: Clock,
    pid: u32,
    lease: Duration,
    /// The last exchange left messages behind.
    more: bool,
    next_due: Option<WallTime>,
    /// When to look at the file next, and how long to wait after that.
    look_at: Instant,
    pace: Duration,
    looking: Option<oneshot::Receiver<Look>>,
    /// Where ears listen; `None` once this session has one.
    ears: Option<PathBuf>,
    /// Where it is in line for tokens.
    lines: Lines,
    /// The bell rang while it was in one: somebody may have given some back.
    is_called: bool,
}

impl SqliteSession {
    pub(super) async fn begin(
        config: SqliteConfig,
        clock: Clock,
        subscription: Subscription,
    ) -> Result<Self> {
        let (orders, receiver) = channel();
        let (answer, begun) = oneshot::channel();
        let lease = subscription.lease;
        let ears = Some(run_directory(&config.path));
        let thread_clock = clock.clone();
        std::thread::Builder::new()
            .name("fastq-sqlite".into())
            .spawn(move || run(config, thread_clock, &subscription, answer, &receiver))
            .map_err(|error| {
                Error::new(ErrorKind::Busy, "no thread could be started for the database").because(error)
            })?;
        let bell = begun.await.map_err(|_| gone())??;
        let (bell, place) = match bell.map(Bell::into_parts) {
            Some((socket, place)) => (UnixDatagram::from_std(socket).ok(), Some(place)),
            None => (None, None),
        };
        Ok(Self {
            orders,
            bell,
            _place: place,
            clock,
            pid: std::process::id(),
            lease,
            more: true,
            next_due: None,
            look_at: Instant::now(),
            pace: LOOK_SOON,
            looking: None,
            ears,
            lines: Lines::default(),
            is_called: false,
        })
    }

    /// Refuses to work in a forked process: the thread is not there.
    fn check_process(&self) -> Result<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forked, "a worker's session was used in a forked process")
            .with("made_in", self.pid)
            .with("used_in", std::process::id()))
    }

    /// Sends an order and waits for its answer.
    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T> {
        self.check_process()?;
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }

    /// Something may have changed: look again soon.
    fn hurry(&mut self) {
        self.pace = LOOK_SOON;
        self.look_at = Instant::now() + LOOK_SOON;
    }

    fn begin_look(&mut self) {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Look { answer }).is_ok() {
            self.looking = Some(answered);
        }
        self.look_at = Instant::now() + self.pace;
        self.pace = (self.pace * 2).min(LOOK_LATE);
    }

    async fn wait_for_arrival(&mut self) {
        if self.more {
            return;
        }
        loop {
            let until_due = self.next_due.map(|due| due.from_now(self.clock.wall()));
            if until_due == Some(Duration::ZERO) {
                return;
            }
            let due_at = until_due.map_or(self.look_at, |wait| Instant::now() + wait);
            tokio::select! {
                () = heard(self.bell.as_ref()) => {
                    self.is_called |= !self.lines.is_empty();
                    self.hurry();
                    return;
                }
                look = answer(&mut self.looking) => {
                    self.next_due = look.next_due;
                    if look.ready {
                        self.hurry();
                        return;
                    }
                }
                () = tokio::time::sleep_until(self.look_at.min(due_at)), if self.looking.is_none() => {
                    if Instant::now() >= self.look_at {
                        self.begin_look();
                    }
                }
            }
        }
    }
}

/// Waits for a ring and takes all that have come: one visit answers them together.
pub(super) async fn heard(bell: Option<&UnixDatagram>) {
    let Some(bell) = bell else { return std::future::pending().await };
    let mut ring = [0; 8];
    if bell.recv(&mut ring).await.is_err() {
        return std::future::pending().await;
    }
    while bell.try_recv(&mut ring).is_ok() {}
}

/// The answer to a look under way; never without one.
async fn answer(looking: &mut Option<oneshot::Receiver<Look>>) -> Look {
    let Some(receiver) = looking else { return std::future::pending().await };
    // A thread that is gone answers the next exchange with its error: send the caller there.
    let look = receiver.await.unwrap_or(Look { ready: true, next_due: None });
    *looking = None;
    look
}

/// The life of a session's thread.
fn run(
    config: SqliteConfig,
    clock: Clock,
    subscription: &Subscription,
    answer: oneshot::Sender<Result<Option<Bell>>>,
    orders: &Receiver<Order>,
) {
    let keeper = Keeper::new(config);
    match join(&keeper, &clock, subscription) {
        Ok(Joined { lease, watch, bell, begun }) => {
            let checkpointer = Checkpointer::start(keeper.config.clone());
            let thread = SessionThread {
                keeper,
                clock,
                lease,
                watch,
                checkpointer,
                turn: 0,
                look_inside: true,
                busy: true,
                begun,
                told: 0,
            };
            // Nobody waits any more when the subscriber has given up: the orders have ended too, and the row goes.
            drop(answer.send(Ok(bell)));
            thread.serve(orders);
        }
        Err(error) => drop(answer.send(Err(error))),
    }
}

/// A session that has begun.
struct Joined {
    lease: Lease,
    watch: Watch,
    bell: Option<Bell>,
    begun: Renewal,
}

fn join(keeper: &Arc<Keeper>, clock: &Clock, subscription: &Subscription) -> Result<Joined> {
    let directory: PathBuf = run_directory(&keeper.config.path);
    keeper.lend("begin a session", BEGIN_PATIENCE, |handle| {
        let session = ident::session_id();
        // Without a bell (an odd file system) the session looks at the file instead.
        let bell = Bell::of_worker(&directory, &session).ok();
        if let Some(bell) = &bell {
            let _ = bell.socket.set_nonblocking(true);
        }
        let now = clock.wall();
        let path = bell.as_ref().map(Bell::path);
        let lease = Lease::begin(handle, subscription, &directory, &session, path, now)?;
        // What a predecessor was killed over is there for the first exchange.
        let mut watch = Watch::new(lease.term, clock.now());
        let begun = thread::put_back(handle, &lease, &mut watch, now)?;
        Ok(Joined { lease, watch, bell, begun })
    })
}

impl Session for SqliteSession {
    fn exchange<'a>(
        &'a mut self,
        commits: &'a mut Vec<Commit>,
        credit: usize,
    ) -> BoxFuture<'a, Result<Harvest>> {
        Box::pin(async move {
            self.check_process()?;
            let (answer, answered) = oneshot::channel();
            let load = Load::new(std::mem::take(commits), answer);
            // Refused, the order is dropped, and its load answers.
            let _ = self.orders.send(Order::Exchange { load, credit });
            let Exchanged { commits: left, result, next_due } = answered.await.map_err(|_| gone())?;
            *commits = left;
            let harvest = result?;
            self.more = harvest.more;
            self.next_due = next_due;
            self.hurry();
            Ok(harvest)
        })
    }

    fn arrival<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(self.wait_for_arrival())
    }

    fn subscribe_to<'a>(&'a mut self, queues: &'a [Queue]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.ask(|answer| Order::Subscribe { queues: queues.to_vec(), answer }).await??;
            self.more = true;
            Ok(())
        })
    }

    fn unsubscribe_from<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(
            async move { self.ask(|answer| Order::Unsubscribe { queue: queue.to_owned(), answer }).await? },
        )
    }

    fn admit<'a>(&'a mut self, asks: &'a [Ask]) -> BoxFuture<'a, Result<Vec<Granted>>> {
        Box::pin(async move {
            let order = |answer| Order::Admit { asks: asks.to_vec(), answer };
            let granted = self.ask(order).await??;
            self.lines.note(asks, &granted);
            Ok(granted)
        })
    }

    fn freed(&mut self) -> bool {
        std::mem::take(&mut self.is_called)
    }

    fn renew<'a>(&'a mut self) -> BoxFuture<'a, Result<Renewal>> {
        Box::pin(async move { self.ask(|answer| Order::Renew { answer }).await? })
    }

    fn ear(&mut self) -> Option<Box<dyn Ear>> {
        let directory = self.ears.take()?;
        Some(Box::new(SqliteEar::new(self.orders.clone(), &directory)))
    }

    fn renew_every(&self) -> Duration {
        (self.lease / 3).min(Duration::from_secs(2))
    }

    fn close<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.ask(|answer| Order::Close { answer }).await? })
    }
}

#[cfg(test)]
mod tests;
