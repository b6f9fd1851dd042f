//! What a worker hears on a connection of its own, which may fail while messages are taken, and the other way round.
//!
//! Whenever it is opened, the record is read once it listens: nothing that was called off meanwhile is missed.

use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use uuid::Uuid;

use super::config::RedisConfig;
use super::heard::Heard;
use super::link::Link;
use super::wire::Batch;
use super::{revoked, routes};
use crate::broker::hearsay::Hearsay;
use crate::broker::{BoxFuture, Ear, Said, Word};
use crate::clock::{Clock, WallTime};
use crate::error::{Error, ErrorKind, Result};
use crate::job::revocation::Revocation;
use crate::message::envelope::{Address, open, seal};

/// A server that says nothing for so long is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);
/// An answer that nobody fetches is forgotten after so many seconds.
const FORGOTTEN: &[u8] = b"60";

/// Hears what is called off, and remote commands.
pub(super) struct RedisEar {
    config: Arc<RedisConfig>,
    clock: Clock,
    /// The channel of remote commands.
    mailbox: Option<String>,
    heard: Arc<Heard>,
    open: Option<Open>,
    hearsay: Hearsay,
}

/// An open connection that listens.
struct Open {
    link: Link,
    heard: UnboundedReceiver<PushInfo>,
}

impl RedisEar {
    pub(super) fn new(
        config: Arc<RedisConfig>,
        clock: Clock,
        mailbox: Option<&str>,
        heard: Arc<Heard>,
    ) -> Self {
        let mailbox = mailbox.map(|exchange| routes::channel(&config, exchange, ""));
        Self { config, clock, mailbox, heard, open: None, hearsay: Hearsay::new() }
    }

    /// Begins to listen, then reads the record.
    async fn begin(&self) -> Result<(Open, u64, Vec<Revocation>)> {
        let (ear, heard) = unbounded_channel();
        let mut link = Link::listen(&self.config, ear).await?;
        let now = WallTime(link.welcome.time);
        let channel = revoked::channel(&self.config);
        let mut batch = Batch::new();
        // Each by a command of its own: the library takes each confirmation for the answer to one.
        for channel in [Some(&channel), self.mailbox.as_ref()].into_iter().flatten() {
            batch.add(&[b"SUBSCRIBE", channel.as_bytes()]);
        }
        link.call(&batch).await?.skip(batch.len())?;
        let mut batch = Batch::new();
        revoked::question(&self.config, now, &mut batch);
        let (number, record) = revoked::answer(&mut link.call(&batch).await?)?;
        Ok((Open { link, heard }, number, record))
    }

    /// What came over the channels.
    fn hear(&mut self, info: PushInfo) {
        if info.kind == PushKind::Disconnection {
            self.broke(Error::new(ErrorKind::Unreachable, "the connection to the Redis server broke"));
        }
        if info.kind != PushKind::Message {
            return;
        }
        let mut data = info.data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) = (data.next(), data.next())
        else {
            return;
        };
        if self.mailbox.as_ref().is_some_and(|mailbox| mailbox.as_bytes() == channel) {
            if let Ok(opened) = open(&payload.into()) {
                self.hearsay.put(Said::Command(opened.message));
            }
        } else {
            let (number, demands) = revoked::told(&payload);
            self.tell(number, demands);
        }
    }

    /// Between this and the moment at which it is said nothing else runs on this thread.
    fn tell(&mut self, number: u64, demands: Vec<Revocation>) {
        self.hearsay.put(Said::Revoked(demands));
        self.heard.note(number);
    }

    fn broke(&mut self, error: Error) {
        self.hearsay.broke(self.open.take().is_some(), error);
    }

    async fn step(&mut self) {
        let Some(open) = &mut self.open else {
            self.hearsay.rest().await;
            return match self.begin().await {
                Ok((open, number, record)) => {
                    self.open = Some(open);
                    self.hearsay.works();
                    self.tell(number, record);
                }
                Err(error) => self.broke(error),
            };
        };
        match timeout(SILENCE, open.heard.recv()).await {
            Ok(Some(info)) => self.hear(info),
            Ok(None) => self.broke(Error::new(ErrorKind::Unreachable, "the Redis server has hung up")),
            Err(_) => {
                let mut batch = Batch::new();
                batch.add(&[b"PING"]);
                if let Err(error) = open.link.call(&batch).await {
                    self.broke(error);
                }
            }
        }
    }

    async fn answer(&mut self, word: Word) -> Result<()> {
        let (config, mut batch) = (Arc::clone(&self.config), Batch::new());
        match &word {
            Word::Keep(revocations) => {
                revoked::revoke(&config, revocations, self.clock.wall(), false, &mut batch);
            }
            Word::Answer { exchange, routing_key, message } => {
                let tag = Uuid::new_v4().hyphenated().to_string();
                let address = Address { exchange, routing_key, priority: None, delivery_tag: &tag };
                let (list, envelope) =
                    (config.keys.key(&format!("{routing_key}.{exchange}")), seal(message, address)?);
                batch.add(&[b"LPUSH", list.as_bytes(), &envelope]);
                batch.add(&[b"EXPIRE", list.as_bytes(), FORGOTTEN]);
            }
            // Who works is read from the leases: nobody asks.
            Word::Described { .. } => return Ok(()),
        }
        let Some(open) = &mut self.open else {
            return Err(Error::new(ErrorKind::Unreachable, "the connection to the Redis server broke"));
        };
        open.link.call(&batch).await?.skip(batch.len())
    }
}

impl Ear for RedisEar {
    fn next<'a>(&'a mut self) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            loop {
                match self.hearsay.take() {
                    Some(said) => return said,
                    None => self.step().await,
                }
            }
        })
    }

    fn say<'a>(&'a mut self, word: Word) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.answer(word))
    }
}
