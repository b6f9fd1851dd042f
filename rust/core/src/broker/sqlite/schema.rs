//! The tables, and the check that a file has them.
//!
//! # Format
//! ```text
//! message  id        grows for ever: the place in the queue, and the tag of the delivery; milliseconds since 1970,
//!                    times 4096, or one more than the last. (AUTOINCREMENT does the same for one page more in
//!                    every commit: a publish costs a fifth more. Plain row ids begin anew in an empty table, and
//!                    a dead worker's slot page could name a message it never saw.)
//!          queue     queue.id                      rank      0 goes first: 255 minus the priority
//!          state     0 ready, 1 claimed, 2 delayed due       milliseconds since 1970, for state 2
//!          worker    worker.id, for state 1        deaths    workers that died running it
//!          exchange, routing_key: NULL when the message went straight to the queue
//!          headers, properties: JSON objects       body      as sent
//! dead     a message set aside, with the reason and the time
//! worker   one row for each lease: who holds it, until when, and how to find out whether it is dead
//! revoked  tasks that are called off, each demand once, as JSON (job/revocation.rs); id grows for ever, so that a worker
//!          reads what is new; expires as below, and never NULL
//! chord    one row for each chord that goes on: members that must end and that have ended; state 0 open, 1 released,
//!          2 ended; when a sweeper looks at it again
//! chord_body  what calls the body, apart from the row that each member changes
//! part     how one member of a chord ended; place 2^63 - 1 when it has none
//! result   one row for each task: the last state stored; expires in milliseconds since 1970, NULL for ever. With row
//!          ids, so that a random task id moves an index entry and not the whole row (measured: 9 µs against 16)
//! lock     one row for each unique task under way: who has the lock, until when (milliseconds since 1970)
//! turn     one row for each rate limit that all workers keep: when the next run may begin (microseconds since 1970)
//! token    one row for each key and worker: how many of the key's tokens the worker holds, and how many it waits for
//!          since when (milliseconds since 1970, or one more than the last in line)
//! ```

use rusqlite::Connection;

use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};

/// The least id of a message that is sent now: see the format.
pub(super) fn least_id(now: WallTime) -> i64 {
    now.0.saturating_mul(4096)
}

/// Message states.
pub(super) const READY: i64 = 0;
pub(super) const DELAYED: i64 = 2;

/// Marks the file as ours (`PRAGMA application_id`): "fstq".
const APPLICATION: i64 = 0x6673_7471;
/// The version of these tables (`PRAGMA user_version`).
const VERSION: i64 = 2;
/// The version before: it lacks what is in ADDED, and gets it.
const BEFORE: i64 = 1;
/// The first SQLite without the bug that loses commits when two connections write and checkpoint at once.
const OLDEST_SQLITE: i32 = 3_051_003;

