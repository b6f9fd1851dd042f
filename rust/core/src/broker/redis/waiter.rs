//! Waiting for messages: for each list a connection with a command that takes the next one as it comes.
//!
//! The server wakes one waiter per message, the one that has waited longest, and moves the message in the same step:
//! nothing is lost when the connection dies before the reply. While a waiter waits, nobody else moves messages from
//! its list into the session's, so the order there is known.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::broadcast::Broadcasts;
use super::config::RedisConfig;
use super::link::Link;
use super::open::ClientName;
use super::source::Source;
use super::wire::Batch;
use crate::broker::Queue;
use crate::error::Result;

/// More lists are not waited for, but looked at now and then: each takes a connection.
pub(super) const MOST: usize = 16;
/// How much later than announced an answer may come.
const SLACK: Duration = Duration::from_secs(5);

/// What a waiter says.
pub(super) enum Landing {
    /// It took this from the list.
    Message(usize, Vec<u8>),
    /// Nothing came, or it was told to stop waiting.
    Nothing(usize),
    /// A fanout queue was sent this.
    Broadcast(Arc<str>, Vec<u8>),
    /// The server calls: tokens were given back.
    Call,
    /// A connection broke. Why, the next exchange finds out.
    Broken,
}

/// The waiters of one session; they end when it is dropped.
pub(super) struct Waiters {
    /// By the place of their list; `None` where there is no waiter.
    all: Vec<Option<Waiter>>,
    landings: UnboundedReceiver<Landing>,
    landed: UnboundedSender<Landing>,
    broadcasts: Broadcasts,
}

struct Waiter {
    orders: UnboundedSender<Duration>,
    /// Its connection; empty before there is one.
    client: Arc<OnceLock<ClientName>>,
    /// `None`: it was ended.
    task: Option<JoinHandle<()>>,
}

impl Drop for Waiters {
    fn drop(&mut self) {
        self.begin_to_end();
    }
}

impl Waiters {
    /// A waiter for each of the first lists ([`MOST`]) and the internal queue, whose connections are opened when they first wait; and one for what is
    /// published to fanout queues, which is opened now.
    ///
    /// # Errors
    /// Those of opening a connection.
    pub(super) async fn new(config: &Arc<RedisConfig>, sources: &[Source], queues: &[Queue]) -> Result<Self> {
        let (landed, landings) = unbounded_channel();
        let broadcasts = Broadcasts::listen(config, queues, landed.clone()).await?;
        let mut waiters = Self { all: Vec::new(), landings, landed, broadcasts };
        waiters.grow(config, sources);
        Ok(waiters)
    }

    /// Gives waiters to lists that have none, while there are fewer than [`MOST`].
    pub(super) fn grow(&mut self, config: &Arc<RedisConfig>, sources: &[Source]) {
        self.all.resize_with(sources.len(), || None);
        let most = MOST + usize::from(sources.iter().any(|source| source.internal));
        let mut room = most.saturating_sub(self.all.iter().flatten().count());
        for place in by_urgency(sources) {
            if room == 0 {
                return;
            }
            if self.all[place].is_none() {
                self.all[place] = Some(self.waiter(config, place, &sources[place]));
                room -= 1;
            }
        }
    }

    /// Where others who wait say what they have heard.
    pub(super) fn landed(&self) -> UnboundedSender<Landing> {
        self.landed.clone()
    }

    fn waiter(&self, config: &Arc<RedisConfig>, place: usize, source: &Source) -> Waiter {
        let (orders, ordered) = unbounded_channel();
        let client = Arc::new(OnceLock::new());
        let wait = Wait {
            config: Arc::clone(config),
            place,
            list: source.key.clone(),
            held: source.held.clone(),
            client: Arc::clone(&client),
            landed: self.landed.clone(),
        };
        Waiter { orders, client, task: Some(tokio::spawn(wait.run(ordered))) }
    }

    /// Listens to these fanout queues from now on, and to no others.
    ///
    /// # Errors
    /// Those of opening a connection; it listens as before then.
    pub(super) async fn listen(&mut self, config: &Arc<RedisConfig>, queues: &[Queue]) -> Result<()> {
        self.broadcasts = Broadcasts::listen(config, queues, self.landed.clone()).await?;
        Ok(())
    }

