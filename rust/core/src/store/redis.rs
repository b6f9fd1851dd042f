//! Results on a Redis server, as Celery keeps them there (protocol.md §7.5), and waiting for them by push.

mod chords;
mod groups;
mod listening;
mod tickets;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{LONGEST_WAIT, Record, Store, Watch};
use crate::broker::redis::{Batch, Keeper, RedisConfig, ResultLayout, bytes};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use waiting::{Room, WaitingRoom};

/// Writes a record unless the task has succeeded already.
const STORE: &str = include_str!("../broker/redis/scripts/store.lua");
/// The least time that reading results is given, however short the wait.
const LEAST: Duration = Duration::from_millis(250);
/// Longer values are refused by the server.
const LONGEST: usize = 512 * 1024 * 1024;
/// How Celery marks a document that it has compressed.
const COMPRESSED: &[u8] = b"\0celery-compressed\0";

/// The results on one server.
pub struct RedisStore {
    keeper: Arc<Keeper>,
    room: WaitingRoom,
    clock: Clock,
}

impl RedisStore {
    /// A store on the server of `config`. Nothing is opened before the first use.
    pub fn new(config: RedisConfig) -> Self {
        Self::beside(Keeper::new(config), Clock::system())
    }

    /// A store that shares the connection of a broker.
    pub(crate) fn beside(keeper: Arc<Keeper>, clock: Clock) -> Self {
        Self { keeper, room: WaitingRoom::default(), clock }
    }

    /// Those of the tasks that have ended. A server that does not answer by `until` is not waited for; a wait of no
    /// time at all may ask, too.
    fn ended(&self, task_ids: &[String], until: Instant) -> Result<Vec<Record>> {
        let until = until.max(Instant::now() + LEAST);
        let found = self.read(task_ids, until)?.into_iter().flatten();
        Ok(found.filter(has_ended).collect())
    }

    fn read(&self, task_ids: &[String], until: Instant) -> Result<Vec<Option<Record>>> {
        if task_ids.is_empty() {
            return Ok(Vec::new());
        }
        let layout = &self.keeper.config.results;
        let keys: Vec<String> = task_ids.iter().map(|id| layout.key(id)).collect();
        let mut words: Vec<&[u8]> = vec![b"MGET"];
        words.extend(keys.iter().map(String::as_bytes));
        let mut batch = Batch::new();
        batch.add(&words);
        let mut documents =
            self.keeper.lend_until("read results", until, |handle, until| handle.call_all(&batch, until))?;
        let found = documents.array()?.into_iter().zip(task_ids);
        found.map(|(document, id)| Ok(bytes(document)?.map(|body| read(layout, id, body)))).collect()
    }
}

/// One who waits; leaves the room when dropped.
struct Waiting {
    room: Arc<Room>,
    ticket: u64,
}

impl Waiting {
    fn begin(store: &RedisStore) -> Result<Self> {
        let room = store.room.open(&store.keeper)?;
        Ok(Self { ticket: room.enter(), room })
    }
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
struct RedisWatch {
    store: Arc<RedisStore>,
    waiting: Waiting,
    stop: AtomicBool,
}

impl Watch for RedisWatch {
    fn add(&self, task_ids: &[String]) {
        self.waiting.room.add(self.waiting.ticket, task_ids);
        // Whoever waits may have had nothing to hear for.
        self.waiting.room.wake();
    }

    fn remove(&self, task_ids: &[String]) {
        self.waiting.room.remove(self.waiting.ticket, task_ids);
    }

    fn next(&self, timeout: Duration) -> Result<Vec<Record>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let stop = || self.stop.load(Ordering::SeqCst);
        let look = |ids: &[String]| self.store.ended(ids, deadline);
        let waited = self.waiting.room.wait(self.waiting.ticket, deadline, &stop, &look);
        self.stop.store(false, Ordering::SeqCst);
        let records = waited?;
        let ended: Vec<String> = records.iter().map(|record| record.task_id.clone()).collect();
        self.remove(&ended);
        Ok(records)
    }

    fn interrupt(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.waiting.room.wake();
    }
}

impl Store for RedisStore {
    fn save(&self, records: &[Record], expires: Option<Duration>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for record in records {
            write(&self.keeper.config.results, record, expires, &mut batch)?;
        }
        let sent = batch.len();
        self.keeper.call("store results", &batch)?.skip(sent)
    }

    fn load(&self, task_ids: &[String]) -> Result<Vec<Option<Record>>> {
        self.read(task_ids, Instant::now() + LONGEST_WAIT)
    }

    fn forget(&self, task_ids: &[String]) -> Result<()> {
        if task_ids.is_empty() {
            return Ok(());
        }
        let keys: Vec<String> = task_ids.iter().map(|id| self.keeper.config.results.key(id)).collect();
        let mut words: Vec<&[u8]> = vec![b"DEL"];
        words.extend(keys.iter().map(String::as_bytes));
        let mut batch = Batch::new();
        batch.add(&words);
        self.keeper.call("forget results", &batch)?.skip(1)
    }

