//! A worker's session: what it holds, and its one connection over which it settles and takes.
//!
//! One exchange is one write: a transaction of everything to settle, to store, to publish and to take. The connection
//! watches the session's hash ([`super::lease`]), so the server refuses the transaction once another worker has taken
//! this one for dead.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::config::RedisConfig;
use super::lease::{Lease, lost};
use super::link::Link;
use super::mirror::Mirror;
use super::open::ClientName;
use super::promote::due;
use super::reap::Neighbours;
use super::revoked::Overheard;
use super::routes::Routes;
use super::source::Book;
use super::tokens::Tokens;
use super::transaction::Doubt;
use super::waiter::Waiters;
use super::wire::{Batch, Replies};
use crate::broker::{BoxFuture, Ear, Harvest, Queue, Renewal, Session, Subscription};
use crate::clock::{Clock, WallTime};
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, Tag};
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Granted};

/// Takes from the queues of one server.
pub(super) struct RedisSession {
    pub(super) config: Arc<RedisConfig>,
    pub(super) clock: Clock,
    pub(super) lease: Lease,
    pub(super) book: Book,
    pub(super) mirror: Mirror,
    pub(super) routes: Routes,
    pub(super) neighbours: Neighbours,
    pub(super) waiters: Waiters,
    pub(super) tokens: Tokens,
    pub(super) queues: Vec<Queue>,
    /// `None` when it broke; the next exchange opens another.
    pub(super) link: Option<Link>,
    /// The last connection, to be ended by the next: what it has sent must not be carried out any more.
    pub(super) last_client: Option<ClientName>,
    /// How far the server's clock is ahead of ours, in milliseconds.
    pub(super) ahead: i64,
    /// An exchange of which nobody knows whether it was carried out.
    pub(super) doubt: Option<Doubt>,
    /// Commits that turned out to be carried out; they are the first of those that will be given again.
    pub(super) settled_before: usize,
    /// Those among them that were refused.
    pub(super) refused_before: Vec<Tag>,
    /// What a command of a transaction that stands was refused with; the next exchange says so.
    pub(super) trouble: Option<Error>,
    /// When there was an exchange last.
    pub(super) exchanged_at: Instant,
    /// Exchanges that settled something.
    pub(super) exchanges: u64,
    /// Until when the lease is known to last.
    pub(super) confirmed_until: Instant,
    pub(super) next_due: Option<WallTime>,
    pub(super) turn: usize,
    pub(super) overheard: Overheard,
    pub(super) pid: u32,
    pub(super) is_lost: bool,
    pub(super) has_ended: bool,
}

impl RedisSession {
    pub(super) async fn begin(
        config: Arc<RedisConfig>,
        clock: Clock,
        subscription: Subscription,
    ) -> Result<Self> {
        let lease = Lease::new(&config, &subscription, ident::session_id());
        let book = Book::new(&config, &subscription, &lease.session);
        let link = open(&config, &subscription).await?;
        let waiters = Waiters::new(&config, &book.sources, &subscription.queues).await?;
        let session = Self {
            overheard: Overheard::new(&config, &clock, subscription.mailbox.as_deref()),
            neighbours: Neighbours::new(clock.now()),
            ahead: ahead(&clock, link.welcome.time),
            last_client: link.client(),
            confirmed_until: Instant::now() + lease.term,
            mirror: Mirror::new(&config, &lease.session),
            config,
            clock,
            lease,
            book,
            routes: Routes::default(),
            waiters,
            tokens: Tokens::default(),
            queues: subscription.queues.clone(),
            link: Some(link),
            doubt: None,
            settled_before: 0,
            refused_before: Vec::new(),
            trouble: None,
            exchanged_at: Instant::now(),
            exchanges: 0,
            next_due: None,
            turn: 0,
            pid: std::process::id(),
            is_lost: false,
            has_ended: false,
        };
        session.join(&subscription).await
    }

