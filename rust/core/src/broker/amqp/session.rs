//! A worker's session: what it holds, and its two connections: over one it takes and settles, over the other it sends.
//!
//! There are no transactions, so a Commit is carried out in an order in which a crash repeats and never loses: publish
//! what follows, and wait until the server has it; send the results; then acknowledge. A connection that breaks is
//! opened again under the same session: what was held keeps its tag when it comes back ([`super::ledger`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::config::AmqpConfig;
use super::ledger::Ledger;
use super::link::Link;
use super::names::Names;
use super::publisher::Publisher;
use super::replies::Replies;
use super::source::{Source, State};
use super::wire::call;
use super::{delay, topology};
use crate::broker::topology::ExchangeKind;
use crate::broker::{BoxFuture, Harvest, Queue, Renewal, Session, Subscription};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{self, Tag};
use crate::job::ending::Commit;

/// How long the end of a session may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// A queue that cannot be had is tried again so often.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// What came and nobody wanted for so long goes back.
const UNWANTED: Duration = Duration::from_secs(1);

/// Takes from the queues of one server.
pub(super) struct AmqpSession {
    pub(super) config: Arc<AmqpConfig>,
    pub(super) clock: Clock,
    pub(super) epoch: u64,
    name: String,
    pub(super) sources: Vec<Source>,
    pub(super) ledger: Ledger,
    /// `None` when it broke; the next exchange opens another.
    pub(super) link: Option<Link>,
    pub(super) publisher: Publisher,
    pub(super) replies: Replies,
    pub(super) names: Names,
    /// Exchanges of type fanout, which may have no listener.
    pub(super) fanouts: Vec<String>,
    /// Where to begin handing out: each queue in turn.
    pub(super) turn: usize,
    /// Deliveries became somebody else's, and whoever holds them was not told yet.
    has_lost: bool,
    /// What the connection broke of while nobody asked anything; the next exchange says so.
    pub(super) trouble: Option<Error>,
    /// What users should know, and was not told yet.
    pub(super) notices: Vec<String>,
    /// When somebody last wanted messages.
    pub(super) wanted_at: Instant,
}

impl AmqpSession {
    pub(super) async fn begin(
        config: Arc<AmqpConfig>,
        clock: Clock,
        names: Names,
        subscription: Subscription,
    ) -> Result<Self> {
        let name = format!("fastq worker {}", subscription.node);
        let mut session = Self {
            publisher: Publisher::new(Arc::clone(&config), format!("{name} (sends)")),
            replies: Replies::new(config.results_persist),
            config,
            clock,
            epoch: ident::random(),
            name,
            sources: Vec::new(),
            ledger: Ledger::default(),
            link: None,
            names,
            fanouts: Vec::new(),
            turn: 0,
            has_lost: false,
            trouble: None,
            notices: Vec::new(),
            wanted_at: Instant::now(),
        };
        for queue in subscription.queues {
            session.add(queue);
        }
        session.connect().await?;
        for place in 0..session.sources.len() {
            session.open(place).await?;
        }
        session.prepare_delays().await?;
        Ok(session)
    }

    /// Remembers a queue, or one more binding of one.
    pub(super) fn add(&mut self, queue: Queue) {
        self.names.note(std::iter::once(queue.name.as_str()));
        if ExchangeKind::parse(&queue.exchange_type).is_ok_and(|kind| kind == ExchangeKind::Fanout) {
            self.fanouts.push(queue.exchange.clone());
        }
        match self.sources.iter_mut().find(|source| *source.name == *queue.name) {
            Some(source) => {
                source.is_left = false;
                if !source.declared.contains(&queue) {
                    source.declared.push(queue);
                }
            }
            None => self.sources.push(Source::new(self.sources.len(), queue)),
        }
    }

