//! Locks of unique tasks: taken in the transaction that sends the message, given back in the one that ends the task.

use rusqlite::{OptionalExtension, params};

use super::connection::Handle;
use super::publish;
use crate::broker::{Duplicate, Publication};
use crate::clock::WallTime;
use crate::error::Result;
use crate::job::ending::Commit;
use crate::job::limits::Limits;
use crate::message::bounds::Lock;
use crate::store::Record;

/// Locks deleted in one transaction whose time is over.
const EXPIRED_CHUNK: i64 = 500;

/// Sends what may go. Inside a transaction; with `together`, one that may not go keeps all from going.
///
/// # Errors
/// As from [`publish::publish`]; `Encode` for a lock that cannot be.
pub(super) fn publish_locking(
    handle: &mut Handle,
    publications: &[Publication],
    together: bool,
    now: WallTime,
) -> Result<Vec<Duplicate>> {
    let mut duplicates = Vec::new();
    let mut going = Vec::new();
    for (place, publication) in publications.iter().enumerate() {
        match Lock::wanted(&publication.message.headers)?.map(|lock| take(handle, &lock, now)).transpose()? {
            None | Some(Taken::Fresh) => going.push(publication),
            Some(Taken::Before) => {}
            Some(Taken::By(holder)) => duplicates.push(Duplicate { place, holder }),
        }
    }
    if together && !duplicates.is_empty() {
        for publication in going {
            if let Some(lock) = Lock::wanted(&publication.message.headers)? {
                give_back(handle, &lock.key, &lock.id)?;
            }
        }
        return Ok(duplicates);
    }
    for publication in going {
        for queue in publish::route(handle, publication)? {
            publish::insert(handle, publication, queue, now)?;
        }
    }
    Ok(duplicates)
}

/// Who has a lock.
pub(super) enum Taken {
    /// Its task, since now.
    Fresh,
    /// Its task had it already.
    Before,
    /// Another task.
    By(String),
}

/// Takes a lock if it is free. Inside a transaction.
pub(super) fn take(handle: &Handle, lock: &Lock, now: WallTime) -> Result<Taken> {
    let mut select = handle.prepare("SELECT task_id FROM lock WHERE key = ?1 AND expires > ?2")?;
    let holder: Option<String> = select.query_row(params![lock.key, now.0], |row| row.get(0)).optional()?;
    match holder {
        Some(holder) if holder == lock.id => Ok(Taken::Before),
        Some(holder) => Ok(Taken::By(holder)),
        None => {
            let mut insert =
                handle.prepare("INSERT OR REPLACE INTO lock (key, task_id, expires) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![lock.key, lock.id, now.after(lock.lasts).0])?;
            Ok(Taken::Fresh)
        }
    }
}

/// Gives a lock back if its task still has it. Inside a transaction.
pub(super) fn give_back(handle: &Handle, key: &str, id: &str) -> Result<()> {
    handle.prepare("DELETE FROM lock WHERE key = ?1 AND task_id = ?2")?.execute([key, id])?;
    Ok(())
}

/// Whether a publication of a Commit may go; otherwise the record that says so is added.
pub(super) fn may_go(
    handle: &Handle,
    limits: Option<&Limits>,
    place: usize,
    refused: &mut Vec<Record>,
    now: WallTime,
) -> Result<bool> {
    let Some(locked) = limits.and_then(|limits| limits.locked.iter().find(|locked| locked.place == place))
    else {
        return Ok(true);
    };
    let taken = take(handle, &locked.lock, now)?;
    if matches!(taken, Taken::By(_)) {
        refused.extend(locked.otherwise.clone());
    }
    Ok(matches!(taken, Taken::Fresh))
}

/// Gives back what a Commit gives back. Inside a transaction.
pub(super) fn unlock(handle: &Handle, commit: &Commit) -> Result<()> {
    let unlock = commit.limits.as_deref().and_then(|limits| limits.unlock.as_ref());
    unlock.map_or(Ok(()), |(key, id)| give_back(handle, key, id))
}

/// Gives back the locks of messages in a queue that are about to be deleted. Inside a transaction.
pub(super) fn unlock_queue(handle: &Handle, queue: i64) -> Result<()> {
    if !handle.prepare("SELECT 1 FROM lock LIMIT 1")?.exists([])? {
        return Ok(());
    }
    for state in ["state = 0", "state = 2"] {
        let statement = format!(
            "SELECT headers FROM message WHERE {state} AND queue = ?1
             AND instr(CAST(headers AS TEXT), '\"x-fastq-unique-key\"') > 0"
        );
        let mut select = handle.prepare(&statement)?;
        let mut rows = select.query([queue])?;
        while let Some(row) = rows.next()? {
            let headers: Vec<u8> = row.get(0)?;
            if let Ok(Some(lock)) = Lock::wanted(&headers) {
                give_back(handle, &lock.key, &lock.id)?;
            }
        }
    }
    Ok(())
}

/// Deletes locks whose time is over, some of them.
pub(super) fn tidy(handle: &Handle, now: WallTime) -> Result<()> {
    let mut select =
        handle.prepare("SELECT 1 FROM lock INDEXED BY lock_expires WHERE expires <= ?1 LIMIT 1")?;
    if select.exists([now.0])? {
        let mut delete = handle.prepare(
            "DELETE FROM lock WHERE key IN (SELECT key FROM lock INDEXED BY lock_expires WHERE expires <= ?1 LIMIT ?2)",
        )?;
        delete.execute([now.0, EXPIRED_CHUNK])?;
    }
    Ok(())
}
