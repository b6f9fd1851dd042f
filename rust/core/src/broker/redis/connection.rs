//! A client's connection, and the keeper that lends it to one caller at a time. Blocking, in the caller's thread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Connection, Value};

use super::address::Place;
use super::config::RedisConfig;
use super::error::{server_error, translate};
use super::open::{self, Use, Welcome};
use super::wire::{Batch, Replies};
use crate::error::{Error, ErrorKind, Result};
use crate::fork;

/// An open connection.
pub(crate) struct Handle {
    connection: Connection,
    pub(super) welcome: Welcome,
    pid: u32,
    /// Something went wrong in the middle of a command: replies would not fit commands any more.
    broken: bool,
}

impl Handle {
    /// Opens a connection to the server of `config`, by way of its sentinels if it has some.
    pub(crate) fn open(config: &RedisConfig, until: Instant) -> Result<Self> {
        match &config.place {
            Place::Host(host, port) => {
                Self::of(open::client_of_host(config, host, *port, Use::Commands)?, until)?
                    .greeted(config, until)
            }
            Place::Socket(path) => {
                Self::of(open::client_of_socket(config, path, Use::Commands)?, until)?.greeted(config, until)
            }
            Place::Sentinels(sentinels) => {
                let mut last = None;
                for (host, port) in sentinels {
                    match Self::by_sentinel(config, host, *port, until) {
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
        let answer = Self::of(open::client_of_host(config, host, port, Use::Commands)?, until)?
            .call(&question, until)?;
        let Some((host, port)) = open::master(answer, question.len())? else {
            return Err(open::no_master(config, None));
        };
        let mut handle = Self::of(open::client_of_host(config, &host, port, Use::Commands)?, until)?
            .greeted(config, until)?;
        let mut role = Batch::new();
        role.add(&[b"ROLE"]);
        if open::is_master(&mut handle.call(&role, until)?)? {
            Ok(handle)
        } else {
            Err(open::no_master(config, None))
        }
    }

    fn of(client: redis::Client, until: Instant) -> Result<Self> {
        let connection = client.get_connection_with_timeout(left(until)?).map_err(translate)?;
        Ok(Self { connection, welcome: Welcome::default(), pid: std::process::id(), broken: false })
    }

    fn greeted(mut self, config: &RedisConfig, until: Instant) -> Result<Self> {
        open::answered(self.call(&open::knock(), until)?)?;
        let greeting = open::greeting(config);
        self.welcome = open::welcome(self.call(&greeting, until)?, greeting.len())?;
        Ok(self)
    }

    /// Sends commands in one write and reads their replies.
    pub(crate) fn call(&mut self, batch: &Batch, until: Instant) -> Result<Replies> {
        self.broken = true;
        self.send(batch, until)?;
        let mut values = Vec::with_capacity(batch.len());
        for _ in 0..batch.len() {
            values.push(self.receive()?);
        }
        self.broken = false;
        Ok(Replies::new(values))
    }

    /// Sends commands without reading replies, and gives the replies until then to come.
    pub(crate) fn send(&mut self, batch: &Batch, until: Instant) -> Result<()> {
        let left = Some(left(until)?);
        self.connection.set_write_timeout(left).map_err(translate)?;
        self.connection.set_read_timeout(left).map_err(translate)?;
        self.connection.send_packed_command(&batch.pipeline().get_packed_pipeline()).map_err(translate)
    }

    /// The next thing that comes, for connections that listen; `None` when nothing came in time.
    pub(crate) fn listen(&mut self, until: Instant) -> Result<Option<Value>> {
        let Ok(left) = left(until) else { return Ok(None) };
        self.connection.set_read_timeout(Some(left)).map_err(translate)?;
        match self.receive() {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self) -> Result<Value> {
        match self.connection.recv_response() {
            Ok(value) => Ok(value),
            Err(error) if error.code().is_some() => {
                Err(server_error(error.code().unwrap_or_default(), error.detail()))
            }
            Err(error) => Err(translate(error)),
        }
    }
}

/// What is left until a moment.
fn left(until: Instant) -> Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::new(ErrorKind::Timeout, "the Redis server did not answer in time"));
    }
    Ok(left)
}

/// Opens a connection when one is needed and lends it to one caller at a time.
pub(crate) struct Keeper {
    pub(crate) config: RedisConfig,
    /// Taken inside the gate only, so it is free in a forked child.
    kept: Mutex<Kept>,
    returned: Condvar,
}

#[derive(Default)]
struct Kept {
    handle: Option<Handle>,
    lent: bool,
}

impl Keeper {
    /// A keeper that has opened nothing yet.
    pub(crate) fn new(config: RedisConfig) -> Arc<Self> {
        Arc::new(Self { config, kept: Mutex::default(), returned: Condvar::new() })
    }

    /// Sends commands over the connection, in one write; waits at most as long as a client's call may take.
    ///
    /// A server may have closed a connection that was not used for a while. Then they are sent once more over a new
    /// one: in the rare case that the first were carried out and only the reply was lost, a message is sent twice.
    pub(crate) fn call(&self, operation: &'static str, batch: &Batch) -> Result<Replies> {
        self.lend(operation, |handle, until| handle.call(batch, until))
    }

    /// Runs `work` with the connection.
    pub(crate) fn lend<T>(
        &self,
        operation: &'static str,
        mut work: impl FnMut(&mut Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        let _inside = fork::enter();
        let until = Instant::now() + self.config.publish_timeout;
        let mut loan = self.borrow(until)?;
        let was_open = loan.handle.is_some();
        let mut result = loan.open(&self.config, until).and_then(|handle| work(handle, until));
        if was_open && matches!(&result, Err(error) if error.kind() == ErrorKind::Unreachable) {
            loan.handle = None;
            result = loan.open(&self.config, until).and_then(|handle| work(handle, until));
        }
        result.map_err(|error| error.during(operation).with("server", &self.config.shown))
    }

    /// Ends the connection. The next call opens a new one.
    pub(crate) fn close(&self) {
        let _inside = fork::enter();
        let mut kept = self.lock();
        if !kept.lent {
            discard(kept.handle.take());
        }
    }

    fn borrow(&self, until: Instant) -> Result<Loan<'_>> {
        let mut kept = self.lock();
        while kept.lent {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(ErrorKind::Timeout, "other threads kept the connection for too long"));
            }
            kept = self.returned.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        kept.lent = true;
        let handle = kept.handle.take().filter(|handle| !handle.broken);
        let handle = match handle {
            Some(handle) if handle.pid != std::process::id() => {
                discard(Some(handle));
                None
            }
            handle => handle,
        };
        drop(kept);
        Ok(Loan { keeper: self, handle })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a connection, unless it belongs to the process that forked this one: then it is left alone.
fn discard(handle: Option<Handle>) {
    if let Some(handle) = handle.filter(|handle| handle.pid != std::process::id()) {
        std::mem::forget(handle);
    }
}

/// The connection while it is lent; given back when dropped.
struct Loan<'a> {
    keeper: &'a Keeper,
    handle: Option<Handle>,
}

impl Loan<'_> {
    fn open(&mut self, config: &RedisConfig, until: Instant) -> Result<&mut Handle> {
        if self.handle.as_ref().is_none_or(|handle| handle.broken) {
            self.handle = None;
            self.handle = Some(Handle::open(config, until)?);
        }
        self.handle
            .as_mut()
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "a connection that was just opened is gone"))
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut kept = self.keeper.lock();
        kept.lent = false;
        kept.handle = self.handle.take();
        drop(kept);
        self.keeper.returned.notify_one();
    }
}
