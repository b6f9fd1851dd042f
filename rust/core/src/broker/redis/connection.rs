//! A client's connection. Blocking, in the caller's thread: a command is one write and one read, and nothing else.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use redis::Value;

use super::address::Place;
use super::config::{PEER, RedisConfig};
use super::error::server_error;
use super::open::{self, Welcome};
use super::resp::Inbox;
use super::wire::{Batch, Replies};
use crate::broker::net::Stream;
use crate::error::{Error, ErrorKind, Result};

/// A connection that was used so short a time ago is not looked at before it is used again.
const FRESH: Duration = Duration::from_millis(50);

/// An open connection.
pub(crate) struct Handle {
    stream: Stream,
    inbox: Inbox,
    pub(super) welcome: Welcome,
    /// Something went wrong in the middle of a command: replies would not fit commands any more.
    broken: bool,
    used: Instant,
}

impl Handle {
    /// Opens a connection to the server of `config`, by way of its sentinels if it has some.
    pub(crate) fn open(config: &RedisConfig, until: Instant) -> Result<Self> {
        match &config.place {
            Place::Host(host, port) => {
                Self::of(Stream::to_host(config.dial(), host, *port, until)?).greeted(config, until)
            }
            Place::Socket(path) => Self::of(Stream::to_socket(&PEER, path)?).greeted(config, until),
            Place::Sentinels(sentinels) => {
                let mut last = None;
                for (position, (host, port)) in sentinels.iter().enumerate() {
                    match Self::by_sentinel(config, host, *port, share(until, sentinels.len() - position)) {
                        Ok(handle) => return Ok(handle),
                        Err(error) => last = Some(error),
                    }
                }
                Err(open::no_master(config, last))
            }
        }
    }

    fn by_sentinel(config: &RedisConfig, host: &str, port: u16, until: Instant) -> Result<Self> {
        let question = open::question(config);
        let answer = Self::of(Stream::to_host(config.dial(), host, port, until)?).call(&question, until)?;
        let Some((host, port)) = open::master(answer, question.len())? else {
            return Err(open::no_master(config, None));
        };
        let mut handle =
            Self::of(Stream::to_host(config.dial(), &host, port, until)?).greeted(config, until)?;
        let mut role = Batch::new();
        role.add(&[b"ROLE"]);
        if open::is_master(&mut handle.call(&role, until)?)? {
            Ok(handle)
        } else {
            Err(open::no_master(config, None))
        }
    }

    fn of(stream: Stream) -> Self {
        let welcome = Welcome::default();
        Self { stream, inbox: Inbox::default(), welcome, broken: false, used: Instant::now() }
    }

    fn greeted(mut self, config: &RedisConfig, until: Instant) -> Result<Self> {
        open::answered(self.call(&open::knock(), until).map_err(|error| unwelcome(config, error))?)?;
        let greeting = open::greeting(config);
        self.welcome = open::welcome(&mut self.call(&greeting, until)?, greeting.len())?;
        Ok(self)
    }

    /// Sends commands in one write and reads their replies.
    pub(crate) fn call(&mut self, batch: &Batch, until: Instant) -> Result<Replies> {
        self.exchange(batch, until).map(Replies::new)
    }

    /// As [`Handle::call`], where the first refusal of a command fails all.
    pub(crate) fn call_all(&mut self, batch: &Batch, until: Instant) -> Result<Replies> {
        let values = self.exchange(batch, until)?;
        match values.iter().find_map(refusal) {
            Some(error) => Err(error),
            None => Ok(Replies::new(values)),
        }
    }

    fn exchange(&mut self, batch: &Batch, until: Instant) -> Result<Vec<Value>> {
        self.broken = true;
        self.send(batch, until)?;
        let mut values = Vec::with_capacity(batch.len());
        for _ in 0..batch.len() {
            values.push(self.receive(until)?);
        }
        self.broken = false;
        self.used = Instant::now();
        Ok(values)
    }

    /// Sends commands without reading replies.
    pub(crate) fn send(&mut self, batch: &Batch, until: Instant) -> Result<()> {
        self.stream.write(&batch.pipeline().get_packed_pipeline(), until)
    }

    /// The next thing that comes, for connections that listen; `None` when nothing came in time, or the alarm rang.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn listen(&mut self, alarm: BorrowedFd<'_>, until: Instant) -> Result<Option<Value>> {
        if self.inbox.is_empty() && !self.stream.wait(alarm, until)? {
            return Ok(None);
        }
        match self.receive(until) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self, until: Instant) -> Result<Value> {
        loop {
            if let Some(value) = self.inbox.next()? {
                return Ok(value);
            }
            let count = self.stream.read(self.inbox.room(), until)?;
            self.inbox.came(count);
        }
    }

    /// Whether more has come than was read.
    pub(crate) fn has_more(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether something went wrong, so that it can be used no more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it can be used for another call of this process: the server has not hung up, and answers if it was not
    /// asked for a while.
    pub(super) fn is_sound(&mut self, config: &RedisConfig, until: Instant) -> bool {
        if self.broken || !self.inbox.is_empty() || !self.stream.is_ours() {
            return false;
        }
        let idle = self.used.elapsed();
        if idle < FRESH {
            return true;
        }
        if self.stream.is_stale() {
            return false;
        }
        if config.client.health_check_interval.is_none_or(|interval| idle < interval) {
            return true;
        }
        self.call(&open::knock(), share(until, 3)).is_ok()
    }
}

/// A server that hangs up before it has said a word may have waited for a TLS handshake.
fn unwelcome(config: &RedisConfig, error: Error) -> Error {
    if error.kind() != ErrorKind::Unreachable || config.tls.is_some() {
        return error;
    }
    let sentence = "the Redis server hung up before it said a word: \
                    if it speaks TLS, write rediss:// in place of redis://, or set broker_use_ssl";
    Error::new(ErrorKind::Unreachable, sentence).because(error)
}

/// What the server said in the place of a reply.
fn refusal(value: &Value) -> Option<Error> {
    match value {
        Value::ServerError(error) => Some(server_error(error.code(), error.details())),
        _ => None,
    }
}

/// The moment by which one of several tries must have ended.
fn share(until: Instant, tries: usize) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / tries.max(1) as u32
}
