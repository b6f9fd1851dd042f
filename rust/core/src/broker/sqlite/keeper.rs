//! Lends one connection to one caller at a time, and opens it when there is none.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::config::SqliteConfig;
use super::connection::{Handle, check_process};
use super::place;
use crate::error::{Error, ErrorKind, Result};
use crate::fork::{self, CloseBeforeFork};

/// Opens a connection when one is needed and lends it to one caller at a time.
pub(crate) struct Keeper {
    pub(crate) config: SqliteConfig,
    kept: Mutex<Kept>,
    returned: Condvar,
}

#[derive(Default)]
struct Kept {
    handle: Option<Handle>,
    lent: bool,
    waiting: u32,
}

impl Keeper {
    /// A keeper that has opened nothing yet.
    pub(crate) fn new(config: SqliteConfig) -> Arc<Self> {
        let keeper = Arc::new(Self { config, kept: Mutex::default(), returned: Condvar::new() });
        let _inside = fork::enter();
        fork::register(&keeper);
        keeper
    }

    /// Runs `work` with the connection, waiting at most `limit` for other threads and other processes each.
    pub(crate) fn lend<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        work: impl FnOnce(&mut Handle) -> Result<T>,
    ) -> Result<T> {
        let _inside = fork::enter();
        let until = Instant::now() + limit;
        let mut loan = self.borrow(until)?;
        let result = loan.open(&self.config, until).and_then(work);
        result.map_err(|error| error.during(operation).with("file", self.config.path.display()))
    }

    fn borrow(&self, until: Instant) -> Result<Loan<'_>> {
        let mut kept = self.lock();
        while kept.lent {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::new(ErrorKind::Timeout, "other threads kept the connection for too long"));
            }
            kept.waiting += 1;
            kept = self.returned.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
            kept.waiting -= 1;
        }
        kept.lent = true;
        Ok(Loan { keeper: self, handle: kept.handle.take() })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder for what lives beside the file.
    pub(crate) fn run_directory(&self) -> PathBuf {
        place::run_directory(&self.config.path)
    }

    /// Closes the connection, if one is open and not in use.
    pub(crate) fn close(&self) {
        let _inside = fork::enter();
        self.lock().handle.take();
    }
}

impl CloseBeforeFork for Keeper {
    fn close_before_fork(&self) {
        if let Some(handle) = self.lock().handle.take() {
            handle.close_quickly();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if check_process().is_err() {
            // Closing here would take away the locks of the process that opened it.
            std::mem::forget(self.lock().handle.take());
        }
    }
}

/// A connection on loan. Dropped, it goes back; a panic drops the connection with it, as its state is unknown.
struct Loan<'a> {
    keeper: &'a Keeper,
    handle: Option<Handle>,
}

impl Loan<'_> {
    fn open(&mut self, config: &SqliteConfig, until: Instant) -> Result<&mut Handle> {
        check_process()?;
        if self.handle.as_mut().is_some_and(|handle| handle.is_replaced(config)) {
            self.handle = None;
        }
        let handle = match self.handle.take() {
            Some(handle) => handle,
            None => Handle::open(config, until)?,
        };
        handle.wait_until(until);
        Ok(self.handle.insert(handle))
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.handle = None;
        }
        let mut kept = self.keeper.lock();
        kept.handle = self.handle.take();
        kept.lent = false;
        // Waking costs a system call, so only if somebody waits.
        if kept.waiting > 0 {
            self.keeper.returned.notify_one();
        }
    }
}
