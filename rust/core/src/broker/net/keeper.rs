//! The connections of a client's process, lent to one caller each at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Peer;
use crate::error::{Error, ErrorKind, Result};
use crate::fork;

/// How long to wait for a connection that others use before one more is opened: on a server nearby a call is done
/// sooner, and one connection serves all threads.
const PATIENCE: Duration = Duration::from_millis(2);

/// Where connections lead, and how they are kept.
pub(crate) trait Home: Send + Sync {
    /// An open connection.
    type Handle: Send;

    /// Opens a connection.
    ///
    /// # Errors
    /// Those of the server.
    fn open(&self, until: Instant) -> Result<Self::Handle>;

    /// Whether a connection that lay idle can be used for another call of this process.
    fn is_sound(&self, handle: &mut Self::Handle, until: Instant) -> bool;

    /// Whether something went wrong in the middle of a call, so that it can be used no more.
    fn is_broken(&self, handle: &Self::Handle) -> bool;

    /// Whether a connection is of no use any more after an error of a call.
    fn is_over(&self, error: &Error) -> bool;

    /// What must be known of the server and of a client's calls.
    fn terms(&self) -> Terms<'_>;
}

/// How connections are kept.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// What kind of server it is.
    pub(crate) peer: &'static Peer,
    /// The setting that names it, and its URL without secrets.
    pub(crate) named: (&'static str, &'a str),
    /// How long a call may take.
    pub(crate) publish_timeout: Duration,
    /// Whether a call that took too long is made once more.
    pub(crate) retry_on_timeout: bool,
    /// How many connections a process keeps; 0: none, each call has one of its own.
    pub(crate) max_connections: usize,
}

/// Opens connections when they are needed, keeps them, and lends them.
///
/// A connection may break while nobody uses it, and that may come out only when it is used. Then the call is made once
/// more over a new one: in the rare case that the first was carried out and only the reply was lost, a message is sent
/// twice.
pub(crate) struct Keeper<H: Home> {
    pub(crate) config: H,
    /// Taken inside the gate only, so it is free in a forked child.
    kept: Mutex<Kept<H::Handle>>,
    returned: Condvar,
}

struct Kept<T> {
    /// Those that nobody uses; the one used last is lent first.
    idle: Vec<T>,
    lent: usize,
    /// Callers that wait for one: nobody else need be woken.
    waiting: usize,
    /// Counts closings: what was lent before one is not kept.
    closings: u64,
}

impl<H: Home> Keeper<H> {
    /// A keeper that has opened nothing yet.
    pub(crate) fn new(config: H) -> Arc<Self> {
        let kept = Mutex::new(Kept { idle: Vec::new(), lent: 0, waiting: 0, closings: 0 });
        Arc::new(Self { config, kept, returned: Condvar::new() })
    }

    /// Runs `work` with a connection.
    pub(crate) fn lend<T>(
        &self,
        operation: &'static str,
        work: impl FnMut(&mut H::Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        self.lend_until(operation, Instant::now() + self.config.terms().publish_timeout, work)
    }

    /// As [`Keeper::lend`], and ends at `until` if that is sooner.
    pub(crate) fn lend_until<T>(
        &self,
        operation: &'static str,
        until: Instant,
        mut work: impl FnMut(&mut H::Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        let _inside = fork::enter();
        let until = until.min(Instant::now() + self.config.terms().publish_timeout);
        let mut result = self.tried(until, &mut work);
        if self.config.terms().retry_on_timeout
            && matches!(&result, Err(error) if error.kind() == ErrorKind::Timeout)
        {
            result = self.tried(Instant::now() + self.config.terms().publish_timeout, &mut work);
        }
        let (setting, shown) = self.config.terms().named;
        result.map_err(|error| error.during(operation).with(setting, shown))
    }

    fn tried<T>(
        &self,
        until: Instant,
        work: &mut impl FnMut(&mut H::Handle, Instant) -> Result<T>,
    ) -> Result<T> {
        let mut loan = self.borrow(until)?;
        let was_open = loan.handle.is_some();
        let mut result = loan.open(until).and_then(|handle| work(handle, until));
        if was_open && matches!(&result, Err(error) if self.config.is_over(error)) {
            // All were opened to the same server: what ended this one has ended the others.
            loan.handle = None;
            drop(std::mem::take(&mut self.lock().idle));
            result = loan.open(until).and_then(|handle| work(handle, until));
        }
        if matches!(&result, Err(error) if self.config.is_over(error)) {
            loan.handle = None;
        }
        result
    }

    /// Looks at each connection that nobody uses, and ends those that turn out to be broken; how many are in use.
    pub(crate) fn visit(&self, mut look: impl FnMut(&mut H::Handle)) -> usize {
        let _inside = fork::enter();
        let count = self.lock().idle.len();
        for _ in 0..count {
            let mut kept = self.lock();
            if kept.idle.is_empty() {
                break;
            }
            // From the front, and back to the end: their order stays.
            let (handle, closings) = (kept.idle.remove(0), kept.closings);
            kept.lent += 1;
            drop(kept);
            let mut loan = Loan { keeper: self, handle: Some(handle), closings };
            loan.handle.iter_mut().for_each(&mut look);
        }
        self.lock().lent
    }

    /// Ends the connections. The next call opens a new one.
    pub(crate) fn close(&self) {
        let _inside = fork::enter();
        let mut kept = self.lock();
        kept.closings += 1;
        drop(std::mem::take(&mut kept.idle));
    }

    fn borrow(&self, until: Instant) -> Result<Loan<'_, H>> {
        let begun = Instant::now();
        let most = self.config.terms().max_connections;
        let mut kept = self.lock();
        loop {
            let closings = kept.closings;
            while let Some(mut handle) = kept.idle.pop() {
                kept.lent += 1;
                drop(kept);
                if self.config.is_sound(&mut handle, until) {
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
                let name = self.config.terms().peer.name;
                let sentence = format!("other threads kept the connections to the {name} for too long");
                return Err(Error::new(ErrorKind::Timeout, sentence).with("max_connections", most));
            }
            kept.waiting += 1;
            kept =
                self.returned.wait_timeout(kept, pause.min(left)).unwrap_or_else(PoisonError::into_inner).0;
            kept.waiting -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<H::Handle>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection while it is lent; given back when dropped.
struct Loan<'a, H: Home> {
    keeper: &'a Keeper<H>,
    handle: Option<H::Handle>,
    closings: u64,
}

impl<H: Home> Loan<'_, H> {
    fn open(&mut self, until: Instant) -> Result<&mut H::Handle> {
        match &mut self.handle {
            Some(handle) => Ok(handle),
            empty => Ok(empty.insert(self.keeper.config.open(until)?)),
        }
    }
}

impl<H: Home> Drop for Loan<'_, H> {
    fn drop(&mut self) {
        let handle = self.handle.take().filter(|handle| !self.keeper.config.is_broken(handle));
        let mut kept = self.keeper.lock();
        kept.lent -= 1;
        let is_awaited = kept.waiting > 0;
        if kept.closings == self.closings && kept.idle.len() < self.keeper.config.terms().max_connections {
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
