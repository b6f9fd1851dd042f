//! Taking from the queues and settling what was taken: one task that owns the session with the broker.
//!
//! It knows nothing of slots. It is told how much it may take and what to settle, and says what it got. What could not
//! be settled because of a temporary fault is kept and tried again, in order, until it works or the session is over.

pub mod accept;
mod admission;
pub mod credit;
mod elsewhere;
pub mod link;
mod listening;
mod queues;
mod standing;
mod sweeping;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant as TokioInstant, sleep_until, timeout_at};

use crate::broker::{BoxFuture, Broker, Harvest, Renewal, Said, Session, Subscription};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::Commit;
use crate::job::limits::Ask;
use crate::settle::batch::Batch;
use crate::store::Store;
use elsewhere::Ending;
use link::{Link, LinkInput, LinkState};
use listening::Listening;
use queues::Change;
use sweeping::Sweeper;

pub use words::{News, Order};

/// Where one session stands.
struct Visit {
    renew_at: TokioInstant,
    /// After a fault: not before.
    retry_at: Option<TokioInstant>,
    /// There may be something to take.
    more: bool,
}

/// What went wrong in a round trip. Only the broker can end a session; a store that fails is waited for.
enum Fault {
    Session(Error),
    Store(Error),
}

/// The task that owns the session.
pub struct Consumer {
    broker: Arc<dyn Broker>,
    /// Where results go first when broker and store are two servers.
    store: Option<Arc<dyn Store>>,
    subscription: Subscription,
    clock: Clock,
    orders: mpsc::UnboundedReceiver<Order>,
    news: mpsc::UnboundedSender<News>,
    link: Link,
    batch: Batch,
    ending: Ending,
    sweeper: Sweeper,
    credit: usize,
    harvest: u64,
    /// Harvests that whoever counts had not counted when it last said how much may be taken: number and size.
    uncounted: VecDeque<(u64, usize)>,
    hurry: bool,
    /// Turns and tokens to ask for.
    asks: Vec<Ask>,
    draining: bool,
    /// Other queues to take from, in the order they were asked for.
    changes: VecDeque<Change>,
    /// What hears of what is called off, while there is a session.
    listening: Option<Listening>,
    /// A session has begun: what is wrong with the broker from now on is taken for something that passes.
    has_begun: bool,
}

impl Consumer {
    /// How long a stop keeps trying to settle against a broker that does not answer.
    const LAST_TRIES: Duration = Duration::from_secs(5);
    /// How long it gives the session to give everything back.
    const CLOSE_WITHIN: Duration = Duration::from_secs(2);

    /// A consumer for [`Consumer::run`].
    pub fn new(
        broker: Arc<dyn Broker>,
        store: Option<Arc<dyn Store>>,
        subscription: Subscription,
        clock: Clock,
        orders: mpsc::UnboundedReceiver<Order>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        let counting = store.clone().or_else(|| broker.store());
        Self {
            sweeper: Sweeper::new(counting, &subscription),
            ending: Ending::default(),
            broker,
            store,
            subscription,
            clock,
            orders,
            news,
            link: Link::default(),
            batch: Batch::default(),
            credit: 0,
            harvest: 0,
            uncounted: VecDeque::new(),
            hurry: true,
            asks: Vec::new(),
            draining: false,
            changes: VecDeque::new(),
            listening: None,
            has_begun: false,
        }
    }

    /// Takes and settles until it is told to drain, or the first session can never begin.
    pub async fn run(mut self) {
        self.step(LinkInput::Open, String::new());
        let mut clean = true;
        while !matches!(self.link.state(), LinkState::Closed | LinkState::Failed) {
            let session = self.broker.clone();
            match session.subscribe(self.subscription.clone()).await {
                Ok(session) => {
                    self.has_begun = true;
                    self.step(LinkInput::Ready, String::new());
                    clean = self.attend(session).await;
                    self.listening = None;
                }
                Err(error) if self.has_begun || error.is_temporary() => {
                    self.step(LinkInput::TemporaryFault, error.to_string());
                }
                Err(error) => {
                    self.step(LinkInput::PermanentFault, error.to_string());
                    self.say(News::Failed(error));
                }
            }
            self.pause().await;
        }
        self.say(News::Ended { clean: clean && self.link.state() == LinkState::Closed });
    }