    async fn connect(&mut self) -> Result<()> {
        if self.link.is_none() {
            let link = Link::open(&self.config, &self.name).await?;
            if self.sources.len() > usize::from(link.agreed.channels) {
                let sentence =
                    "the worker has more queues than the RabbitMQ server allows channels (channel_max)";
                return Err(Error::new(ErrorKind::Config, sentence).with("queues", self.sources.len()));
            }
            self.link = Some(link);
        }
        Ok(())
    }

    /// Opens the channel of a queue.
    pub(super) async fn open(&mut self, place: usize) -> Result<()> {
        let (Some(link), source) = (&mut self.link, &mut self.sources[place]) else { return Err(broke()) };
        match source.open(link).await {
            Ok(notice) => {
                self.notices.extend(notice);
                Ok(())
            }
            Err(error) => {
                source.retry_at = Some(Instant::now() + RETRY);
                if link.is_usable() { Err(error) } else { Err(self.lose(error)) }
            }
        }
    }

    /// Makes the bindings of a queue exist from the one of this number on, over a channel that is open.
    pub(super) async fn bind(&mut self, place: usize, from: usize) -> Result<()> {
        for queue in self.sources[place].declared.clone().iter().skip(from) {
            let asked = self.ask_over(place, |channel, out| topology::declare(channel, queue, out)).await;
            asked.map_err(|error| error.with("queue", &queue.name))?;
        }
        self.take_in()
    }

    /// Where queues are replicated, Celery's clients may send to the queues of delays: they must lead to ours.
    async fn prepare_delays(&mut self) -> Result<()> {
        let wants = |queue: &&Queue| topology::is_quorum(queue) && topology::is_topic(queue);
        let queues: Vec<Queue> =
            self.sources.iter().flat_map(|source| &source.declared).filter(wants).cloned().collect();
        for queue in queues {
            self.publisher.make_delays(&queue).await?;
        }
        Ok(())
    }

    /// Makes delays exist, and lead to a queue in the end. One that is its connection's alone is bound over that.
    pub(super) async fn lead_delays_to(&mut self, queue: &Queue) -> Result<()> {
        let place = self.sources.iter().position(|source| queue.exclusive && *source.name == *queue.name);
        let Some(place) = place else { return self.publisher.make_delays(queue).await };
        self.publisher.make_delay_queues().await?;
        self.ask_over(place, |channel, out| delay::bind(channel, queue, out)).await?;
        self.take_in()
    }

    /// Asks something over the channel of a queue; one that is closed over it is lost.
    async fn ask_over(
        &mut self,
        place: usize,
        write: impl FnOnce(u16, &mut Vec<u8>) -> Result<usize>,
    ) -> Result<()> {
        let Some(link) = &mut self.link else { return Err(broke()) };
        let channel = self.sources[place].channel;
        match link.ask(channel, |out| write(channel, out)).await {
            Ok(_) => Ok(()),
            Err(error) if !link.is_usable() => Err(self.lose(error)),
            Err(error) => {
                self.lose_channel(place);
                Err(error)
            }
        }
    }

    /// Has a connection with all its channels. A queue that cannot be had is told of, and tried again; only when none
    /// can, that is an error.
    async fn ready(&mut self) -> Result<()> {
        self.connect().await?;
        let (mut last, now) = (None, Instant::now());
        for place in 0..self.sources.len() {
            let source = &self.sources[place];
            let is_due = source.retry_at.is_none_or(|at| at <= now);
            if source.state != State::Closed || source.is_left || !is_due {
                continue;
            }
            match self.open(place).await {
                Err(error) if self.link.is_some() => last = Some(error),
                other => other?,
            }
        }
        match last {
            Some(error) if self.sources.iter().all(|source| source.state == State::Closed) => Err(error),
            Some(error) => {
                self.notices.push(error.to_string());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The connection is gone, and what it had delivered is the server's again.
    pub(super) fn lose(&mut self, error: Error) -> Error {
        self.link = None;
        for place in 0..self.sources.len() {
            self.clear(place);
        }
        self.ledger.lose(|_| true, self.clock.now());
        self.has_lost = true;
        error
    }

    /// A channel is gone with what it had delivered; what was not handed out is forgotten.
    pub(super) fn clear(&mut self, place: usize) {
        let source = &mut self.sources[place];
        for delivery in &source.shelf {
            self.ledger.discard(delivery.tag());
        }
        source.lose();
    }

    /// Writes what is due, acknowledgements first.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let Some(link) = &mut self.link else { return Err(broke()) };
        let now = Instant::now();
        for source in self.sources.iter_mut().filter(|source| source.state != State::Closed) {
            source.flush(now, &mut link.out);
        }
        match link.flush().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lose(error)),
        }
    }