    fn wait(&self, task_ids: &[String], timeout: Duration) -> Result<Vec<Record>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        // Most results that are asked for late are there: no need to listen for them.
        let records = self.ended(task_ids, deadline)?;
        if !records.is_empty() || timeout.is_zero() || task_ids.is_empty() {
            return Ok(records);
        }
        let waiting = Waiting::begin(self)?;
        waiting.room.add(waiting.ticket, task_ids);
        waiting.room.wait(waiting.ticket, deadline, &|| false, &|ids| self.ended(ids, deadline))
    }

    fn watch(self: Arc<Self>) -> Result<Box<dyn Watch>> {
        let waiting = Waiting::begin(&self)?;
        Ok(Box::new(RedisWatch { store: self, waiting, stop: AtomicBool::new(false) }))
    }

    fn clean(&self) -> Result<u64> {
        // The server deletes what has expired.
        Ok(0)
    }

    fn close(&self) {
        self.room.close();
        self.keeper.close();
    }
}

/// Adds the commands that write a record and announce it.
///
/// # Errors
/// `Encode` when it is larger than the server can store.
pub(crate) fn write(
    layout: &ResultLayout,
    record: &Record,
    expires: Option<Duration>,
    batch: &mut Batch,
) -> Result<()> {
    if record.state == "SUCCESS" {
        return write_over(layout, record, expires, batch);
    }
    check_size(record)?;
    // Rare enough to be looked at first: what succeeded stays so, whatever comes late.
    let (key, body) = (layout.key(&record.task_id), record.body_as(&layout.content_type));
    batch.script(STORE, &[key.as_bytes()], &[&body, seconds(expires).as_bytes()]);
    Ok(())
}

/// As [`write`], over whatever is there; with commands that a script may use.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_over(
    layout: &ResultLayout,
    record: &Record,
    expires: Option<Duration>,
    batch: &mut Batch,
) -> Result<()> {
    check_size(record)?;
    let (key, body) = (layout.key(&record.task_id), record.body_as(&layout.content_type));
    let seconds = seconds(expires);
    if seconds == "0" {
        batch.add(&[b"SET", key.as_bytes(), &body]);
    } else {
        batch.add(&[b"SETEX", key.as_bytes(), seconds.as_bytes(), &body]);
    }
    batch.add(&[b"PUBLISH", key.as_bytes(), &body]);
    Ok(())
}

fn check_size(record: &Record) -> Result<()> {
    if record.body.len() <= LONGEST {
        return Ok(());
    }
    let sentence = "a result is larger than the 512 MiB that Redis can store";
    Err(Error::new(ErrorKind::Encode, sentence).with("task_id", &record.task_id))
}

/// Whole seconds, and never 0 but for ever.
fn seconds(expires: Option<Duration>) -> String {
    let after = expires.filter(|after| !after.is_zero());
    after.map_or(0, |after| after.as_secs_f64().ceil() as u64).to_string()
}

/// A record from its document.
fn read(layout: &ResultLayout, task_id: &str, body: Vec<u8>) -> Record {
    let state = state_of(&body);
    Record { task_id: task_id.to_owned(), state, content_type: layout.content_type.clone(), body }
}

/// Whether a task has ended; of a document that cannot be read here its reader must decide.
fn has_ended(record: &Record) -> bool {
    record.state.is_empty() || Record::is_final(&record.state)
}

/// The state in a document: JSON, or something else that holds the word after `status`. Empty when it cannot be seen.
fn state_of(document: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        status: String,
    }
    if document.starts_with(COMPRESSED) {
        return String::new();
    }
    if let Ok(Status { status }) = serde_json::from_slice(document) {
        return status;
    }
    // msgpack, YAML and pickle write keys as they are, and the value within a few bytes after.
    let key = b"status";
    let Some(start) = document.windows(key.len()).position(|window| window == key) else {
        return String::new();
    };
    let after = &document[start + key.len()..];
    let word = after.iter().take(24).skip_while(|byte| !byte.is_ascii_uppercase());
    // A msgpack or pickle length may look like one letter; no state is that short.
    let words: Vec<u8> =
        word.take_while(|byte| byte.is_ascii_uppercase() || **byte == b'_').copied().collect();
    if words.len() > 2 { String::from_utf8(words).unwrap_or_default() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_in_documents_of_every_serializer() {
        for (document, state) in [
            (&br#"{"status": "SUCCESS", "result": {"status": "FAILURE"}}"#[..], "SUCCESS"),
            (br#"{"result": 3, "status": "PROGRESS"}"#, "PROGRESS"),
            (b"\x86\xa6status\xa7SUCCESS\xa6result\x03", "SUCCESS"),
            (b"children: []\nstatus: FAILURE\n", "FAILURE"),
            (b"\x80\x04\x95\x8c\x06status\x94\x8c\x07REVOKED\x94", "REVOKED"),
            (b"\0celery-compressed\0application/x-gzip\0status SUCCESS", ""),
            (b"nothing", ""),
            (b"", ""),
        ] {
            assert_eq!(state_of(document), state, "{}", String::from_utf8_lossy(document));
        }
    }
}
