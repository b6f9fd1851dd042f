//! One open connection, and the keeper that lends it to one caller at a time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension};

use super::config::{SqliteConfig, Synchronous};
use super::wake::Ringer;
use super::{place, schema};
use crate::error::{Error, ErrorKind, Result};
use crate::fork::{self, CloseBeforeFork};

/// How often a connection looks whether its file is still the one at the path.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An open connection with what was learnt over it.
pub(crate) struct Handle {
    pub(super) connection: Connection,
    pub(super) ringer: Ringer,
    /// Queue ids by name. Rows of `queue` are never deleted, so an entry stays true as long as the file is the same.
    queue_ids: HashMap<String, i64>,
    patience: Arc<Patience>,
    pid: u32,
    file: (u64, u64),
    looked_at: Instant,
}

impl Handle {
    fn open(config: &SqliteConfig, until: Instant) -> Result<Self> {
        schema::check_library()?;
        place::prepare(&config.path)?;
        let patience = Arc::new(Patience::new());
        patience.until(until);
        loop {
            match Self::open_once(config, &patience) {
                // Two processes that turn a new file to write-ahead logging do not wait for one another.
                Err(error) if error.kind() == ErrorKind::Timeout && Instant::now() < until => yield_briefly(),
                other => return other,
            }
        }
    }

    fn open_once(config: &SqliteConfig, patience: &Arc<Patience>) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&config.path, flags)?;
        let waits = Arc::clone(patience);
        connection.busy_handler(Some(move |count| waits.wait(count)))?;
        if connection.is_readonly("main")? {
            let sentence =
                "the database file in broker_url cannot be written; check its owner and permissions";
            return Err(Error::new(ErrorKind::Denied, sentence));
        }
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if !mode.eq_ignore_ascii_case("wal") {
            let sentence =
                "the file system of broker_url has no shared memory, which SQLite needs; use a local disk";
            return Err(Error::new(ErrorKind::Config, sentence));
        }
        let synchronous = if config.synchronous == Synchronous::Full { "FULL" } else { "NORMAL" };
        connection.execute_batch(&format!(
            "PRAGMA synchronous = {synchronous}; PRAGMA wal_autocheckpoint = 4000; PRAGMA foreign_keys = OFF;
             PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;"
        ))?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::ensure(&connection)?;
        Ok(Self {
            connection,
            ringer: Ringer::new(place::run_directory(&config.path)),
            queue_ids: HashMap::new(),
            patience: Arc::clone(patience),
            pid: std::process::id(),
            file: identity(config)?,
            looked_at: Instant::now(),
        })
    }

    /// Runs `work` in one writing transaction: all of it, or nothing.
    pub(crate) fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.run("BEGIN IMMEDIATE")?;
        let result = work(self).and_then(|value| self.run("COMMIT").map(|()| value));
        if result.is_err() {
            // Names that were new in this transaction are gone with it. A failed rollback means there is nothing
            // to roll back: SQLite has done it when the error came up.
            self.queue_ids.clear();
            let _ = self.run("ROLLBACK");
        }
        result
    }

    /// A statement, compiled once per connection.
    pub(crate) fn prepare(&self, statement: &str) -> Result<CachedStatement<'_>> {
        Ok(self.connection.prepare_cached(statement)?)
    }

    /// Tells every waiting client which tasks have ended. After the transaction that stored it.
    pub(crate) fn tell_waiters<'a>(&mut self, ended: impl Iterator<Item = &'a str>) {
        self.ringer.tell_waiters(ended);
    }

    fn run(&self, statement: &str) -> Result<()> {
        self.prepare(statement)?.execute([])?;
        Ok(())
    }

    /// The id of a queue if it is known here without asking.
    pub(crate) fn known_queue(&self, name: &str) -> Option<i64> {
        self.queue_ids.get(name).copied()
    }

    /// The id of a queue if it exists.
    pub(crate) fn find_queue(&mut self, name: &str) -> Result<Option<i64>> {
        if let Some(id) = self.known_queue(name) {
            return Ok(Some(id));
        }
        let mut select = self.connection.prepare_cached("SELECT id FROM queue WHERE name = ?1")?;
        let found: Option<i64> = select.query_row([name], |row| row.get(0)).optional()?;
        if let Some(id) = found {
            self.queue_ids.insert(name.to_owned(), id);
        }
        Ok(found)
    }

    /// The id of a queue, made if it does not exist. Inside a transaction.
    pub(crate) fn queue(&mut self, name: &str) -> Result<i64> {
        if let Some(id) = self.find_queue(name)? {
            return Ok(id);
        }
        self.connection.prepare_cached("INSERT INTO queue (name) VALUES (?1)")?.execute([name])?;
        let id = self.connection.last_insert_rowid();
        self.queue_ids.insert(name.to_owned(), id);
        Ok(id)
    }

    /// Whether the file at the path is no longer the one that is open. Looks at most once a second.
    fn is_replaced(&mut self, config: &SqliteConfig) -> bool {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return false;
        }
        self.looked_at = Instant::now();
        identity(config).ok() != Some(self.file)
    }
}

fn identity(config: &SqliteConfig) -> Result<(u64, u64)> {
    let metadata = fs::metadata(&config.path).map_err(|error| {
        Error::new(ErrorKind::Unreachable, "the database file in broker_url is gone").because(error)
    })?;
    Ok((metadata.dev(), metadata.ino()))
}

/// How long statements of one connection may wait for others. SQLite's own handler sleeps up to 100 ms and is unfair.
struct Patience {
    origin: Instant,
    /// Nanoseconds since `origin`. Written by the borrower, read by the busy handler on the same thread.
    until: AtomicU64,
}

impl Patience {
    /// Rounds of yielding before the first sleep: a commit takes some ten microseconds.
    const SPINS: i32 = 40;

    fn new() -> Self {
        Self { origin: Instant::now(), until: AtomicU64::new(0) }
    }

    fn until(&self, deadline: Instant) {
        let nanoseconds = deadline.saturating_duration_since(self.origin).as_nanos();
        self.until.store(u64::try_from(nanoseconds).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn wait(&self, count: i32) -> bool {
        let now = self.origin.elapsed().as_nanos() as u64;
        if now >= self.until.load(Ordering::Relaxed) {
            return false;
        }
        if count < Self::SPINS {
            std::thread::yield_now();
        } else {
            // Spread out, so that those who wait do not all come back together.
            sleep(Duration::from_micros(200 + now % 800));
        }
        true
    }
}

fn yield_briefly() {
    sleep(Duration::from_millis(1));
}

#[expect(clippy::disallowed_methods, reason = "SQLite's locks cannot be waited for, only tried again")]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

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
            // A checkpoint would make the fork wait for the disk, for nothing: both sides are about to reopen.
            let _ = handle.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
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
        if let Some(handle) = self.handle.as_mut() {
            if handle.pid != std::process::id() {
                // Forked behind our back (not through Python): closing would drop locks, using would corrupt.
                std::mem::forget(self.handle.take());
                let sentence = "this process was forked while the database was open, without telling fastq";
                return Err(Error::new(ErrorKind::Forked, sentence));
            }
            if handle.is_replaced(config) {
                self.handle = None;
            }
        }
        let handle = match self.handle.take() {
            Some(handle) => handle,
            None => Handle::open(config, until)?,
        };
        handle.patience.until(until);
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
