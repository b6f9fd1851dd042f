//! What a worker sends: over a connection of its own, because a server that blocks publishers stops reading what they
//! say, and acknowledgements must get through.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::config::{AmqpConfig, PEER};
use super::confirms::Confirms;
use super::connection::Returned;
use super::error::{blocked, closed, refused};
use super::link::Link;
use super::wire::call::{self, To};
use super::wire::{Incoming, Method, properties};
use super::{delay, topology};
use crate::broker::Queue;
use crate::broker::net::error::too_late;
use crate::error::{Error, ErrorKind, Result};

/// The one channel.
const CHANNEL: u16 = 1;
/// So much is written at once.
const PIECE: usize = 256 * 1024;
/// So many messages may be on their way unconfirmed.
const WINDOW: usize = 1024;

/// A message to be sent.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    /// It must reach a queue.
    pub(super) mandatory: bool,
    /// As [`properties::write`] writes them.
    pub(super) properties: Vec<u8>,
    pub(super) body: Bytes,
}

/// Sends and waits for confirmations.
pub(super) struct Publisher {
    config: Arc<AmqpConfig>,
    name: String,
    link: Option<Link>,
    confirms: Confirms<()>,
    returned: Vec<Returned>,
    /// Exchanges that are known to exist.
    exchanges: HashSet<String>,
    /// Queues that delays lead to; `None`: the queues of delays are not known to exist.
    delayed: Option<HashSet<String>>,
}

impl Publisher {
    pub(super) fn new(config: Arc<AmqpConfig>, name: String) -> Self {
        Self {
            config,
            name,
            link: None,
            confirms: Confirms::default(),
            returned: Vec::new(),
            exchanges: HashSet::new(),
            delayed: None,
        }
    }

    /// The connection, opened when it is first needed and after it broke.
    async fn link(&mut self) -> Result<&mut Link> {
        if self.link.is_none() {
            self.exchanges.clear();
            self.delayed = None;
            self.link = Some(Link::open(&self.config, &self.name).await?);
            self.open_channel().await?;
        }
        self.link.as_mut().ok_or_else(broke)
    }

    async fn open_channel(&mut self) -> Result<()> {
        (self.confirms, self.returned) = (Confirms::default(), Vec::new());
        let link = self.link.as_mut().ok_or_else(broke)?;
        let opened = link.ask(CHANNEL, |out| {
            call::channel_open(CHANNEL, out);
            call::confirm_select(CHANNEL, out);
            Ok(2)
        });
        let opened = opened.await.map(drop);
        if opened.is_err() {
            self.link = None;
        }
        opened
    }

    /// Asks something. A channel that is closed over it is opened again; a connection that breaks is opened with the
    /// next call.
    async fn ask(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<usize>) -> Result<Method> {
        let asked = self.link().await?.ask(CHANNEL, write).await;
        if asked.is_err() {
            if self.link.as_ref().is_some_and(Link::is_usable) {
                self.exchanges.clear();
                self.open_channel().await?;
            } else {
                self.link = None;
            }
        }
        asked
    }

