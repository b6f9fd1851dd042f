//! Locks of unique tasks: taken in the step that sends the message, given back in the Commit that ends the task.
//!
//! A lock is one key with the id of its task. It goes by itself when its time is over.

use super::config::RedisConfig;
use super::keeper::Keeper;
use super::publish;
use super::routes::Routes;
use super::wire::{Batch, Replies, int, string};
use crate::broker::{Duplicate, Publication};
use crate::clock::WallTime;
use crate::error::Result;
use crate::message::bounds::Lock;

const PUBLISH_LOCKED: &str = include_str!("scripts/publish_locked.lua");
const UNLOCK: &str = include_str!("scripts/unlock.lua");
const PURGE_LOCKED: &str = include_str!("scripts/purge_locked.lua");
/// Messages deleted in one step: the server does nothing else meanwhile.
const PURGED: &[u8] = b"1000";

/// Messages for `scripts/publish_locked.lua`.
pub(super) struct Locked {
    words: Vec<Vec<u8>>,
}

impl Locked {
    /// None yet; `together`: one that may not go keeps all from going.
    pub(super) fn new(together: bool) -> Self {
        Self { words: vec![if together { b"1".to_vec() } else { b"0".to_vec() }] }
    }

    /// Adds a message: what sends it, and what is done when another task has its lock.
    pub(super) fn add(
        &mut self,
        config: &RedisConfig,
        lock: Option<&Lock>,
        sends: &Batch,
        otherwise: &Batch,
    ) {
        match lock {
            Some(lock) => self.words.extend([
                config.keys.lock(&lock.key).into_bytes(),
                lock.id.clone().into_bytes(),
                lock.milliseconds().to_string().into_bytes(),
            ]),
            None => self.words.extend([Vec::new(), Vec::new(), Vec::new()]),
        }
        for commands in [sends, otherwise] {
            self.words.push(commands.len().to_string().into_bytes());
            for words in (0..commands.len()).filter_map(|place| commands.words(place)) {
                self.words.push(words.len().to_string().into_bytes());
                self.words.extend(words);
            }
        }
    }

    /// Adds the command that sends them.
    pub(super) fn send(&self, batch: &mut Batch) {
        let words: Vec<&[u8]> = self.words.iter().map(Vec::as_slice).collect();
        batch.script(PUBLISH_LOCKED, &[], &words);
    }
}

/// The command that sends a client's publications, those with a lock under its condition.
///
/// # Errors
/// As from [`publish::publish_all`]; `Encode` for a lock that cannot be.
pub(super) fn publish_all(
    config: &RedisConfig,
    routes: &mut Routes,
    publications: &[Publication],
    together: bool,
    now: WallTime,
) -> Result<Batch> {
    let mut locked = Locked::new(together);
    let mut marks = Batch::new();
    for publication in publications {
        let lock = Lock::wanted(&publication.message.headers)?;
        let mut sends = Batch::new();
        let queues = publish::publish_one(config, routes, publication, now, &mut sends)?;
        locked.add(config, lock.as_ref(), &sends, &Batch::new());
        if lock.is_some() {
            mark(config, &queues, &mut marks);
        }
    }
    // First the mark: a queue that has one and no such message is only purged more slowly.
    locked.send(&mut marks);
    Ok(marks)
}

/// Notes that queues may hold messages with locks, for whoever purges them.
pub(super) fn mark(config: &RedisConfig, queues: &[String], batch: &mut Batch) {
    if queues.is_empty() {
        return;
    }
    let key = config.keys.key("fastq:locking");
    let mut words: Vec<&[u8]> = vec![b"SADD", key.as_bytes()];
    words.extend(queues.iter().map(String::as_bytes));
    batch.add(&words);
}

/// Reads the reply to [`publish_all`], the last of its batch.
pub(super) fn duplicates(sent: usize, replies: &mut Replies) -> Result<Vec<Duplicate>> {
    replies.skip(sent - 1)?;
    let mut values = replies.array()?.into_iter();
    let mut found = Vec::new();
    while let (Some(place), Some(holder)) = (values.next(), values.next()) {
        let place = usize::try_from(int(place)?).unwrap_or(0);
        found.push(Duplicate { place, holder: string(holder)? });
    }
    Ok(found)
}

/// Adds the command that gives locks back: their keys, and their tasks.
pub(super) fn unlock(config: &RedisConfig, locks: &[(String, String)], batch: &mut Batch) {
    if locks.is_empty() {
        return;
    }
    let keys: Vec<String> = locks.iter().map(|(key, _)| config.keys.lock(key)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    let ids: Vec<&[u8]> = locks.iter().map(|(_, id)| id.as_bytes()).collect();
    batch.script(UNLOCK, &keys, &ids);
}

/// Deletes what lies under keys that nobody else uses any more, with the locks it holds; how many messages.
pub(super) fn purge(keeper: &Keeper, keys: &[String]) -> Result<u64> {
    let prefix = keeper.config.keys.lock("");
    let mut purged = 0;
    for key in keys {
        loop {
            let mut batch = Batch::new();
            batch.script(PURGE_LOCKED, &[key.as_bytes()], &[PURGED, prefix.as_bytes()]);
            let gone = keeper.call("purge", &batch)?.int()? as u64;
            purged += gone;
            if gone == 0 {
                break;
            }
        }
    }
    Ok(purged)
}
