//! Putting back what dead workers held. Every worker does it, for all others.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, params};

use super::commit::{self, Carried, bury, put_back};
use super::connection::Handle;
use super::consume;
use super::lease::{Lease, put_all_back, remove_page};
use super::tokens;
use super::watch::Watch;
use crate::broker::Renewal;
use crate::broker::process::Process;
use crate::clock::WallTime;
use crate::error::Result;
use crate::message::task::Headers;
use crate::pool::page::{self, CLAIM, PERMITS, TAG, WORDS_PER_SLOT};
use crate::store::record::Exception;
use crate::store::{Chords, Record, part_of};

/// A worker's row, as a reaper needs it.
struct Suspect {
    worker: i64,
    process: Process,
    lease_until: WallTime,
    page: Option<PathBuf>,
    bell: Option<PathBuf>,
}

/// What reaping has led to.
#[derive(Default)]
pub(super) struct Reaped {
    pub(super) renewal: Renewal,
    /// Failures stored for those that were buried: somebody may wait for them.
    pub(super) failures: Vec<Record>,
    /// Tokens were taken back.
    pub(super) freed: bool,
}

/// Puts back what workers held whose process is gone or whose lease has stood still for too long.
pub(super) fn reap(handle: &mut Handle, lease: &Lease, watch: &mut Watch, now: WallTime) -> Result<Reaped> {
    let mut reaped = Reaped::default();
    let suspects = suspects(handle, lease.worker)?;
    watch.retain(|worker| suspects.iter().any(|suspect| suspect.worker == worker));
    for suspect in suspects {
        let is_gone = suspect.process.is_gone();
        if !is_gone && !watch.is_overdue(suspect.worker, suspect.lease_until, now) {
            continue;
        }
        let started = suspect.page.as_deref().and_then(started);
        handle.transaction(|handle| {
            bring_back(handle, lease, &suspect, is_gone, started.as_ref(), now, &mut reaped)
        })?;
        // A worker that was only stopped goes on with both.
        if !is_gone {
            continue;
        }
        if let Some(page) = &suspect.page {
            remove_page(page, &lease.run_directory);
        }
        if let Some(bell) = suspect.bell.filter(|bell| bell.parent() == Some(&lease.run_directory)) {
            let _ = std::fs::remove_file(bell);
        }
    }
    Ok(reaped)
}

fn suspects(handle: &Handle, me: i64) -> Result<Vec<Suspect>> {
    let mut select = handle.connection.prepare_cached(
        "SELECT id, pid, process_start, machine, lease_until, page, bell FROM worker WHERE id <> ?1",
    )?;
    let rows = select.query_map([me], |row| {
        Ok(Suspect {
            worker: row.get(0)?,
            process: Process { pid: row.get(1)?, started: row.get(2)?, machine: row.get(3)? },
            lease_until: WallTime(row.get(4)?),
            page: row.get::<_, Option<String>>(5)?.map(PathBuf::from),
            bell: row.get::<_, Option<String>>(6)?.map(PathBuf::from),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn bring_back(
    handle: &mut Handle,
    lease: &Lease,
    suspect: &Suspect,
    is_gone: bool,
    started: Option<&HashSet<i64>>,
    now: WallTime,
    reaped: &mut Reaped,
) -> Result<()> {
    let mut select = handle.connection.prepare_cached("SELECT lease_until FROM worker WHERE id = ?1")?;
    let lease_until: Option<i64> = select.query_row([suspect.worker], |row| row.get(0)).optional()?;
    drop(select);
    // Another reaper was faster, or the worker has renewed in the meantime.
    if lease_until.is_none_or(|until| !is_gone && until != suspect.lease_until.0) {
        return Ok(());
    }
    for id in started.into_iter().flatten() {
        count_death(handle, lease, suspect.worker, *id, now, reaped)?;
    }
    // Each of the others may have run: one that had ended is in no slot any more, and its Commit was never made.
    reaped.renewal.recovered += put_all_back(handle, suspect.worker, true)?;
    reaped.freed |= tokens::end(handle, suspect.worker)?;
    handle.connection.prepare_cached("DELETE FROM worker WHERE id = ?1")?.execute([suspect.worker])?;
    Ok(())
}

/// One message that was running when its worker died: back into its queue, or set aside if that happens too often.
fn count_death(
    handle: &mut Handle,
    lease: &Lease,
    worker: i64,
    id: i64,
    now: WallTime,
    reaped: &mut Reaped,
) -> Result<()> {
    let mut select = handle.connection.prepare_cached(
        "SELECT deaths, headers, properties, body FROM message WHERE id = ?1 AND worker = ?2",
    )?;
    let mut rows = select.query([id, worker])?;
    // Not held any more: it had been settled before the worker died.
    let Some(row) = rows.next()? else { return Ok(()) };
    let (deaths, message): (u32, _) = (row.get(0)?, consume::message(row, 1)?);
    drop(rows);
    drop(select);
    let deaths = deaths + 1;
    if deaths < lease.max_deaths {
        put_back(handle, worker, id, true, true)?;
        reaped.renewal.recovered += 1;
        return Ok(());
    }
    let reason = format!("{deaths} workers died running it (task_max_deaths = {})", lease.max_deaths);
    bury(handle, worker, id, &reason, true, now)?;
    reaped.renewal.buried += 1;
    let exception = Exception::worker_lost(&reason);
    if let Some(chords) = Chords::of(part_of(&message, "FAILURE", &exception)) {
        commit::count(handle, lease, &chords, now, &mut Carried::default())?;
    }
    let headers = Headers::parse(&message.headers).unwrap_or_default();
    if let Some(task_id) = headers.id.filter(|_| headers.ignore_result != Some(true)) {
        let failure = Record::of_exception(&task_id, "FAILURE", &exception, now);
        let expires = lease.result_expires.map(|after| now.after(after));
        commit::save(handle, std::slice::from_ref(&failure), expires, now)?;
        reaped.failures.push(failure);
    }
    Ok(())
}

/// The messages that children of a dead worker had started, from its slot page (see [`crate::pool::page`]). `None` when
/// that is not known, because a child ran several at the same time.
fn started(page: &Path) -> Option<HashSet<i64>> {
    let bytes = std::fs::read(page).ok()?;
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_ne_bytes)).collect();
    let slots = words.chunks_exact(WORDS_PER_SLOT);
    if slots.clone().any(|slot| slot[PERMITS] > 1) {
        return None;
    }
    Some(
        slots
            .filter(|slot| page::started(slot[CLAIM]) != 0 && slot[TAG] != 0)
            .map(|slot| slot[TAG] as i64)
            .collect(),
    )
}

/// Deletes results that have expired, at most `limit`; returns how many.
pub(crate) fn delete_expired(handle: &Handle, now: WallTime, limit: i64) -> Result<u64> {
    let mut delete = handle.connection.prepare_cached(
        "DELETE FROM result WHERE task_id IN (
             SELECT task_id FROM result INDEXED BY result_expires WHERE expires <= ?1 ORDER BY expires LIMIT ?2
         )",
    )?;
    Ok(delete.execute(params![now.0, limit])? as u64)
}
