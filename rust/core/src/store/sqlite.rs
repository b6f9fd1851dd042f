//! Results in the same file as the queues, and waiting for them by push.

mod chords;
mod waiting;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::OptionalExtension;

use super::{LONGEST_WAIT, Record, Store, Watch};
use crate::broker::sqlite::{Handle, Keeper, ended, save};
use crate::clock::{Clock, WallTime};
use crate::error::Result;
use waiting::{WaitingRoom, Woken};

/// How often a waiter looks at the file, in case a message to it was lost: at first, and later.
const LOOK_SOON: Duration = Duration::from_millis(20);
const LOOK_LATE: Duration = Duration::from_millis(100);
/// Expired results deleted in one transaction.
const EXPIRED_CHUNK: i64 = 500;

/// The results in one file. Shares the connection of its broker.
pub struct SqliteStore {
    keeper: Arc<Keeper>,
    room: WaitingRoom,
    clock: Clock,
}

impl SqliteStore {
    pub(crate) fn new(keeper: Arc<Keeper>, clock: Clock) -> Self {
        Self { keeper, room: WaitingRoom::default(), clock }
    }

    fn with<T>(&self, operation: &'static str, work: impl FnOnce(&mut Handle) -> Result<T>) -> Result<T> {
        self.keeper.lend(operation, self.keeper.config.publish_timeout, work)
    }

    /// Those of the tasks that have ended, and the state of the file they were read from.
    fn ended<'a>(&self, task_ids: impl Iterator<Item = &'a String>) -> Result<(Vec<Record>, i64)> {
        self.with("read results", |handle| {
            // The version goes first: what is written between the two reads is looked at once more.
            let version = data_version(handle)?;
            let now = self.clock.wall();
            let mut records = Vec::new();
            for id in task_ids {
                records.extend(load(handle, id, now)?.filter(|record| Record::is_final(&record.state)));
            }
            Ok((records, version))
        })
    }

    /// Waits until something may have changed for the ticket, then reads it. `None`: nothing has.
    fn next_ended(&self, wait: &Waiting, seen: &mut i64, until: Instant) -> Result<Vec<Record>> {
        match wait.room.pause(wait.ticket, until) {
            Woken::Named(ids) if ids.is_empty() => Ok(Vec::new()),
            Woken::Named(ids) => Ok(self.ended(ids.iter())?.0),
            Woken::Late => {
                let version = self.with("look for results", |handle| data_version(handle))?;
                if version == *seen {
                    return Ok(Vec::new());
                }
                let (records, version) = self.ended(wait.room.tasks(wait.ticket).iter())?;
                *seen = version;
                Ok(records)
            }
        }
    }
}

/// One who waits; leaves the room when dropped.
struct Waiting {
    room: Arc<waiting::Room>,
    ticket: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // In a forked process the room's lock may be held by a thread that is not there.
        if self.room.is_ours() {
            self.room.leave(self.ticket);
        }
    }
}

/// A wait for tasks that become more.
struct SqliteWatch {
    store: Arc<SqliteStore>,
    waiting: Waiting,
    /// The state of the file when it was last looked at as a whole.
    seen: Mutex<i64>,
    stop: AtomicBool,
}

impl Watch for SqliteWatch {
    fn add(&self, task_ids: &[String]) {
        self.waiting.room.add(self.waiting.ticket, task_ids);
    }

    fn remove(&self, task_ids: &[String]) {
        self.waiting.room.remove(self.waiting.ticket, task_ids);
    }

    fn next(&self, timeout: Duration) -> Result<Vec<Record>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        while records.is_empty() && Instant::now() < deadline && !self.stop.load(Ordering::SeqCst) {
            let until = deadline.min(Instant::now() + LOOK_LATE);
            records = self.store.next_ended(&self.waiting, &mut seen, until)?;
        }
        self.stop.store(false, Ordering::SeqCst);
        let ended: Vec<String> = records.iter().map(|record| record.task_id.clone()).collect();
        self.remove(&ended);
        Ok(records)
    }

    fn interrupt(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waiting.room.nudge(self.waiting.ticket);
    }
}

impl Store for SqliteStore {
    fn save(&self, records: &[Record], expires: Option<Duration>) -> Result<()> {
        let now = self.clock.wall();
        let expires = expires.map(|after| now.after(after));
        self.with("store results", |handle| {
            handle.transaction(|handle| save(handle, records, expires, now))?;
            handle.tell_waiters(ended(records));
            Ok(())
        })?;
        // Threads that wait over this very connection would not see the file's version change.
        self.room.pass_on(ended(records));
        Ok(())
    }

    fn load(&self, task_ids: &[String]) -> Result<Vec<Option<Record>>> {
        let now = self.clock.wall();
        self.with("read results", |handle| task_ids.iter().map(|id| load(handle, id, now)).collect())
    }

    fn forget(&self, task_ids: &[String]) -> Result<()> {
        self.with("forget results", |handle| {
            handle.transaction(|handle| {
                let mut delete = handle.prepare("DELETE FROM result WHERE task_id = ?1")?;
                for id in task_ids {
                    delete.execute([id])?;
                }
                Ok(())
            })
        })
    }

    fn wait(&self, task_ids: &[String], timeout: Duration) -> Result<Vec<Record>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        // Most results that are asked for late are there: no need to listen for them.
        let (records, _) = self.ended(task_ids.iter())?;
        if !records.is_empty() || timeout.is_zero() || task_ids.is_empty() {
            return Ok(records);
        }
        let room = self.room.open(&self.keeper);
        let wanted: HashSet<&str> = task_ids.iter().map(String::as_str).collect();
        let wait = Waiting { ticket: room.enter(&wanted), room };
        // Listen before looking again: what ends between the two is heard.
        let (mut records, mut seen) = self.ended(task_ids.iter())?;
        let mut pace = LOOK_SOON;
        while records.is_empty() && Instant::now() < deadline {
            records = self.next_ended(&wait, &mut seen, deadline.min(Instant::now() + pace))?;
            pace = (pace * 2).min(LOOK_LATE);
        }
        Ok(records)
    }

    fn watch(self: Arc<Self>) -> Result<Box<dyn Watch>> {
        let room = self.room.open(&self.keeper);
        let waiting = Waiting { ticket: room.enter(&HashSet::new()), room };
        let (seen, stop) = (Mutex::new(-1), AtomicBool::new(false));
        Ok(Box::new(SqliteWatch { store: self, waiting, seen, stop }))
    }

    fn clean(&self) -> Result<u64> {
        let mut cleaned = 0;
        loop {
            let now = self.clock.wall();
            let chunk = self.with("delete expired results", |handle| {
                crate::broker::sqlite::delete_expired(handle, now, EXPIRED_CHUNK)
            })?;
            cleaned += chunk;
            if chunk == 0 {
                return Ok(cleaned);
            }
        }
    }

    fn close(&self) {
        self.room.close();
        self.keeper.close();
    }
}

fn load(handle: &Handle, task_id: &str, now: WallTime) -> Result<Option<Record>> {
    let mut select = handle.prepare(
        "SELECT state, content_type, body FROM result WHERE task_id = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    let record = select.query_row((task_id, now.0), |row| {
        Ok(Record {
            task_id: task_id.to_owned(),
            state: row.get(0)?,
            content_type: row.get(1)?,
            body: row.get(2)?,
        })
    });
    Ok(record.optional()?)
}

/// Changes whenever another connection has written to the file.
fn data_version(handle: &Handle) -> Result<i64> {
    Ok(handle.prepare("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}