const TABLES: &str = "
CREATE TABLE queue (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arguments TEXT);
CREATE TABLE exchange (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE binding (
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, queue TEXT NOT NULL,
    PRIMARY KEY (exchange, routing_key, queue)
) WITHOUT ROWID;
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL, rank INTEGER NOT NULL, state INTEGER NOT NULL, due INTEGER, worker INTEGER,
    redelivered INTEGER NOT NULL DEFAULT 0, deaths INTEGER NOT NULL DEFAULT 0,
    priority INTEGER, exchange TEXT, routing_key TEXT,
    headers BLOB NOT NULL, properties BLOB NOT NULL, body BLOB NOT NULL
);
CREATE INDEX message_ready ON message (queue, rank) WHERE state = 0;
CREATE INDEX message_claimed ON message (worker) WHERE state = 1;
CREATE INDEX message_delayed ON message (due, queue) WHERE state = 2;
CREATE TABLE dead (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue INTEGER NOT NULL, rank INTEGER NOT NULL, deaths INTEGER NOT NULL, reason TEXT NOT NULL,
    buried_at INTEGER NOT NULL, priority INTEGER, exchange TEXT, routing_key TEXT,
    headers BLOB NOT NULL, properties BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE worker (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL, node TEXT NOT NULL, host TEXT NOT NULL, machine TEXT NOT NULL,
    pid INTEGER NOT NULL, process_start INTEGER NOT NULL,
    started_at INTEGER NOT NULL, lease_until INTEGER NOT NULL,
    queues TEXT NOT NULL, page TEXT, bell TEXT
);
CREATE TABLE result (
    task_id TEXT PRIMARY KEY, state TEXT NOT NULL, content_type TEXT NOT NULL, body BLOB NOT NULL, expires INTEGER
);
CREATE INDEX result_expires ON result (expires) WHERE expires IS NOT NULL;
";

const ADDED: &str = "
CREATE TABLE chord (
    id INTEGER PRIMARY KEY, group_id TEXT NOT NULL UNIQUE, size INTEGER, added INTEGER NOT NULL DEFAULT 0,
    count INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0, last TEXT NOT NULL DEFAULT '',
    seen INTEGER NOT NULL DEFAULT 0, progress_at INTEGER NOT NULL, released_at INTEGER NOT NULL DEFAULT 0,
    look_at INTEGER NOT NULL, expires INTEGER
);
CREATE INDEX chord_look ON chord (look_at) WHERE state <> 2;
CREATE INDEX chord_expires ON chord (expires) WHERE expires IS NOT NULL;
CREATE TABLE chord_body (chord INTEGER PRIMARY KEY, body BLOB, callback BLOB);
CREATE TABLE part (
    chord INTEGER NOT NULL, place INTEGER NOT NULL, task_id TEXT NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (chord, place, task_id)
) WITHOUT ROWID;
CREATE TABLE revoked (
    id INTEGER PRIMARY KEY AUTOINCREMENT, demand TEXT NOT NULL UNIQUE, expires INTEGER NOT NULL
);
CREATE INDEX revoked_expires ON revoked (expires);
CREATE TABLE lock (key TEXT PRIMARY KEY, task_id TEXT NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX lock_expires ON lock (expires);
CREATE TABLE turn (key TEXT PRIMARY KEY, free_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE token (
    key TEXT NOT NULL, worker INTEGER NOT NULL, held INTEGER NOT NULL, wanted INTEGER NOT NULL, since INTEGER NOT NULL,
    PRIMARY KEY (key, worker)
) WITHOUT ROWID;
CREATE INDEX token_worker ON token (worker);
";

/// Refuses an SQLite library with a known way to lose data.
///
/// # Errors
/// `Config`.
pub(super) fn check_library() -> Result<()> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, "the linked SQLite library can lose data; fastq needs 3.51.3 or newer")
        .with("linked", rusqlite::version()))
}

/// Makes the tables in an empty file, adds what a file of the version before lacks, or checks that the file has them.
///
/// # Errors
/// `Mismatch` when the file is another program's, or of another version of fastq.
pub(super) fn ensure(connection: &Connection) -> Result<()> {
    if is_ours(connection)? {
        return Ok(());
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = make(connection);
    connection.execute_batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    made
}

fn make(connection: &Connection) -> Result<()> {
    // Another process may have made them while we waited for the lock.
    if is_ours(connection)? {
        return Ok(());
    }
    if version_of(connection)? != BEFORE {
        connection.execute_batch(TABLES)?;
    }
    connection.execute_batch(ADDED)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

fn version_of(connection: &Connection) -> Result<i64> {
    Ok(connection.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0))?)
}

/// Whether the file has our tables; false when it is empty, or of the version before.
fn is_ours(connection: &Connection) -> Result<bool> {
    // In one statement, which sees one moment: another process may be making the tables just now.
    let look = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
                FROM pragma_application_id, pragma_user_version";
    let found = connection.query_row(look, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (application, version, tables): (i64, i64, i64) = found;
    if application == APPLICATION && version == VERSION {
        return Ok(true);
    }
    if application == APPLICATION && version == BEFORE {
        return Ok(false);
    }
    if application == APPLICATION {
        let hint = if version > VERSION { "update fastq" } else { "move it away, and fastq makes a new one" };
        let sentence = format!("the database file is of another version of fastq; {hint}");
        return Err(Error::new(ErrorKind::Mismatch, sentence).with("found", version).with("wanted", VERSION));
    }
    if application != 0 || version != 0 || tables != 0 {
        let sentence = "broker_url names a database of another program; choose another path";
        return Err(Error::new(ErrorKind::Mismatch, sentence));
    }
    Ok(false)
}
