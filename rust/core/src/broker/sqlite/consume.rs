//! Taking messages out: what is due becomes ready, what is ready becomes ours.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::connection::Handle;
use crate::broker::{Delivery, Receipt};
use crate::clock::WallTime;
use crate::error::Result;
use crate::ident::Tag;

/// Messages made ready in one transaction at most: writers wait for it.
const MOST_PROMOTED: i64 = 1000;

const SELECT_READY: &str = "
SELECT id, rank, priority, exchange, routing_key, redelivered, deaths, headers, properties, body
FROM message INDEXED BY message_ready WHERE state = 0 AND queue = ?1 ORDER BY rank, id LIMIT ?2";

/// A queue that a session takes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) id: i64,
    pub(super) name: Arc<str>,
}

/// Makes ready what has fallen due; returns when the next message falls due, if one waits.
pub(super) fn promote(handle: &Handle, now: WallTime) -> Result<Option<WallTime>> {
    let next = next_due(handle)?;
    if next.is_none_or(|due| due > now) {
        return Ok(next);
    }
    handle
        .connection
        .prepare_cached(
            "UPDATE message SET state = 0, due = NULL WHERE id IN (
                 SELECT id FROM message INDEXED BY message_delayed WHERE state = 2 AND due <= ?1 ORDER BY due LIMIT ?2
             )",
        )?
        .execute([now.0, MOST_PROMOTED])?;
    next_due(handle)
}

/// When the next delayed message falls due.
pub(super) fn next_due(handle: &Handle) -> Result<Option<WallTime>> {
    let mut select = handle.connection.prepare_cached(
        "SELECT due FROM message INDEXED BY message_delayed WHERE state = 2 ORDER BY due LIMIT 1",
    )?;
    Ok(select.query_row([], |row| Ok(WallTime(row.get(0)?))).optional()?)
}

/// Whether one of the queues has a message that is ready.
pub(super) fn any_ready(handle: &Handle, sources: &[Source]) -> Result<bool> {
    let mut select = handle.connection.prepare_cached(
        "SELECT 1 FROM message INDEXED BY message_ready WHERE state = 0 AND queue = ?1 LIMIT 1",
    )?;
    for source in sources {
        if select.exists([source.id])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Claims up to `credit` messages for `worker`, the same share of each queue as long as it has so many, beginning
/// with the queue whose `turn` it is. In the order of priority, then age.
pub(super) fn claim(
    handle: &Handle,
    worker: i64,
    sources: &[Source],
    credit: usize,
    turn: usize,
) -> Result<Vec<Delivery>> {
    let mut taken: Vec<Delivery> = Vec::new();
    // A queue that gave less than its share is empty and not asked again.
    let mut asked: Vec<&Source> =
        (0..sources.len()).map(|step| &sources[(turn + step) % sources.len()]).collect();
    while taken.len() < credit && !asked.is_empty() {
        let mut rich = Vec::new();
        let round = asked.len();
        for (position, source) in asked.into_iter().enumerate() {
            let share = (credit - taken.len()).div_ceil(round - position);
            let before = taken.len();
            claim_from(handle, worker, source, share, &mut taken)?;
            if taken.len() - before == share {
                rich.push(source);
            }
        }
        asked = rich;
    }
    taken.sort_unstable_by_key(|delivery| (delivery.rank, delivery.tag()));
    Ok(taken)
}

fn claim_from(
    handle: &Handle,
    worker: i64,
    source: &Source,
    limit: usize,
    taken: &mut Vec<Delivery>,
) -> Result<()> {
    if limit == 0 {
        return Ok(());
    }
    let empty: Arc<str> = "".into();
    let first = taken.len();
    let mut select = handle.connection.prepare_cached(SELECT_READY)?;
    let mut rows = select.query(params![source.id, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        taken.push(delivery(row, worker, source, &empty)?);
    }
    // One by one is cheaper than UPDATE … RETURNING, which copies every row into a table of its own first
    // (measured: 35 µs against 49 for one message, 4.6 against 5.4 in a batch of 128).
    let mut update =
        handle.connection.prepare_cached("UPDATE message SET state = 1, worker = ?1 WHERE id = ?2")?;
    for delivery in &taken[first..] {
        update.execute([worker, delivery.tag().0 as i64])?;
    }
    Ok(())
}

fn delivery(row: &Row<'_>, worker: i64, source: &Source, empty: &Arc<str>) -> Result<Delivery> {
    let exchange: Option<Arc<str>> = row.get(3)?;
    let routing_key: Option<Arc<str>> = row.get(4)?;
    Ok(Delivery {
        receipt: Receipt::new(Tag(row.get::<_, i64>(0)? as u64), worker as u64),
        queue: Arc::clone(&source.name),
        exchange: exchange.unwrap_or_else(|| Arc::clone(empty)),
        routing_key: routing_key.unwrap_or_else(|| Arc::clone(&source.name)),
        priority: row.get(2)?,
        rank: row.get(1)?,
        redelivered: row.get(5)?,
        deaths: row.get(6)?,
        message: message(row, 7)?,
    })
}

/// The message in three columns that begin with `first`.
pub(super) fn message(row: &Row<'_>, first: usize) -> Result<crate::message::Message> {
    Ok(crate::message::Message {
        headers: blob(row, first)?,
        properties: blob(row, first + 1)?,
        body: blob(row, first + 2)?,
    })
}

fn blob(row: &Row<'_>, column: usize) -> Result<Bytes> {
    let bytes = row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(Bytes::copy_from_slice(bytes))
}