    /// Whether an exchange exists.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) async fn has_exchange(&mut self, exchange: &str) -> Result<bool> {
        if self.link.is_some() && self.exchanges.contains(exchange) {
            return Ok(true);
        }
        match self.ask(|out| topology::look_for_exchange(CHANNEL, exchange, out)).await {
            Ok(_) => {
                self.exchanges.insert(exchange.to_owned());
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a queue that is known by its name only; one that exists stays as it is.
    pub(super) async fn make_queue(&mut self, queue: &str) -> Result<()> {
        match self.ask(|out| topology::make(CHANNEL, queue, out)).await {
            Err(error) if error.kind() != ErrorKind::Mismatch => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the queues of delays exist, and lead to `queue` in the end.
    pub(super) async fn make_delays(&mut self, queue: &Queue) -> Result<()> {
        if self.link.is_some() && self.delayed.as_ref().is_some_and(|queues| queues.contains(&queue.name)) {
            return Ok(());
        }
        self.make_delay_queues().await?;
        self.make_queue(&queue.name).await?;
        self.ask(|out| delay::bind(CHANNEL, queue, out)).await?;
        self.delayed.get_or_insert_default().insert(queue.name.clone());
        Ok(())
    }

    /// Makes the queues of delays exist.
    pub(super) async fn make_delay_queues(&mut self) -> Result<()> {
        if self.delayed.is_some() && self.link.is_some() {
            return Ok(());
        }
        let kind = self.config.delay_queue_type;
        match self.ask(|out| delay::declare(CHANNEL, kind, out)).await {
            // They are there, of another type.
            Err(error) if error.kind() == ErrorKind::Mismatch => {}
            other => drop(other?),
        }
        self.delayed.get_or_insert_default();
        Ok(())
    }

    /// Sends messages and waits until the server has them; gives back those that must reach a queue and did not.
    ///
    /// # Errors
    /// `Busy` when the server takes none now; nobody knows then which of them it has.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(super) async fn send(&mut self, parcels: &[Parcel]) -> Result<Vec<Returned>> {
        let sent = self.send_all(parcels).await;
        match &sent {
            // What was sent may still be confirmed, or not: the next one begins anew.
            Err(error) if error.kind() != ErrorKind::Encode => self.link = None,
            _ => {}
        }
        sent
    }

    async fn send_all(&mut self, parcels: &[Parcel]) -> Result<Vec<Returned>> {
        if let Some(reason) = &self.link().await?.blocked {
            let error = blocked(reason);
            self.hear().await?;
            if self.link().await?.blocked.is_some() {
                return Err(error);
            }
        }
        for parcel in parcels {
            let link = self.link.as_mut().ok_or_else(broke)?;
            let to = To {
                exchange: &parcel.exchange,
                routing_key: &parcel.routing_key,
                mandatory: parcel.mandatory,
            };
            link.publish(CHANNEL, to, &parcel.properties, &parcel.body);
            self.confirms.sent(());
            if link.out.len() >= PIECE || self.confirms.waiting() >= WINDOW {
                link.flush().await?;
                if self.confirms.waiting() >= WINDOW {
                    self.confirmed(WINDOW / 2).await?;
                }
            }
        }
        self.confirmed(0).await?;
        let returned = std::mem::take(&mut self.returned);
        if self.confirms.take_refused().is_empty() { Ok(returned) } else { Err(refused()) }
    }

    /// Waits until no more than so many messages are unconfirmed.
    async fn confirmed(&mut self, most: usize) -> Result<()> {
        let until = Instant::now() + self.config.answer_timeout;
        self.link.as_mut().ok_or_else(broke)?.flush().await?;
        loop {
            self.take_in()?;
            if self.confirms.waiting() <= most {
                return Ok(());
            }
            let link = self.link.as_mut().ok_or_else(broke)?;
            if let Ok(waited) = timeout_at(until, link.wait()).await {
                waited?;
            } else {
                return Err(link.blocked.as_deref().map_or_else(|| too_late(&PEER), blocked));
            }
        }
    }

    /// Takes in what has come.
    fn take_in(&mut self) -> Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        while let Some(incoming) = link.next()? {
            match incoming {
                Incoming::Method(_, Method::Ack { tag, multiple }) => {
                    self.confirms.heard(tag, multiple, true);
                }
                Incoming::Method(_, Method::Nack { tag, multiple }) => {
                    self.confirms.heard(tag, multiple, false);
                }
                Incoming::Method(_, Method::CloseChannel(closing)) => return Err(closed(&closing)),
                Incoming::Content(_, content) => {
                    if let Method::Return { exchange, routing_key, .. } = &content.method {
                        let (exchange, routing_key) = (exchange.clone(), routing_key.clone());
                        self.returned.push(Returned { exchange, routing_key, content });
                    }
                }
                Incoming::Method(..) | Incoming::Heartbeat => {}
            }
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        link.look().await?;
        self.take_in()
    }

    /// Looks after the connection while nothing is sent; one that broke is opened when it is needed.
    pub(super) async fn attend(&mut self) {
        let mut attended = self.hear().await;
        if let (Ok(()), Some(link)) = (&attended, &mut self.link) {
            attended = link.beat().await;
        }
        if attended.is_err() {
            self.link = None;
        }
    }

    /// Takes the connection out, to be closed.
    pub(super) fn take_link(&mut self) -> Option<Link> {
        self.link.take()
    }
}

/// The properties of a parcel that came back, to be sent once more or set aside.
pub(super) fn again(returned: &Returned) -> Result<Parcel> {
    let (mut written, known) = (Vec::new(), &returned.content.properties);
    properties::write(&known.headers, &known.others, known.priority, &mut written)?;
    Ok(Parcel {
        exchange: returned.exchange.clone(),
        routing_key: returned.routing_key.clone(),
        mandatory: true,
        properties: written,
        body: returned.content.body.clone(),
    })
}

fn broke() -> Error {
    Error::new(ErrorKind::Unreachable, "the connection to the RabbitMQ server broke")
}