    /// Lives with one session until it is over or drained; returns whether everything was settled.
    async fn attend(&mut self, mut session: Box<dyn Session>) -> bool {
        let mut visit =
            Visit { renew_at: TokioInstant::now() + session.renew_every(), retry_at: None, more: true };
        self.listening = session.ear().map(|ear| Listening::begin(ear, self.news.clone()));
        loop {
            self.obey_waiting();
            let now = TokioInstant::now();
            // First of all the lease: whatever else fails, what is held here must not be taken for abandoned.
            if now >= visit.renew_at {
                visit.renew_at = now + session.renew_every();
                match session.renew().await {
                    Ok(renewal) => visit.more |= self.renewed(renewal),
                    Err(error) if !ends_session(&error) => self.warn(&error),
                    Err(error) => return self.lost(&error),
                }
            } else if self.draining {
                return self.finish(session).await;
            } else if !self.changes.is_empty() && visit.retry_at.is_none_or(|at| at <= now) {
                match self.change_queues(&mut *session).await {
                    Ok(()) => (visit.more, visit.retry_at) = (true, None),
                    Err(Fault::Session(error)) if ends_session(&error) => return self.lost(&error),
                    Err(Fault::Session(error) | Fault::Store(error)) => {
                        self.warn(&error);
                        visit.retry_at = Some(TokioInstant::now() + self.link.pause(jitter()));
                    }
                }
            } else if self.exchange_at(&visit, now).is_some_and(|at| at <= now) {
                match self.exchange(&mut *session).await {
                    Ok(more) => (visit.more, visit.retry_at) = (more, None),
                    Err(Fault::Session(error)) if ends_session(&error) => return self.lost(&error),
                    Err(Fault::Session(error) | Fault::Store(error)) => {
                        self.warn(&error);
                        visit.retry_at = Some(TokioInstant::now() + self.link.pause(jitter()));
                    }
                }
                self.pass_call_on(&mut *session);
            } else if self.may_ask() {
                if let Err(error) = self.admit(&mut *session).await {
                    return self.lost(&error);
                }
            } else {
                self.rest(&mut *session, &mut visit, now).await;
            }
        }
    }

    /// Waits until there is something to do.
    async fn rest(&mut self, session: &mut dyn Session, visit: &mut Visit, now: TokioInstant) {
        let change_at = visit.retry_at.filter(|_| !self.changes.is_empty());
        let at = self.exchange_at(visit, now).into_iter().chain(change_at).min();
        let arrival = self.credit > 0 && !visit.more;
        tokio::select! {
            biased;
            order = self.orders.recv() => self.obey(order),
            () = sleep_until(visit.renew_at) => {}
            found = self.sweeper.next() => self.batch.add(found, self.clock.now()),
            () = until(at) => {}
            () = arrived(session, arrival) => visit.more = true,
        }
    }

    /// When to go to the broker next: at once when something may be taken and nothing is gained by waiting, else when
    /// the batch is due; never before the pause after a fault is over.
    fn exchange_at(&self, visit: &Visit, now: TokioInstant) -> Option<TokioInstant> {
        let take = visit.more && self.credit > 0 && (self.batch.is_empty() || self.hurry);
        let due =
            self.batch.due(self.hurry || !self.asks.is_empty()).map(|due| now + due.since(self.clock.now()));
        let at = if take { Some(now) } else { due };
        at.map(|at| at.max(visit.retry_at.unwrap_or(at)))
    }

    fn renewed(&mut self, renewal: Renewal) -> bool {
        if renewal.asked {
            self.works();
        }
        let something = renewal.recovered + renewal.buried > 0;
        if something {
            self.say(News::Renewed(renewal));
        }
        something
    }

