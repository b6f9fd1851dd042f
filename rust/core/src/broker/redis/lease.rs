//! A session's right to hold messages: an entry in the set of workers, renewed while it lives.
//!
//! The session's hash is written once and never again until the session ends, except by its own transactions. So its
//! connection can watch it: whoever takes the session for dead removes the hash, and from that moment on the server
//! refuses every transaction of the session.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::RedisConfig;
use super::source::Book;
use super::wire::{Batch, Replies};
use crate::broker::Subscription;
use crate::broker::process::{self, Process};
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};

/// What a session is known by.
pub(super) struct Lease {
    pub(super) session: String,
    pub(super) term: Duration,
    pub(super) max_deaths: u32,
    pub(super) result_expires: Option<Duration>,
    pub(super) chord_expires: Option<Duration>,
    /// Where release messages go.
    pub(super) internal: String,
    pub(super) page: Option<PathBuf>,
    /// The key of the session's hash.
    pub(super) hash: String,
    workers: String,
}

impl Lease {
    pub(super) fn new(config: &RedisConfig, subscription: &Subscription, session: String) -> Self {
        Self {
            term: subscription.lease,
            max_deaths: subscription.max_deaths,
            result_expires: subscription.result_expires,
            chord_expires: subscription.chord_expires,
            internal: subscription.internal_queue().to_owned(),
            page: subscription.page.clone(),
            hash: config.keys.worker(&session),
            workers: config.keys.key("fastq:workers"),
            session,
        }
    }

    /// The commands that begin a lease.
    pub(super) fn begin(&self, subscription: &Subscription, book: &Book, now: WallTime) -> Batch {
        let process = Process::this();
        let page = self.page.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        let mut batch = Batch::new();
        batch.add(&[
            b"HSET",
            self.hash.as_bytes(),
            b"node",
            subscription.node.as_bytes(),
            b"host",
            process::host().as_bytes(),
            b"machine",
            process.machine.as_bytes(),
            b"pid",
            process.pid.to_string().as_bytes(),
            b"process_start",
            process.started.to_string().as_bytes(),
            b"started_at",
            now.0.to_string().as_bytes(),
            b"page",
            page.as_bytes(),
        ]);
        self.show(book, &mut batch);
        let until = now.after(self.term).0.to_string();
        batch.add(&[b"ZADD", self.workers.as_bytes(), until.as_bytes(), self.session.as_bytes()]);
        batch
    }

    /// Adds the command that writes down which queues the session takes from, and which lists it may hold something of.
    pub(super) fn show(&self, book: &Book, batch: &mut Batch) {
        let lists: Vec<_> = book.sources.iter().map(|source| &source.place).collect();
        let mut names: Vec<&str> = Vec::new();
        for source in book.sources.iter().filter(|source| !source.closed) {
            if !names.contains(&&*source.queue) {
                names.push(&source.queue);
            }
        }
        batch.add(&[
            b"HSET",
            self.hash.as_bytes(),
            b"queues",
            serde_json::to_string(&names).unwrap_or_default().as_bytes(),
            b"lists",
            serde_json::to_string(&lists).unwrap_or_default().as_bytes(),
        ]);
    }

    /// Adds the command that moves the lease's end on; its answer goes to [`Lease::renewed`].
    pub(super) fn renew(&self, now: WallTime, batch: &mut Batch) {
        let until = now.after(self.term).0.to_string();
        batch.add(&[b"ZADD", self.workers.as_bytes(), b"XX", until.as_bytes(), self.session.as_bytes()]);
        batch.add(&[b"EXISTS", self.hash.as_bytes()]);
    }

    /// Reads the answers to [`Lease::renew`].
    ///
    /// # Errors
    /// `Closed` when another worker has taken this one for dead.
    pub(super) fn renewed(replies: &mut Replies) -> Result<()> {
        replies.skip(1)?;
        if replies.int()? == 1 { Ok(()) } else { Err(lost()) }
    }

    /// Adds the commands that make every later transaction depend on the session's hash.
    pub(super) fn watch(&self, batch: &mut Batch) {
        batch.add(&[b"WATCH", self.hash.as_bytes()]);
        batch.add(&[b"EXISTS", self.hash.as_bytes()]);
    }

    /// Adds the commands that end the lease.
    pub(super) fn end(&self, batch: &mut Batch) {
        batch.add(&[b"DEL", self.hash.as_bytes()]);
        batch.add(&[b"ZREM", self.workers.as_bytes(), self.session.as_bytes()]);
    }
}

/// The session was taken for dead.
pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Closed, "the lease was lost: another worker has taken this one for dead")
}

/// The folder of this user's slot pages on this host, made when it is not there; `None` where there can be none.
///
/// A reaper reads pages that a server names to it, so only what lies here is read, and only its owner can put it here.
pub(super) fn run_directory() -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("fastq-{user}"));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    let found = std::fs::symlink_metadata(&folder).ok()?;
    let is_ours = found.is_dir() && found.uid() == user && found.mode().trailing_zeros() >= 6;
    (made.is_ok() && is_ours).then_some(folder)
}

/// Removes a slot page, if it lies where slot pages lie: the path was read from a server.
pub(super) fn remove_page(page: &Path) {
    if is_page(page) {
        let _ = std::fs::remove_file(page);
    }
}

/// Whether a path is that of a slot page of this user.
pub(super) fn is_page(page: &Path) -> bool {
    run_directory().is_some_and(|folder| page.parent() == Some(&folder))
}
