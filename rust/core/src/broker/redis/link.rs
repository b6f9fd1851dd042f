//! A worker's connection: async, with a limit on every answer.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo};
use tokio::sync::mpsc::UnboundedSender;

use super::address::Place;
use super::config::RedisConfig;
use super::error::translate;
use super::open::{self, ClientName, Use, Welcome};
use super::routes;
use super::wire::{self, Batch, Replies};
use crate::broker::Queue;
use crate::error::{Error, ErrorKind, Result};

/// An open connection.
pub(super) struct Link {
    connection: MultiplexedConnection,
    pub(super) welcome: Welcome,
    limit: Duration,
}

/// Who hears what the server says unasked; without one it says nothing.
type Ear = Option<UnboundedSender<PushInfo>>;

impl Link {
    /// Opens a connection to the server of `config`, by way of its sentinels if it has some.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection half open is closed.
    pub(super) async fn open(config: &RedisConfig) -> Result<Self> {
        Self::open_with(config, None).await
    }

    /// As [`Link::open`], for a connection that listens.
    ///
    /// # Cancel safety
    /// As [`Link::open`].
    pub(super) async fn listen(config: &RedisConfig, ear: UnboundedSender<PushInfo>) -> Result<Self> {
        Self::open_with(config, Some(ear)).await
    }

    async fn open_with(config: &RedisConfig, ear: Ear) -> Result<Self> {
        let (limit, usage) =
            (config.answer_timeout, if ear.is_some() { Use::Listening } else { Use::Commands });
        match &config.place {
            Place::Host(host, port) => {
                let client = open::client_of_host(config, host, *port, usage)?;
                Self::of(&client, limit, ear).await?.greeted(config).await
            }
            Place::Socket(path) => {
                let client = open::client_of_socket(config, path, usage)?;
                Self::of(&client, limit, ear).await?.greeted(config).await
            }
            Place::Sentinels(sentinels) => {
                let mut last = None;
                for (host, port) in sentinels {
                    match Self::by_sentinel(config, host, *port, ear.clone()).await {
                        Ok(link) => return Ok(link),
                        Err(error) => last = Some(error),
                    }
                }
                Err(open::no_master(config, last))
            }
        }
    }

    async fn by_sentinel(config: &RedisConfig, host: &str, port: u16, ear: Ear) -> Result<Self> {
        // A sentinel that does not answer must not keep us from asking the next one.
        let limit = config.answer_timeout.min(Duration::from_secs(1));
        let question = open::question(config);
        let sentinel = open::client_of_host(config, host, port, Use::Commands)?;
        let answer = Self::of(&sentinel, limit, None).await?.call(&question).await?;
        let Some((host, port)) = open::master(answer, question.len())? else {
            return Err(open::no_master(config, None));
        };
        let usage = if ear.is_some() { Use::Listening } else { Use::Commands };
        let client = open::client_of_host(config, &host, port, usage)?;
        let mut link = Self::of(&client, config.answer_timeout, ear).await?.greeted(config).await?;
        let mut role = Batch::new();
        role.add(&[b"ROLE"]);
        if open::is_master(&mut link.call(&role).await?)? {
            Ok(link)
        } else {
            Err(open::no_master(config, None))
        }
    }

    async fn of(client: &redis::Client, limit: Duration, ear: Ear) -> Result<Self> {
        let mut settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            // The limit is ours, for each call another: the library's own default would end waiting commands.
            .set_response_timeout(None);
        if let Some(ear) = ear {
            settings = settings.set_push_sender(ear);
        }
        let connection =
            client.get_multiplexed_async_connection_with_config(&settings).await.map_err(translate)?;
        Ok(Self { connection, welcome: Welcome::default(), limit })
    }

    async fn greeted(mut self, config: &RedisConfig) -> Result<Self> {
        open::answered(self.call(&open::knock()).await?)?;
        let mut greeting = open::greeting(config);
        let words = greeting.len();
        open::which_server(&mut greeting);
        let mut replies = self.call(&greeting).await?;
        self.welcome = open::welcome(&mut replies, words)?;
        self.welcome.server = open::server(&mut replies);
        Ok(self)
    }

    /// Makes queues and bindings exist.
    ///
    /// # Cancel safety
    /// As [`Link::call`].
    pub(super) async fn declare(&mut self, config: &RedisConfig, queues: &[Queue]) -> Result<()> {
        if queues.iter().all(|queue| queue.no_declare) {
            return Ok(());
        }
        let known = self.call(&routes::declared(config, queues)).await?;
        let batch = routes::declare(config, queues, known)?;
        wire::committed(&mut self.call(&batch).await?, batch.len())
    }

    /// How its server names this connection; `None` where it does not tell.
    pub(super) fn client(&self) -> Option<ClientName> {
        ClientName::new(&self.welcome.server, self.welcome.client)
    }

    /// Sends commands in one write and waits for their replies.
    ///
    /// # Cancel safety
    /// Not cancel safe: commands may have been carried out. After an error the connection is of no more use.
    pub(super) async fn call(&mut self, batch: &Batch) -> Result<Replies> {
        self.call_within(batch, self.limit).await
    }

    /// As [`Link::call`], with a limit of its own.
    ///
    /// # Cancel safety
    /// As [`Link::call`].
    pub(super) async fn call_within(&mut self, batch: &Batch, limit: Duration) -> Result<Replies> {
        let call = self.connection.send_packed_commands(batch.pipeline(), 0, batch.len());
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(values)) => Ok(Replies::new(values)),
            Ok(Err(error)) => Err(translate(error)),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the Redis server did not answer in time")),
        }
    }
}