    /// Whether every list that the session takes from has a waiter.
    pub(super) fn wait_for_all(&self, sources: &[Source]) -> bool {
        sources.iter().enumerate().all(|(place, source)| source.closed || source.internal || self.has(place))
    }

    /// Whether a list has a waiter.
    pub(super) fn has(&self, place: usize) -> bool {
        self.all.get(place).is_some_and(Option::is_some)
    }

    /// Begins to wait.
    pub(super) fn wait(&self, place: usize, limit: Duration) {
        if let Some(Some(waiter)) = self.all.get(place) {
            let _ = waiter.orders.send(limit); // a waiter that has ended has said why
        }
    }

    /// Ends them all; their connections. When this returns none of them sends a command any more: what they have sent,
    /// their connections may still carry out.
    ///
    /// # Cancel safety
    /// Cancel safe: those that were not ended yet end soon.
    pub(super) async fn end(&mut self) -> Vec<ClientName> {
        let clients = self.begin_to_end();
        for waiter in self.all.iter_mut().flatten() {
            if let Some(task) = &mut waiter.task {
                let _ = task.await; // that it was ended is no error
                waiter.task = None;
            }
        }
        clients.iter().filter_map(|client| client.get()).cloned().collect()
    }

    /// As [`Waiters::end`], where nobody can wait: they end at their next turn. Their connections, that of one that is
    /// just opening it as soon as it has one.
    pub(super) fn begin_to_end(&self) -> Vec<Arc<OnceLock<ClientName>>> {
        for task in self.all.iter().flatten().filter_map(|waiter| waiter.task.as_ref()) {
            task.abort();
        }
        self.all.iter().flatten().map(|waiter| Arc::clone(&waiter.client)).collect()
    }

    /// What a waiter says next.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing said is lost.
    pub(super) async fn next(&mut self) -> Option<Landing> {
        self.landings.recv().await
    }

    /// What a waiter has said already.
    pub(super) fn said(&mut self) -> Option<Landing> {
        self.landings.try_recv().ok()
    }

    /// The connection of a waiter; `None` before there is one.
    pub(super) fn client(&self, place: usize) -> Option<&ClientName> {
        self.all.get(place)?.as_ref()?.client.get()
    }
}

/// The places in the order in which they get a waiter: first that of the internal queue, which gets one for its first list
/// alone; then those of the ordinary messages of each queue, which are on its first list.
fn by_urgency(sources: &[Source]) -> Vec<usize> {
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..sources.len())
        .filter(|place| !sources[*place].closed)
        .partition(|place| sources[*place].internal);
    let mut places: Vec<usize> = inside.into_iter().take(1).chain(outside).collect();
    places.sort_by_key(|place| (!sources[*place].internal, sources[*place].place.step));
    places
}

/// One waiter at work.
struct Wait {
    config: Arc<RedisConfig>,
    place: usize,
    list: String,
    held: String,
    client: Arc<OnceLock<ClientName>>,
    landed: UnboundedSender<Landing>,
}

impl Wait {
    async fn run(self, mut ordered: UnboundedReceiver<Duration>) {
        let mut link = None;
        while let Some(limit) = ordered.recv().await {
            let Ok(landing) = self.wait(&mut link, limit).await else {
                drop(self.landed.send(Landing::Broken));
                return;
            };
            drop(self.landed.send(landing));
        }
    }

    async fn wait(&self, link: &mut Option<Link>, limit: Duration) -> Result<Landing> {
        let link = if let Some(link) = link {
            link
        } else {
            let opened = Link::open(&self.config).await?;
            if let Some(client) = opened.client() {
                let _ = self.client.set(client); // a waiter opens one connection in its life
            }
            link.insert(opened)
        };
        let seconds = format!("{:.3}", limit.as_secs_f64());
        let mut batch = Batch::new();
        batch.add(&[
            b"BLMOVE",
            self.list.as_bytes(),
            self.held.as_bytes(),
            b"RIGHT",
            b"RIGHT",
            seconds.as_bytes(),
        ]);
        let mut replies = link.call_within(&batch, limit + SLACK).await?;
        Ok(match replies.bytes()? {
            Some(raw) => Landing::Message(self.place, raw),
            None => Landing::Nothing(self.place),
        })
    }
}