    /// Registers the lease, puts back what a predecessor was killed over, and looks what there is.
    async fn join(mut self, subscription: &Subscription) -> Result<Self> {
        let batch = self.lease.begin(subscription, &self.book, self.now());
        self.call(&batch).await?.skip(batch.len())?;
        self.put_back_others().await?;
        self.learn_revoked().await?;
        let mut batch = Batch::new();
        self.lease.watch(&mut batch);
        self.ask_for_lengths(&mut batch);
        let mut replies = self.call(&batch).await?;
        replies.skip(2)?;
        self.learn_lengths(&mut replies)?;
        self.learn_revoked().await?;
        Ok(self)
    }

    /// The server's time.
    pub(super) fn now(&self) -> WallTime {
        WallTime(self.clock.wall().0 + self.ahead)
    }

    /// Sends commands over the session's connection, which is of no more use after an error.
    pub(super) async fn call(&mut self, batch: &Batch) -> Result<Replies> {
        let Some(link) = &mut self.link else {
            return Err(Error::new(ErrorKind::Unreachable, "the connection to the Redis server broke"));
        };
        let called = link.call(batch).await;
        if called.is_err() {
            self.link = None;
        }
        called
    }

    pub(super) fn ask_for_lengths(&self, batch: &mut Batch) {
        for place in self.book.looked_at() {
            batch.add(&[b"LLEN", self.book.sources[place].key.as_bytes()]);
        }
        batch.add(&[b"ZRANGE", self.config.keys.key("fastq:due").as_bytes(), b"0", b"0", b"WITHSCORES"]);
    }

    pub(super) fn learn_lengths(&mut self, replies: &mut Replies) -> Result<()> {
        for place in self.book.looked_at().collect::<Vec<_>>() {
            self.book.sources[place].length = replies.int()? as u64;
        }
        self.book.looked();
        self.next_due = due(replies.next()?)?;
        Ok(())
    }

    async fn settle_and_take(&mut self, commits: &mut Vec<Commit>, credit: usize) -> Result<Harvest> {
        self.check()?;
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        (self.exchanged_at, self.turn) = (Instant::now(), self.turn.wrapping_add(1));
        self.hear_waiters();
        self.connect().await?;
        commits.drain(..std::mem::take(&mut self.settled_before).min(commits.len()));
        let mut harvest = Harvest { refused: std::mem::take(&mut self.refused_before), ..Harvest::default() };
        self.learn_routes(commits).await?;
        self.promote().await?;
        self.hand_out(credit, &mut harvest);
        let left = credit - harvest.deliveries.len();
        if let Err(error) = self.transact(commits, left, true, true, &mut harvest).await {
            self.keep_for_later(harvest);
            return Err(error);
        }
        commits.clear();
        // Something is there that was not known when the shares were made.
        let left = credit - harvest.deliveries.len();
        if left > 0 && self.has_known() {
            // What was taken so far is ours, whatever becomes of this one.
            let _ = self.transact(&[], left, false, false, &mut harvest).await;
        }
        if let Err(error) = self.before_handing_on(&harvest).await {
            self.keep_for_later(harvest);
            return Err(error);
        }
        harvest.deliveries.sort_by_key(|delivery| delivery.rank);
        harvest.more = self.has_known() || !self.book.landed.is_empty();
        harvest.revoked.append(&mut self.overheard.record);
        if credit > 0 && harvest.deliveries.len() == credit {
            self.stop_waiting().await;
        }
        Ok(harvest)
    }

    /// What must be known before anybody hears of what was taken.
    async fn before_handing_on(&mut self, harvest: &Harvest) -> Result<()> {
        if !harvest.deliveries.is_empty() {
            self.hear_first().await?;
        }
        self.mirror().await
    }

    /// Keeps what is held and nobody has heard of: it comes with the next exchange.
    fn keep_for_later(&mut self, harvest: Harvest) {
        harvest.deliveries.into_iter().rev().for_each(|delivery| self.book.landed.push_front(delivery));
        self.refused_before = harvest.refused;
    }

