//! Looking and tidying by hand: depths, dead letters, workers, purge.

use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::connection::Handle;
use super::consume::message;
use super::schema::least_id;
use crate::broker::{DeadLetter, Depth, WorkerEntry};
use crate::clock::WallTime;
use crate::error::Result;
use crate::message::sought::Sought;
use crate::message::task::Headers;

/// Deletes what waits in a queue. Inside a transaction.
pub(super) fn purge(handle: &mut Handle, queue: &str) -> Result<u64> {
    let Some(id) = handle.find_queue(queue)? else { return Ok(0) };
    super::lock::unlock_queue(handle, id)?;
    let mut purged = 0;
    for statement in [
        "DELETE FROM message WHERE state = 0 AND queue = ?1",
        "DELETE FROM message WHERE state = 2 AND queue = ?1",
    ] {
        purged += handle.connection.prepare_cached(statement)?.execute([id])?;
    }
    Ok(purged as u64)
}

/// Counts by the partial indexes, never by the rows with their bodies.
pub(super) fn depths(handle: &Handle) -> Result<Vec<Depth>> {
    let mut select = handle.connection.prepare_cached(
        "SELECT name,
             (SELECT count(*) FROM message INDEXED BY message_ready WHERE state = 0 AND queue = q.id),
             (SELECT count(*) FROM message INDEXED BY message_claimed WHERE state = 1 AND queue = q.id),
             (SELECT count(*) FROM message INDEXED BY message_delayed WHERE state = 2 AND queue = q.id),
             (SELECT count(*) FROM dead WHERE queue = q.id)
         FROM queue AS q ORDER BY name",
    )?;
    let rows = select.query_map([], |row| {
        Ok(Depth {
            queue: row.get(0)?,
            ready: count(row, 1)?,
            in_flight: count(row, 2)?,
            delayed: count(row, 3)?,
            dead: count(row, 4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Dead letters, newest first.
pub(super) fn dead_letters(handle: &Handle, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
    let mut select = handle.connection.prepare_cached(
        "SELECT d.id, q.name, d.reason, d.buried_at, d.deaths, d.headers, d.properties, d.body
         FROM dead AS d JOIN queue AS q ON q.id = d.queue
         WHERE ?1 IS NULL OR q.name = ?1 ORDER BY d.id DESC LIMIT ?2",
    )?;
    let mut rows = select.query((queue, i64::try_from(limit).unwrap_or(i64::MAX)))?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next()? {
        letters.push(letter(row)?);
    }
    Ok(letters)
}

fn letter(row: &Row<'_>) -> Result<DeadLetter> {
    let message = message(row, 5)?;
    let headers = Headers::parse(&message.headers).unwrap_or_default();
    Ok(DeadLetter {
        id: row.get::<_, i64>(0)?.to_string(),
        task_id: headers.id.unwrap_or_default().into_owned(),
        task_name: headers.task.unwrap_or_default().into_owned(),
        queue: row.get(1)?,
        reason: row.get(2)?,
        buried_at: WallTime(row.get(3)?),
        deaths: row.get(4)?,
        message: message.clone(),
    })
}

/// Whether a message that is not set aside has some text in its headers.
pub(super) fn holds(handle: &Handle, text: &str) -> Result<bool> {
    let sought = Sought::plain(text);
    let mut select = handle.prepare("SELECT headers, body FROM message")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let [headers, body] = [row.get_ref(0)?, row.get_ref(1)?];
        if sought.may_be_in(headers.as_bytes().unwrap_or_default(), body.as_bytes().unwrap_or_default()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts dead letters at the end of their queues, their deaths forgotten. Inside a transaction.
pub(super) fn requeue_dead(
    handle: &mut Handle,
    queue: Option<&str>,
    ids: &[String],
    now: WallTime,
) -> Result<u64> {
    let chosen = choose(handle, queue, ids)?;
    let mut insert = handle.connection.prepare_cached(
        "INSERT INTO message (id, queue, rank, state, priority, exchange, routing_key, headers, properties, body)
         SELECT max(ifnull((SELECT max(id) FROM message), 0) + 1, ?2), queue, rank, 0, priority, exchange, routing_key, headers, properties, body FROM dead WHERE id = ?1",
    )?;
    let mut delete = handle.connection.prepare_cached("DELETE FROM dead WHERE id = ?1")?;
    for id in &chosen {
        insert.execute([*id, least_id(now)])?;
        delete.execute([id])?;
    }
    Ok(chosen.len() as u64)
}

/// Deletes dead letters. Inside a transaction.
pub(super) fn drop_dead(handle: &mut Handle, queue: Option<&str>, ids: &[String]) -> Result<u64> {
    let chosen = choose(handle, queue, ids)?;
    let mut delete = handle.connection.prepare_cached("DELETE FROM dead WHERE id = ?1")?;
    for id in &chosen {
        delete.execute([id])?;
    }
    Ok(chosen.len() as u64)
}

/// The dead letters meant, oldest first; all of the queue when `ids` is empty.
fn choose(handle: &mut Handle, queue: Option<&str>, ids: &[String]) -> Result<Vec<i64>> {
    let queue = match queue {
        Some(name) => match handle.find_queue(name)? {
            Some(id) => Some(id),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    if ids.is_empty() {
        let mut select =
            handle.connection.prepare_cached("SELECT id FROM dead WHERE ?1 IS NULL OR queue = ?1")?;
        let rows = select.query_map([queue], |row| row.get(0))?;
        return Ok(rows.collect::<rusqlite::Result<_>>()?);
    }
    let mut select = handle
        .connection
        .prepare_cached("SELECT id FROM dead WHERE id = ?2 AND (?1 IS NULL OR queue = ?1)")?;
    let mut chosen = Vec::new();
    // An id that is no number names nothing.
    for id in ids.iter().filter_map(|id| id.parse::<i64>().ok()) {
        let bindings = params_from_iter([queue, Some(id)]);
        chosen.extend(select.query_row(bindings, |row| row.get::<_, i64>(0)).optional()?);
    }
    chosen.dedup();
    Ok(chosen)
}

/// The workers that hold a lease.
pub(super) fn workers(handle: &Handle) -> Result<Vec<WorkerEntry>> {
    let mut select = handle.connection.prepare_cached(
        "SELECT node, pid, host, started_at, lease_until, queues,
             (SELECT count(*) FROM message INDEXED BY message_claimed WHERE state = 1 AND worker = w.id)
         FROM worker AS w ORDER BY id",
    )?;
    let rows = select.query_map([], |row| {
        let queues: String = row.get(5)?;
        Ok(WorkerEntry {
            node: row.get(0)?,
            pid: row.get(1)?,
            host: row.get(2)?,
            started_at: WallTime(row.get(3)?),
            lease_until: WallTime(row.get(4)?),
            in_flight: count(row, 6)?,
            queues: serde_json::from_str(&queues).unwrap_or_default(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0))
}