    /// One round trip: settles the batch and takes what may be taken; returns whether there may be more.
    async fn exchange(&mut self, session: &mut dyn Session) -> Result<bool, Fault> {
        if self.store.is_some() {
            session.publish_first(self.batch.commits()).await.map_err(Fault::Session)?;
        }
        self.store_first().await.map_err(Fault::Store)?;
        let credit = if self.draining { 0 } else { self.credit };
        let commits = self.batch.commits();
        let mut noted: Vec<Tag> = commits.iter().filter_map(Commit::noted).collect();
        let Harvest { deliveries, refused, more, revoked, lost, notices } =
            session.exchange(commits, credit).await.map_err(Fault::Session)?;
        self.works();
        notices.into_iter().for_each(|notice| self.say(News::Notice(notice)));
        if lost {
            self.say(News::SessionLost);
        }
        let ended = self.end_chords(&refused).await;
        if !refused.is_empty() {
            noted.retain(|tag| !refused.contains(tag));
            self.say(News::Refused(refused));
        }
        if !noted.is_empty() {
            self.say(News::Settled(noted));
        }
        if !revoked.is_empty() {
            self.say(News::Said(Said::Revoked(revoked))); // before what was taken: it may be among that
        }
        if !deliveries.is_empty() {
            self.credit = self.credit.saturating_sub(deliveries.len());
            self.harvest += 1;
            self.uncounted.push_back((self.harvest, deliveries.len()));
            self.say(News::Taken { deliveries, harvest: self.harvest });
        }
        // What could not be written down comes again: a sweeper finds the chord, and releases it once more.
        ended.map_err(Fault::Store)?;
        // What was just settled may have put messages into the queues, and without credit nobody looked.
        Ok(more || credit == 0)
    }

    /// What goes to another server first, where broker and store are two.
    async fn store_first(&mut self) -> Result<()> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let Self { subscription, ending, batch, .. } = self;
        let expires = (subscription.result_expires, subscription.chord_expires);
        elsewhere::store_first(store, batch.commits(), expires, subscription.internal_queue(), ending).await
    }

    /// And what goes there afterwards.
    async fn end_chords(&mut self, refused: &[Tag]) -> Result<()> {
        let ended = self.ending.carried_out(refused);
        match self.store.clone().filter(|_| !ended.is_empty()) {
            Some(store) => elsewhere::end(store, ended, self.subscription.chord_expires).await,
            None => Ok(()),
        }
    }

    /// Settles what is left and gives the rest back; keeps trying for a while.
    async fn finish(&mut self, mut session: Box<dyn Session>) -> bool {
        let deadline = TokioInstant::now() + Self::LAST_TRIES;
        while !self.batch.is_empty() && TokioInstant::now() < deadline {
            match self.exchange(&mut *session).await {
                Ok(_) => {}
                Err(Fault::Session(error)) if ends_session(&error) => break,
                Err(Fault::Session(error) | Fault::Store(error)) => {
                    self.warn(&error);
                    sleep_until((TokioInstant::now() + self.link.pause(jitter())).min(deadline)).await;
                }
            }
        }
        let closed =
            timeout_at(deadline.max(TokioInstant::now() + Self::CLOSE_WITHIN), session.close()).await;
        let clean = closed.is_ok_and(|closed| closed.is_ok()) && self.batch.is_empty();
        self.step(LinkInput::Settled, String::new());
        clean
    }

    fn obey(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Settle(commits)) => self.batch.add(commits, self.clock.now()),
            Some(Order::Take { credit, seen, hurry }) => {
                self.hurry = hurry;
                // What was taken meanwhile counts, too. To wait for the count would leave the broker idle for so long.
                self.uncounted.retain(|(harvest, _)| *harvest > seen);
                let uncounted: usize = self.uncounted.iter().map(|(_, taken)| taken).sum();
                self.credit = credit.saturating_sub(uncounted);
            }
            Some(Order::Consume(queues)) => self.changes.push_back(Change::Consume(queues)),
            Some(Order::Cancel(queue)) => self.changes.push_back(Change::Cancel(queue)),
            Some(Order::Say(word)) => {
                if let Some(listening) = &self.listening {
                    listening.say(word);
                }
            }
            Some(Order::Ask(asks)) => self.asks = asks,
            Some(Order::Drain) | None => {
                self.draining = true;
                self.hurry = true;
                self.step(LinkInput::Drain, String::new());
            }
        }
    }

    fn obey_waiting(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.obey(Some(order));
        }
    }

    fn say(&self, news: News) {
        // Nobody listens only when the worker is gone, and then there is nobody to tell.
        let _ = self.news.send(news);
    }
}

/// Whether a session is over after an error. One that was refused is not: it held its lease before the password was
/// changed or the right withdrawn, and goes on when that is put in order.
fn ends_session(error: &Error) -> bool {
    !error.is_temporary() && error.kind() != ErrorKind::Denied
}

/// Waits for messages, or for ever when none may be taken.
fn arrived(session: &mut dyn Session, wanted: bool) -> BoxFuture<'_, ()> {
    if wanted { session.arrival() } else { Box::pin(std::future::pending()) }
}

async fn until(due: Option<TokioInstant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// A number in 0..1 that differs between processes and moments.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