    /// # Errors
    /// `Forked` in another process, `Closed` after the lease was lost.
    pub(super) fn check(&self) -> Result<()> {
        if self.pid != std::process::id() {
            return Err(Error::new(ErrorKind::Forked, "a worker's session was used in a forked process")
                .with("made_in", self.pid)
                .with("used_in", std::process::id()));
        }
        if self.is_lost { Err(lost()) } else { Ok(()) }
    }

    /// The session is over: nothing it holds is its own.
    pub(super) fn take_for_dead(&mut self) {
        self.is_lost = true;
    }

    /// Hands out what waiters have taken.
    fn hand_out(&mut self, credit: usize, harvest: &mut Harvest) {
        let count = credit.min(self.book.landed.len());
        harvest.deliveries.extend(self.book.landed.drain(..count));
    }

    pub(super) fn has_known(&self) -> bool {
        self.book.sources.iter().any(|source| source.length > 0 && !source.waiting && !source.closed)
    }

    /// Asks for the bindings that follow-ups need and that are not known.
    async fn learn_routes(&mut self, commits: &[Commit]) -> Result<()> {
        let unknown = self.routes.unknown(commits.iter().flat_map(|commit| &commit.publications));
        if unknown.is_empty() {
            return Ok(());
        }
        let question = Routes::question(&self.config, &unknown);
        let mut answer = self.call(&question).await?;
        self.routes.learn(&self.config, &unknown, &mut answer)
    }
}

/// Opens the connection of a session whose queues exist.
async fn open(config: &RedisConfig, subscription: &Subscription) -> Result<Link> {
    let mut link = Link::open(config).await?;
    let queues: Vec<Queue> = subscription.queues.iter().chain(&subscription.internal).cloned().collect();
    link.declare(config, &queues).await?;
    Ok(link)
}

/// How far the server's clock is ahead of this one. A clock turned by hand knows no server.
pub(super) fn ahead(clock: &Clock, server: i64) -> i64 {
    match clock {
        Clock::System(_) if server > 0 => server - clock.wall().0,
        _ => 0,
    }
}

impl Session for RedisSession {
    fn exchange<'a>(
        &'a mut self,
        commits: &'a mut Vec<Commit>,
        credit: usize,
    ) -> BoxFuture<'a, Result<Harvest>> {
        Box::pin(async move {
            let exchanged = self.settle_and_take(commits, credit).await;
            exchanged.map_err(|error| error.during("exchange").with("server", &self.config.shown))
        })
    }

    fn arrival<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(self.wait_for_arrival())
    }

    fn subscribe_to<'a>(&'a mut self, queues: &'a [Queue]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check()?;
            let added = self.take_from(queues).await;
            added.map_err(|error| error.during("take from more queues").with("server", &self.config.shown))
        })
    }

    fn unsubscribe_from<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check()?;
            let removed = self.take_no_more_from(queue).await;
            removed.map_err(|error| error.during("take from fewer queues").with("server", &self.config.shown))
        })
    }

    fn admit<'a>(&'a mut self, asks: &'a [Ask]) -> BoxFuture<'a, Result<Vec<Granted>>> {
        Box::pin(async move {
            self.check()?;
            let granted = self.ask(asks).await;
            granted
                .map_err(|error| error.during("ask for turns and tokens").with("server", &self.config.shown))
        })
    }

    fn freed(&mut self) -> bool {
        self.hear_waiters();
        std::mem::take(&mut self.tokens.is_called)
    }

    fn renew<'a>(&'a mut self) -> BoxFuture<'a, Result<Renewal>> {
        Box::pin(async move {
            self.check()?;
            let renewed = self.renew_and_reap().await;
            renewed.map_err(|error| error.during("renew the lease").with("server", &self.config.shown))
        })
    }

    fn ear(&mut self) -> Option<Box<dyn Ear>> {
        self.overheard.ear.take().map(|ear| Box::new(ear) as Box<dyn Ear>)
    }

    fn renew_every(&self) -> Duration {
        (self.lease.term / 10).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    fn close<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.end().await.map_err(|error| error.during("end the session")) })
    }
}
