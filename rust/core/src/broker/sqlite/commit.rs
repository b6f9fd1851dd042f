//! Carrying out Commits: verdict, results and follow-ups, together or not at all.

use rusqlite::params;

use super::connection::Handle;
use super::lease::Lease;
use super::{chords, lock, publish, tokens};
use crate::broker::{Publication, Receipt, release};
use crate::clock::WallTime;
use crate::error::{ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::{Commit, Verdict};
use crate::store::{Chords, Record};

/// What carrying out some Commits has led to.
#[derive(Default)]
pub(super) struct Carried {
    /// Commits whose delivery is not ours any more: nothing of them was done.
    pub(super) refused: Vec<Tag>,
    /// Other workers may find something new in their queues.
    pub(super) put_in: bool,
    /// Release messages were put into the internal queue.
    pub(super) released: bool,
}

/// Carries out `commits` for the worker of `lease`, in order. Inside a transaction.
pub(super) fn carry_out(
    handle: &mut Handle,
    lease: &Lease,
    commits: &[Commit],
    now: WallTime,
) -> Result<Carried> {
    let worker = lease.worker;
    let expires = lease.result_expires.map(|after| now.after(after));
    let mut carried = Carried::default();
    for commit in commits {
        if let Some((receipt, verdict)) = &commit.settle {
            // The fence: a worker that was taken for dead finds none of its rows, and its Commits do nothing.
            if receipt.epoch() != worker as u64 || !settle(handle, worker, receipt, verdict, now)? {
                carried.refused.push(receipt.tag());
                continue;
            }
            carried.put_in |= matches!(verdict, Verdict::Release | Verdict::Requeue { .. });
        }
        if let Some(chords) = &commit.chords
            && !count(handle, lease, chords, now, &mut carried)?
        {
            continue;
        }
        save(handle, &commit.records, expires, now)?;
        lock::unlock(handle, commit)?;
        if let Some(key) = commit.limits.as_ref().and_then(|limits| limits.token.as_ref()) {
            carried.put_in |= tokens::give_back(handle, worker, key)?;
        }
        carried.put_in |= !commit.publications.is_empty();
        publish_all(handle, commit, now, expires)?;
    }
    Ok(carried)
}

/// Counts chords and sends what releases them; false when the Commit wants to end one that has ended: what it wants
/// has been done by another run.
pub(super) fn count(
    handle: &mut Handle,
    lease: &Lease,
    work: &Chords,
    now: WallTime,
    carried: &mut Carried,
) -> Result<bool> {
    if let Some(group_id) = &work.ended
        && !chords::end(handle, group_id, now)?
    {
        return Ok(false);
    }
    let expires = lease.chord_expires.map(|after| now.after(after));
    for complete in chords::count(handle, work, expires, now, true)? {
        (carried.put_in, carried.released) = (true, true);
        send(handle, &release(&complete, &lease.internal, ""), now)?;
    }
    Ok(true)
}

fn send(handle: &mut Handle, publication: &Publication, now: WallTime) -> Result<()> {
    match publish::route(handle, publication) {
        Ok(queues) => queues.iter().try_for_each(|queue| publish::insert(handle, publication, *queue, now)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            publish::bury_unroutable(handle, publication, &error, now)
        }
        Err(error) => Err(error),
    }
}

/// Publishes what follows, each if its lock is free.
fn publish_all(handle: &mut Handle, commit: &Commit, now: WallTime, expires: Option<WallTime>) -> Result<()> {
    for (place, publication) in commit.publications.iter().enumerate() {
        let mut refused = Vec::new();
        if !lock::may_go(handle, commit.limits.as_deref(), place, &mut refused, now)? {
            save(handle, &refused, expires, now)?;
            continue;
        }
        send(handle, publication, now)?;
    }
    Ok(())
}

/// Settles one delivery; false when the row is not ours.
fn settle(handle: &Handle, worker: i64, receipt: &Receipt, verdict: &Verdict, now: WallTime) -> Result<bool> {
    let id = receipt.tag().0 as i64;
    match verdict {
        Verdict::Ack => delete(handle, worker, id),
        Verdict::Release => put_back(handle, worker, id, false, false),
        Verdict::Requeue { died } => put_back(handle, worker, id, true, *died),
        Verdict::Bury { reason, died } => bury(handle, worker, id, reason, *died, now),
    }
}

fn delete(handle: &Handle, worker: i64, id: i64) -> Result<bool> {
    let mut delete = handle.connection.prepare_cached("DELETE FROM message WHERE id = ?1 AND worker = ?2")?;
    Ok(delete.execute([id, worker])? == 1)
}

/// Back to its own place in the queue, which is its id.
pub(super) fn put_back(handle: &Handle, worker: i64, id: i64, redelivered: bool, died: bool) -> Result<bool> {
    let mut update = handle.connection.prepare_cached(
        "UPDATE message SET state = 0, worker = NULL, redelivered = redelivered OR ?3, deaths = deaths + ?4
         WHERE id = ?1 AND worker = ?2",
    )?;
    Ok(update.execute(params![id, worker, redelivered, died])? == 1)
}

/// Sets a message aside with the reason.
pub(super) fn bury(
    handle: &Handle,
    worker: i64,
    id: i64,
    reason: &str,
    died: bool,
    now: WallTime,
) -> Result<bool> {
    let mut insert = handle.connection.prepare_cached(
        "INSERT INTO dead (queue, rank, deaths, reason, buried_at, priority, exchange, routing_key, headers, properties,
                           body)
         SELECT queue, rank, deaths + ?3, ?4, ?5, priority, exchange, routing_key, headers, properties, body
         FROM message WHERE id = ?1 AND worker = ?2",
    )?;
    insert.execute(params![id, worker, died, reason, now.0])?;
    delete(handle, worker, id)
}

/// Writes records in order; one of a task that has succeeded stays as it is.
pub(crate) fn save(
    handle: &Handle,
    records: &[Record],
    expires: Option<WallTime>,
    now: WallTime,
) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut upsert = handle.connection.prepare_cached(
        "INSERT INTO result (task_id, state, content_type, body, expires) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (task_id) DO UPDATE SET state = excluded.state, content_type = excluded.content_type,
             body = excluded.body, expires = excluded.expires
             WHERE result.state <> 'SUCCESS' OR result.expires <= ?6",
    )?;
    for record in records {
        let expires = expires.map(|expires| expires.0);
        upsert.execute(params![
            record.task_id,
            record.state,
            record.content_type,
            record.body,
            expires,
            now.0
        ])?;
    }
    Ok(())
}

/// The tasks that have ended with these records.
pub(crate) fn ended(records: &[Record]) -> impl Iterator<Item = &str> {
    records.iter().filter(|record| Record::is_final(&record.state)).map(|record| record.task_id.as_str())
}
