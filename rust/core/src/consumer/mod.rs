//! Taking from the queues and settling what was taken: one task that owns the session with the broker.
//!
//! It knows nothing of slots. It is told how much it may take and what to settle, and says what it got. What could not
//! be settled because of a temporary fault is kept and tried again, in order, until it works or the session is over.

pub mod accept;
mod admission;
pub mod credit;
mod elsewhere;
mod exchange;
pub mod link;
mod listening;
mod pace;
mod queues;
mod standing;
mod sweeping;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant as TokioInstant, sleep_until};

use crate::broker::{BoxFuture, Broker, Renewal, Session, Subscription};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::job::limits::Ask;
use crate::settle::batch::Batch;
use crate::store::Store;
use elsewhere::Ending;
use link::{Link, LinkInput, LinkState};
use listening::Listening;
use pace::Pace;
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
    /// Where messages come by themselves; `None` where each of them is asked for.
    pace: Option<Pace>,
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
            pace: None,
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
        self.pace = self.broker.capabilities().pushes.then(|| Pace::new(TokioInstant::now()));
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
                let changed = self.change_queues(&mut *session).await.map(|()| true);
                if let Err(error) = self.heed(changed, &mut visit) {
                    return self.lost(&error);
                }
            } else if self.exchange_at(&visit, now).is_some_and(|at| at <= now) {
                let exchanged = self.exchange(&mut *session).await;
                if let Err(error) = self.heed(exchanged, &mut visit) {
                    return self.lost(&error);
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

    /// Goes by what was tried: whether there may be more, or when to try again.
    ///
    /// # Errors
    /// The session is over.
    fn heed(&mut self, tried: Result<bool, Fault>, visit: &mut Visit) -> Result<()> {
        match tried {
            Ok(more) => (visit.more, visit.retry_at) = (more, None),
            Err(Fault::Session(error)) if ends_session(&error) => return Err(error),
            Err(Fault::Session(error) | Fault::Store(error)) => {
                self.warn(&error);
                visit.retry_at = Some(TokioInstant::now() + self.link.pause(jitter()));
            }
        }
        Ok(())
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
    /// the batch is due; never before the pause after a fault is over, or before what comes densely has gathered.
    fn exchange_at(&self, visit: &Visit, now: TokioInstant) -> Option<TokioInstant> {
        let take = visit.more && self.credit > 0 && (self.batch.is_empty() || self.hurry);
        let due =
            self.batch.due(self.hurry || !self.asks.is_empty()).map(|due| now + due.since(self.clock.now()));
        let at = if take { Some(now) } else { due };
        let gathered_at = self.pace.as_ref().map(Pace::next);
        at.map(|at| at.max(visit.retry_at.unwrap_or(at)).max(gathered_at.unwrap_or(at)))
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
