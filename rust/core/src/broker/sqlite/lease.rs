//! A worker's row: its right to hold messages, renewed while its session lives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::params;

use super::connection::Handle;
use super::consume::Source;
use super::{publish, tokens};
use crate::broker::process::{self, Process};
use crate::broker::{Queue, Subscription};
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};

/// What a session holds in the file.
pub(super) struct Lease {
    /// Its row; ids of workers are never used again, so a fenced worker cannot be mistaken for a later one.
    pub(super) worker: i64,
    pub(super) sources: Vec<Source>,
    /// The internal queue, where there is one: see [`Subscription::internal`].
    pub(super) inside: Option<Source>,
    pub(super) term: Duration,
    pub(super) max_deaths: u32,
    pub(super) result_expires: Option<Duration>,
    pub(super) chord_expires: Option<Duration>,
    /// Where release messages go.
    pub(super) internal: String,
    pub(super) run_directory: PathBuf,
    page: Option<PathBuf>,
}

impl Lease {
    /// Writes the row and makes the queues exist.
    pub(super) fn begin(
        handle: &mut Handle,
        subscription: &Subscription,
        run_directory: &Path,
        session: &str,
        bell: Option<&Path>,
        now: WallTime,
    ) -> Result<Self> {
        let names: Vec<&str> = subscription.queues.iter().map(|queue| queue.name.as_str()).collect();
        let queues = serde_json::to_string(&names).unwrap_or_default();
        handle.transaction(|handle| {
            publish::declare(handle, &subscription.queues)?;
            publish::declare(handle, subscription.internal.as_slice())?;
            let mut sources: Vec<Source> = Vec::new();
            for name in names {
                let found = source(handle, name)?;
                if sources.iter().all(|source| source.id != found.id) {
                    sources.push(found);
                }
            }
            let inside =
                subscription.internal.as_ref().map(|queue| source(handle, &queue.name)).transpose()?;
            insert(handle, subscription, session, &queues, bell, now)?;
            Ok(Self {
                worker: handle.connection.last_insert_rowid(),
                sources,
                inside,
                term: subscription.lease,
                max_deaths: subscription.max_deaths,
                result_expires: subscription.result_expires,
                chord_expires: subscription.chord_expires,
                internal: subscription.internal_queue().to_owned(),
                run_directory: run_directory.to_owned(),
                page: subscription.page.clone(),
            })
        })
    }

    /// Whether the row is still there.
    ///
    /// # Errors
    /// `Closed` when another worker has taken this one for dead.
    pub(super) fn check(&self, handle: &Handle) -> Result<()> {
        let mut select = handle.connection.prepare_cached("SELECT 1 FROM worker WHERE id = ?1")?;
        if select.exists([self.worker])? { Ok(()) } else { Err(lost()) }
    }

    /// Makes more queues exist, and takes from them too.
    ///
    /// # Errors
    /// `Mismatch` when one exists with other arguments; `Closed` as [`Self::check`].
    pub(super) fn add(&mut self, handle: &mut Handle, queues: &[Queue]) -> Result<()> {
        self.sources = handle.transaction(|handle| {
            publish::declare(handle, queues)?;
            let mut sources = self.sources.clone();
            for queue in queues {
                let id = handle.queue(&queue.name)?;
                if sources.iter().all(|source| source.id != id) {
                    sources.push(Source { id, name: queue.name.as_str().into() });
                }
            }
            self.show(handle, &sources)?;
            Ok(sources)
        })?;
        Ok(())
    }

    /// Takes no more from a queue.
    ///
    /// # Errors
    /// `Closed` as [`Self::check`].
    pub(super) fn remove(&mut self, handle: &mut Handle, queue: &str) -> Result<()> {
        let kept: Vec<Source> =
            self.sources.iter().filter(|source| *source.name != *queue).cloned().collect();
        self.sources = handle.transaction(|handle| {
            self.show(handle, &kept)?;
            Ok(kept)
        })?;
        Ok(())
    }

    /// Writes down which queues it takes from, for those who look.
    fn show(&self, handle: &Handle, sources: &[Source]) -> Result<()> {
        let names: Vec<&str> = sources.iter().map(|source| &*source.name).collect();
        let queues = serde_json::to_string(&names).unwrap_or_default();
        let mut update = handle.connection.prepare_cached("UPDATE worker SET queues = ?2 WHERE id = ?1")?;
        let shown = update.execute(params![self.worker, queues])?;
        if shown == 1 { Ok(()) } else { Err(lost()) }
    }

    /// Moves the lease's end on.
    ///
    /// # Errors
    /// `Closed` as [`Self::check`].
    pub(super) fn renew(&self, handle: &Handle, now: WallTime) -> Result<()> {
        let mut update =
            handle.connection.prepare_cached("UPDATE worker SET lease_until = ?2 WHERE id = ?1")?;
        let renewed = update.execute([self.worker, now.after(self.term).0])?;
        if renewed == 1 { Ok(()) } else { Err(lost()) }
    }

    /// Puts everything back that is still held, as if it had not been taken, and gives up the row. True if something
    /// was put back.
    pub(super) fn end(&self, handle: &mut Handle) -> Result<bool> {
        let (put_back, rows) = handle.transaction(|handle| {
            let put_back =
                put_all_back(handle, self.worker, false)? + u64::from(tokens::end(handle, self.worker)?);
            let mut delete = handle.connection.prepare_cached("DELETE FROM worker WHERE id = ?1")?;
            Ok((put_back, delete.execute([self.worker])?))
        })?;
        // A worker that has lost its lease goes on in a new session, with the same page.
        if let Some(page) = self.page.as_deref().filter(|_| rows == 1) {
            remove_page(page, &self.run_directory);
        }
        Ok(put_back > 0)
    }
}

fn source(handle: &mut Handle, name: &str) -> Result<Source> {
    Ok(Source { id: handle.queue(name)?, name: name.into() })
}

/// Everything a worker still holds goes back to its place. Inside a transaction.
pub(super) fn put_all_back(handle: &Handle, worker: i64, redelivered: bool) -> Result<u64> {
    let mut update = handle.connection.prepare_cached(
        "UPDATE message SET state = 0, worker = NULL, redelivered = redelivered OR ?2
         WHERE id IN (SELECT id FROM message INDEXED BY message_claimed WHERE state = 1 AND worker = ?1)",
    )?;
    Ok(update.execute(params![worker, redelivered])? as u64)
}

/// Removes a slot page, if it lies where slot pages lie: the path was read from a file.
pub(super) fn remove_page(page: &Path, run_directory: &Path) {
    if page.parent() == Some(run_directory) {
        let _ = std::fs::remove_file(page);
    }
}

/// Writes the worker's row.
fn insert(
    handle: &Handle,
    subscription: &Subscription,
    session: &str,
    queues: &str,
    bell: Option<&Path>,
    now: WallTime,
) -> Result<()> {
    let process = Process::this();
    handle
        .connection
        .prepare_cached(
            "INSERT INTO worker (session, node, host, machine, pid, process_start, started_at, lease_until,
                                 queues, page, bell)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            session,
            subscription.node,
            process::host(),
            process.machine,
            process.pid,
            process.started,
            now.0,
            now.after(subscription.lease).0,
            queues,
            text(subscription.page.as_deref()),
            text(bell),
        ])?;
    Ok(())
}

fn text(path: Option<&Path>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

fn lost() -> Error {
    Error::new(ErrorKind::Closed, "the lease was lost: another worker has taken this one for dead")
}
