//! kombu's own records of what a session holds, kept beside ours: the option `in_flight = "kombu"`.
//!
//! With them a fleet in which no fastq worker is left loses nothing: Celery workers put back what was held once its
//! record is older than the visibility timeout. A session that lives makes its records young again, so nobody takes
//! from it what it runs. Written right after the taking; what a session that is killed in between has taken is put
//! back by fastq workers alone.
//!
//! Key | Type | Content
//! --- | --- | ---
//! `unacked`, `unacked_index` | hash, zset | as kombu writes them (kombu-layouts.md §2.5)
//! `fastq:m:SESSION` | set | the delivery tags that this session has records of

use std::collections::HashSet;

use super::session::RedisSession;
use super::source::{Book, tag_of};
use super::wire::{Batch, bytes, string};
use crate::broker::redis::config::RedisConfig;
use crate::clock::WallTime;
use crate::error::Result;

/// The keys of one session's records.
pub(super) struct Mirror {
    hash: String,
    index: String,
    /// What this session has written.
    tags: String,
}

impl Mirror {
    pub(super) fn new(config: &RedisConfig, session: &str) -> Self {
        let (keys, unacked) = (&config.keys, &config.unacked);
        Self { hash: keys.key(&unacked.hash), index: keys.key(&unacked.index), tags: keys.mirrored(session) }
    }

    fn write(&self, name: &str, entry: &[u8], now: WallTime, batch: &mut Batch) {
        let score = seconds(now);
        batch.add(&[b"HSET", self.hash.as_bytes(), name.as_bytes(), entry]);
        batch.add(&[b"ZADD", self.index.as_bytes(), score.as_bytes(), name.as_bytes()]);
        batch.add(&[b"SADD", self.tags.as_bytes(), name.as_bytes()]);
    }

    /// Adds the commands that remove records.
    pub(super) fn remove(&self, names: &[String], batch: &mut Batch) {
        if names.is_empty() {
            return;
        }
        for (command, key) in [("HDEL", &self.hash), ("ZREM", &self.index), ("SREM", &self.tags)] {
            let mut words = vec![command.as_bytes(), key.as_bytes()];
            words.extend(names.iter().map(String::as_bytes));
            batch.add(&words);
        }
    }

    /// Adds the command that makes records young again.
    fn renew(&self, names: &[String], now: WallTime, batch: &mut Batch) {
        if names.is_empty() {
            return;
        }
        let score = seconds(now);
        let mut words: Vec<&[u8]> = vec![b"ZADD", self.index.as_bytes(), b"XX"];
        words.extend(names.iter().flat_map(|name| [score.as_bytes(), name.as_bytes()]));
        batch.add(&words);
    }
}

/// What a dead session had records of.
#[derive(Default)]
pub(super) struct Mirrored {
    /// Delivery tags.
    names: Vec<String>,
    /// Those whose record is gone: a Celery worker has put the message back already.
    restored: HashSet<u64>,
}

impl Mirrored {
    /// Whether somebody else has put this message back.
    pub(super) fn is_restored(&self, tag: u64) -> bool {
        self.restored.contains(&tag)
    }
}

impl RedisSession {
    /// Writes the records of what was taken last.
    pub(super) async fn mirror(&mut self) -> Result<()> {
        if self.book.fresh.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.add(&[b"MULTI"]);
        for tag in &self.book.fresh {
            if let Some((name, entry)) = self.book.kombus_entry(*tag) {
                self.mirror.write(&name, &entry, self.now(), &mut batch);
            }
        }
        batch.add(&[b"EXEC"]);
        self.lease.watch(&mut batch);
        self.execute(&batch).await?;
        self.book.fresh.clear();
        Ok(())
    }

    /// Adds the command that keeps Celery workers away from what is held.
    pub(super) fn renew_mirror(&self, batch: &mut Batch) {
        self.mirror.renew(&held(&self.book), self.now(), batch);
    }

    /// Adds the commands that remove every record.
    pub(super) fn end_mirror(&self, batch: &mut Batch) {
        self.mirror.remove(&held(&self.book), batch);
    }

    /// What a dead session had records of.
    pub(super) async fn mirrored(&mut self, session: &str) -> Result<Mirrored> {
        let mirror = Mirror::new(&self.config, session);
        let mut batch = Batch::new();
        batch.add(&[b"SMEMBERS", mirror.tags.as_bytes()]);
        let names = self.call(&batch).await?.array()?;
        let names = names.into_iter().map(string).collect::<Result<Vec<_>>>()?;
        if names.is_empty() {
            return Ok(Mirrored::default());
        }
        let mut words: Vec<&[u8]> = vec![b"HMGET", mirror.hash.as_bytes()];
        words.extend(names.iter().map(String::as_bytes));
        let mut batch = Batch::new();
        batch.add(&words);
        let entries = self.call(&batch).await?.array()?;
        let mut restored = HashSet::new();
        for (name, entry) in names.iter().zip(entries) {
            if bytes(entry)?.is_none() {
                restored.insert(tag_of(name, name.as_bytes()));
            }
        }
        Ok(Mirrored { names, restored })
    }

    /// Adds the commands that remove the records of a dead session.
    pub(super) fn remove_mirrored(&self, session: &str, mirrored: &Mirrored, batch: &mut Batch) {
        Mirror::new(&self.config, session).remove(&mirrored.names, batch);
    }
}

/// The delivery tags of everything held, where records are kept at all.
fn held(book: &Book) -> Vec<String> {
    let held = book.sources.iter().flat_map(|source| source.ring.all_held());
    held.filter_map(|(_, held)| held.name.as_deref().map(str::to_owned)).collect()
}

/// As kombu writes a time.
fn seconds(time: WallTime) -> String {
    format!("{:.3}", time.seconds())
}
