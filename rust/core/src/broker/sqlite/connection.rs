//! One open connection, with what was learnt over it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OpenFlags, OptionalExtension};

use super::config::{SqliteConfig, Synchronous};
use super::patience::{Patience, yield_briefly};
use super::wake::Ringer;
use super::{place, schema};
use crate::error::{Error, ErrorKind, Result};

/// How often a connection looks whether its file is still the one at the path.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The connections that this process has open, and which process that is. Taken inside the gate only.
static OPEN: Mutex<Open> = Mutex::new(Open { pid: 0, count: 0 });

/// See [`OPEN`].
struct Open {
    pid: u32,
    count: usize,
}

/// An open connection with what was learnt over it.
pub(crate) struct Handle {
    pub(super) connection: Connection,
    pub(super) ringer: Ringer,
    /// Queue ids by name. Rows of `queue` are never deleted, so an entry stays true as long as the file is the same.
    queue_ids: HashMap<String, i64>,
    patience: Arc<Patience>,
    /// Goes with the connection.
    _counted: Counted,
    file: (u64, u64),
    looked_at: Instant,
}

impl Handle {
    /// Opens the file, and makes it if it does not exist.
    pub(super) fn open(config: &SqliteConfig, until: Instant) -> Result<Self> {
        check_process()?;
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
            _counted: Counted::new(),
            file: identity(config)?,
            looked_at: Instant::now(),
        })
    }

    /// Lets statements wait for other processes until then.
    pub(super) fn wait_until(&self, until: Instant) {
        self.patience.until(until);
    }

    /// Closes without moving the log into the file, which waits for the disk.
    pub(super) fn close_quickly(self) {
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
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
    pub(super) fn is_replaced(&mut self, config: &SqliteConfig) -> bool {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return false;
        }
        self.looked_at = Instant::now();
        identity(config).ok() != Some(self.file)
    }
}

/// One of the connections counted in [`OPEN`].
struct Counted;

impl Counted {
    fn new() -> Self {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        *open = Open { pid: std::process::id(), count: open.count + 1 };
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).count -= 1;
    }
}

/// Refuses to work where SQLite believes it holds the locks of another process (see [`crate::fork`]).
///
/// # Errors
/// `Forked` in a process forked behind our back, not through Python, while connections were open.
pub(super) fn check_process() -> Result<()> {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if open.count == 0 || open.pid == std::process::id() {
        return Ok(());
    }
    let sentence = "this process was forked, without telling fastq, while a database was open";
    Err(Error::new(ErrorKind::Forked, sentence)
        .with("opened_in", open.pid)
        .with("used_in", std::process::id()))
}

fn identity(config: &SqliteConfig) -> Result<(u64, u64)> {
    let metadata = fs::metadata(&config.path).map_err(|error| {
        Error::new(ErrorKind::Unreachable, "the database file in broker_url is gone").because(error)
    })?;
    Ok((metadata.dev(), metadata.ino()))
}
