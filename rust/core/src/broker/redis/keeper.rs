//! The connections of a client's process, lent to one caller each at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::Place;
use super::config::RedisConfig;
use super::connection::Handle;
use super::wire::{Batch, Replies};
use crate::error::{Error, ErrorKind, Result};
use crate::fork;

/// How long to wait for a connection that others use before one more is opened: on a server nearby a call is done
/// sooner, and one connection serves all threads.
const PATIENCE: Duration = Duration::from_millis(2);

/// Opens connections when they are needed, keeps them, and lends them.
pub(crate) struct Keeper {
    pub(crate) config: RedisConfig,
    /// Taken inside the gate only, so it is free in a forked child.
    kept: Mutex<Kept>,
    returned: Condvar,
}

#[derive(Default)]
struct Kept {
    /// Those that nobody uses; the one used last is lent first.
    idle: Vec<Handle>,
    lent: usize,
    /// Callers that wait for one: nobody else need be woken.
    waiting: usize,
    /// Counts closings: what was lent before one is not kept.
    closings: u64,
}

impl Keeper {
    /// A keeper that has opened nothing yet.
    pub(crate) fn new(config: RedisConfig) -> Arc<Self> {
        Arc::new(Self { config, kept: Mutex::default(), returned: Condvar::new() })
    }

    /// Sends commands over a connection, in one write; waits at most as long as a client's call may take.
    ///
    /// A connection may break while nobody uses it, and that may come out only when it is used. Then the commands are
    /// sent once more over a new one: in the rare case that the first were carried out and only the reply was lost, a
    /// message is sent twice.
    pub(crate) fn call(&self, operation: &'static str, batch: &Batch) -> Result<Replies> {
        self.lend(operation, |handle, until| handle.call_all(batch, until))
    }

    /// Runs `work` with a connection.
    pub(crate) fn lend<T>(
        &self,
        operation: &'static str,
        work: impl FnMut(&mut Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        self.lend_until(operation, Instant::now() + self.config.publish_timeout, work)
    }

    /// As [`Keeper::lend`], and ends at `until` if that is sooner.
    pub(crate) fn lend_until<T>(
        &self,
        operation: &'static str,
        until: Instant,
        mut work: impl FnMut(&mut Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        let _inside = fork::enter();
        let until = until.min(Instant::now() + self.config.publish_timeout);
        let mut result = self.tried(until, &mut work);
        if self.config.client.retry_on_timeout
            && matches!(&result, Err(error) if error.kind() == ErrorKind::Timeout)
        {
            result = self.tried(Instant::now() + self.config.publish_timeout, &mut work);
        }
        result.map_err(|error| error.during(operation).with(self.config.setting, &self.config.shown))
    }

    fn tried<T>(
        &self,
        until: Instant,
        work: &mut impl FnMut(&mut Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        let mut loan = self.borrow(until)?;
        let was_open = loan.handle.is_some();
        let mut result = loan.open(until).and_then(|handle| work(handle, until));
        if was_open && matches!(&result, Err(error) if self.is_over(error)) {
            // All were opened to the same server: what ended this one has ended the others.
            loan.handle = None;
            drop(std::mem::take(&mut self.lock().idle));
            result = loan.open(until).and_then(|handle| work(handle, until));
        }
        if matches!(&result, Err(error) if self.is_over(error)) {
            loan.handle = None;
        }
        result
    }

    /// Whether a connection is of no use any more: it broke, or it leads to what is no longer the master.
    fn is_over(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Unreachable
            || (error.kind() == ErrorKind::Busy && matches!(self.config.place, Place::Sentinels(_)))
    }

    /// Ends the connections. The next call opens a new one.
    pub(crate) fn close(&self) {
        let _inside = fork::enter();
        let mut kept = self.lock();
        kept.closings += 1;
        drop(std::mem::take(&mut kept.idle));
    }

    fn borrow(&self, until: Instant) -> Result<Loan<'_>> {
        let begun = Instant::now();
        let most = self.config.client.max_connections;
        let mut kept = self.lock();
        loop {
            let closings = kept.closings;
            while let Some(mut handle) = kept.idle.pop() {
                kept.lent += 1;
                drop(kept);
                if handle.is_sound(&self.config, until) {
                    return Ok(Loan { keeper: self, handle: Some(handle), closings });
                }
                // Dropped outside the lock: ending a connection is a call of the system.
                drop(handle);
                kept = self.lock();
                kept.lent -= 1;
            }
            let pause = if kept.lent == 0 || most == 0 {
                Duration::ZERO
            } else if kept.lent < most {
                PATIENCE.saturating_sub(begun.elapsed())
            } else {
                Duration::MAX
            };
            if pause.is_zero() {
                kept.lent += 1;
                return Ok(Loan { keeper: self, handle: None, closings });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let sentence = "other threads kept the connections to the Redis server for too long";
                return Err(Error::new(ErrorKind::Timeout, sentence).with("max_connections", most));
            }
            kept.waiting += 1;
            kept =
                self.returned.wait_timeout(kept, pause.min(left)).unwrap_or_else(PoisonError::into_inner).0;
            kept.waiting -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection while it is lent; given back when dropped.
struct Loan<'a> {
    keeper: &'a Keeper,
    handle: Option<Handle>,
    closings: u64,
}

impl Loan<'_> {
    fn open(&mut self, until: Instant) -> Result<&mut Handle> {
        match &mut self.handle {
            Some(handle) => Ok(handle),
            empty => Ok(empty.insert(Handle::open(&self.keeper.config, until)?)),
        }
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let handle = self.handle.take().filter(|handle| !handle.is_broken());
        let mut kept = self.keeper.lock();
        kept.lent -= 1;
        let is_awaited = kept.waiting > 0;
        if kept.closings == self.closings && kept.idle.len() < self.keeper.config.client.max_connections {
            kept.idle.extend(handle);
        } else {
            drop(kept);
            drop(handle);
        }
        if is_awaited {
            self.keeper.returned.notify_one();
        }
    }
}
