//! Putting messages in: from routes to rows.

use rusqlite::{OptionalExtension, params};

use super::connection::Handle;
use super::schema::{DELAYED, READY, least_id};
use crate::broker::topology::{ExchangeKind, matching, nameless, other_kind, same_arguments, unroutable};
use crate::broker::{Publication, Queue};
use crate::clock::WallTime;
use crate::error::{Error, Result};

const INSERT: &str = "
INSERT INTO message (id, queue, rank, state, due, priority, exchange, routing_key, headers, properties, body)
VALUES (max(ifnull((SELECT max(id) FROM message), 0) + 1, ?11), ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Place in the order of priorities: the higher number goes first.
pub(super) fn rank(priority: Option<u8>) -> u8 {
    u8::MAX - priority.unwrap_or(0)
}

/// Publishes all or none.
///
/// # Errors
/// `NotFound` when a message would reach no queue; those of the file.
pub(super) fn publish(handle: &mut Handle, publications: &[Publication], now: WallTime) -> Result<()> {
    if let [publication] = publications
        && publication.exchange.is_empty()
        && let Some(queue) = handle.known_queue(&publication.routing_key)
    {
        // One statement is its own transaction: BEGIN and COMMIT would cost a third more.
        return insert(handle, publication, queue, now);
    }
    handle.transaction(|handle| {
        for publication in publications {
            for queue in route(handle, publication)? {
                insert(handle, publication, queue, now)?;
            }
        }
        Ok(())
    })
}

/// The queues a publication goes to. Inside a transaction: an unknown queue that is named directly is made.
pub(super) fn route(handle: &mut Handle, publication: &Publication) -> Result<Vec<i64>> {
    if publication.exchange.is_empty() {
        return Ok(vec![handle.queue(&publication.routing_key)?]);
    }
    let names = bound(handle, &publication.exchange, &publication.routing_key)?;
    names.iter().map(|name| handle.queue(name)).collect()
}

fn bound(handle: &Handle, exchange: &str, routing_key: &str) -> Result<Vec<String>> {
    let Some(kind) = exchange_kind(handle, exchange)? else { return Err(unroutable(exchange, routing_key)) };
    let mut select =
        handle.connection.prepare_cached("SELECT routing_key, queue FROM binding WHERE exchange = ?1")?;
    let rows = select.query_map([exchange], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let bindings = rows.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    matching(kind, bindings.iter().map(|(key, queue)| (key.as_str(), queue.as_str())), exchange, routing_key)
}

fn exchange_kind(handle: &Handle, exchange: &str) -> Result<Option<ExchangeKind>> {
    let mut select = handle.connection.prepare_cached("SELECT kind FROM exchange WHERE name = ?1")?;
    let kind: Option<String> = select.query_row([exchange], |row| row.get(0)).optional()?;
    kind.as_deref().map(ExchangeKind::parse).transpose()
}

/// Writes one row.
pub(super) fn insert(handle: &Handle, publication: &Publication, queue: i64, now: WallTime) -> Result<()> {
    let due = publication.due.filter(|due| *due > now).map(|due| due.0);
    let message = &publication.message;
    let is_direct = publication.exchange.is_empty();
    handle.connection.prepare_cached(INSERT)?.execute(params![
        queue,
        rank(publication.priority),
        if due.is_some() { DELAYED } else { READY },
        due,
        publication.priority,
        (!is_direct).then_some(publication.exchange.as_str()),
        (!is_direct).then_some(publication.routing_key.as_str()),
        &message.headers[..],
        &message.properties[..],
        &message.body[..],
        least_id(now),
    ])?;
    Ok(())
}

/// A follow-up that no queue would get is kept with the reason: failing its Commit would repeat the task for ever.
pub(super) fn bury_unroutable(
    handle: &mut Handle,
    publication: &Publication,
    error: &Error,
    now: WallTime,
) -> Result<()> {
    let queue = handle.queue(&publication.routing_key)?;
    let message = &publication.message;
    handle
        .connection
        .prepare_cached(
            "INSERT INTO dead (queue, rank, deaths, reason, buried_at, priority, headers, properties, body)
             VALUES (?1, ?2, 0, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            queue,
            rank(publication.priority),
            error.to_string(),
            now.0,
            publication.priority,
            &message.headers[..],
            &message.properties[..],
            &message.body[..],
        ])?;
    Ok(())
}

/// Makes queues, exchanges and bindings exist. Inside a transaction.
///
/// # Errors
/// `Mismatch` when one exists with other properties, `Unsupported` for an unknown exchange type.
pub(super) fn declare(handle: &mut Handle, queues: &[Queue]) -> Result<()> {
    for queue in queues.iter().filter(|queue| !queue.no_declare) {
        if queue.name.is_empty() {
            make_exchange(handle, queue)?;
            continue;
        }
        let id = handle.queue(&queue.name)?;
        let existing: Option<String> = handle
            .connection
            .prepare_cached("SELECT arguments FROM queue WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        same_arguments(&queue.name, existing.as_deref(), &queue.arguments)?;
        if existing.is_none() {
            handle
                .connection
                .prepare_cached("UPDATE queue SET arguments = ?2 WHERE id = ?1")?
                .execute(params![id, queue.arguments])?;
        }
        bind(handle, queue)?;
    }
    Ok(())
}

fn bind(handle: &Handle, queue: &Queue) -> Result<()> {
    if queue.exchange.is_empty() {
        ExchangeKind::parse(&queue.exchange_type)?;
        return Ok(());
    }
    make_exchange(handle, queue)?;
    handle
        .connection
        .prepare_cached("INSERT OR IGNORE INTO binding (exchange, routing_key, queue) VALUES (?1, ?2, ?3)")?
        .execute([&queue.exchange, &queue.routing_key, &queue.name])?;
    Ok(())
}

fn make_exchange(handle: &Handle, queue: &Queue) -> Result<()> {
    let kind = ExchangeKind::parse(&queue.exchange_type)?;
    if queue.exchange.is_empty() {
        return Err(nameless());
    }
    match exchange_kind(handle, &queue.exchange)? {
        Some(existing) if existing != kind => return Err(other_kind(&queue.exchange, existing, kind)),
        Some(_) => {}
        None => {
            let mut insert =
                handle.connection.prepare_cached("INSERT INTO exchange (name, kind) VALUES (?1, ?2)")?;
            insert.execute([queue.exchange.as_str(), kind.name()])?;
        }
    }
    Ok(())
}