    /// As [`AmqpSession::flush`], with all that waits for others, before the connection is closed.
    async fn flush_all(&mut self) -> Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        for source in self.sources.iter_mut().filter(|source| source.state != State::Closed) {
            source.ring.flush_all(source.channel, &mut link.out);
        }
        self.flush().await
    }

    async fn settle_and_take(&mut self, commits: &mut Vec<Commit>, credit: usize) -> Result<Harvest> {
        if let Some(trouble) = self.trouble.take() {
            return Err(trouble);
        }
        self.ready().await?;
        // The runtime looks what sockets have only when a task lets it.
        tokio::task::yield_now().await;
        self.hear().await?;
        self.carry_out(commits).await?;
        self.flush().await?;
        let mut harvest = Harvest { refused: self.finish(commits), ..Harvest::default() };
        self.ask(credit).await?;
        self.hear().await?;
        self.hand_out(credit, &mut harvest);
        harvest.lost = std::mem::take(&mut self.has_lost);
        harvest.notices = std::mem::take(&mut self.notices);
        Ok(harvest)
    }

    async fn attend(&mut self) -> Result<()> {
        self.publisher.attend().await;
        if self.link.is_none() {
            return Ok(());
        }
        self.hear().await?;
        if self.wanted_at.elapsed() > UNWANTED {
            self.give_back().await?;
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        match link.beat().await {
            Ok(()) => self.flush().await,
            Err(error) => Err(self.lose(error)),
        }
    }

    /// Puts a delivery back into its queue, to its place.
    pub(super) fn put_back(&mut self, tag: Tag) {
        let Some(held) = self.ledger.get(tag) else { return };
        let (source, place) = (held.source, held.place);
        if let (Some(place), Some(link)) = (place, &mut self.link) {
            let source = &mut self.sources[source];
            call::nack(source.channel, place, false, true, &mut link.out);
            source.ring.settled(place);
        }
        self.ledger.discard(tag);
    }
}

impl Session for AmqpSession {
    fn exchange<'a>(
        &'a mut self,
        commits: &'a mut Vec<Commit>,
        credit: usize,
    ) -> BoxFuture<'a, Result<Harvest>> {
        Box::pin(self.settle_and_take(commits, credit))
    }

    fn publish_first<'a>(&'a mut self, commits: &'a mut Vec<Commit>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.send_follow_ups(commits))
    }

    fn subscribe_to<'a>(&'a mut self, queues: &'a [Queue]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.take_from(queues))
    }

    fn unsubscribe_from<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.leave(queue))
    }

    fn arrival<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        Box::pin(self.wait_for_arrival())
    }

    fn renew<'a>(&'a mut self) -> BoxFuture<'a, Result<Renewal>> {
        Box::pin(async move {
            self.attend().await?;
            Ok(Renewal::default())
        })
    }

    fn renew_every(&self) -> Duration {
        self.link.as_ref().map_or(RETRY, Link::pulse).min(UNWANTED)
    }

    fn close<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let mut session = self;
            let flushed = session.flush_all().await;
            for link in [session.link.take(), session.publisher.take_link()].into_iter().flatten() {
                link.close(CLOSE_WITHIN).await;
            }
            flushed
        })
    }
}

pub(super) fn broke() -> Error {
    Error::new(ErrorKind::Unreachable, "the connection to the RabbitMQ server broke")
}
