//! Results as messages: each goes to the queue that its caller named, and is read there once (protocol.md §7.7).
//!
//! A process has one such queue for all its threads. What comes while somebody else is waited for is kept.

mod chords;
mod room;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{LONGEST_WAIT, Record, Store, Watch};
use crate::broker::amqp::AmqpConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::fork;
use room::Room;

/// The results of tasks that this process has called.
pub struct RpcStore {
    config: Arc<AmqpConfig>,
    /// Opened when first needed, and anew in a forked process. Taken inside the gate only.
    room: Mutex<Option<Arc<Room>>>,
}

impl RpcStore {
    /// A store over the server of `config`, which names the queue. Nothing is opened before the first use.
    pub fn new(config: AmqpConfig) -> Self {
        Self { config: Arc::new(config), room: Mutex::default() }
    }

    fn room(&self) -> Result<Arc<Room>> {
        let _inside = fork::enter();
        let mut open = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = open.as_ref().filter(|room| room.is_ours()) {
            return Ok(Arc::clone(room));
        }
        let room = Room::new(Arc::clone(&self.config)).map_err(|error| {
            Error::new(ErrorKind::Unreachable, "waiting for results needs two descriptors").because(error)
        })?;
        let room = Arc::new(room);
        // The parent's room is left alone: its lock may have been held when we were forked.
        std::mem::forget(open.replace(Arc::clone(&room)));
        Ok(room)
    }
}

impl Store for RpcStore {
    /// Only the worker that runs a task knows who called it.
    fn save(&self, _records: &[Record], _expires: Option<Duration>) -> Result<()> {
        let sentence = "results of the rpc backend go to the caller of a task, which only its worker knows: name \
                        another result_backend to store states from elsewhere";
        Err(Error::new(ErrorKind::Unsupported, sentence))
    }

    fn load(&self, task_ids: &[String]) -> Result<Vec<Option<Record>>> {
        self.room()?.look(task_ids)
    }

    fn forget(&self, task_ids: &[String]) -> Result<()> {
        self.room()?.forget(task_ids);
        Ok(())
    }

    fn wait(&self, task_ids: &[String], timeout: Duration) -> Result<Vec<Record>> {
        if task_ids.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let room = self.room()?;
        if timeout.is_zero() {
            let found = room.look(task_ids)?.into_iter().flatten();
            return Ok(found.filter(room::has_ended).collect());
        }
        room.wait(deadline, &|| false, &mut |records| records.ended(task_ids.iter().map(String::as_str)))
    }

    fn watch(self: Arc<Self>) -> Result<Box<dyn Watch>> {
        let room = self.room()?;
        Ok(Box::new(RpcWatch { room, watched: Mutex::default(), interrupted: AtomicBool::new(false) }))
    }

    fn clean(&self) -> Result<u64> {
        Ok(0)
    }

    fn close(&self) {
        let _inside = fork::enter();
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(room) = room.filter(|room| !room.is_ours()) {
            std::mem::forget(room);
        }
    }
}

/// A wait for tasks that may become more.
struct RpcWatch {
    room: Arc<Room>,
    /// Held for a moment.
    watched: Mutex<Vec<String>>,
    interrupted: AtomicBool,
}

impl Watch for RpcWatch {
    fn add(&self, task_ids: &[String]) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.extend(task_ids.iter().cloned());
        drop(watched);
        self.room.wake();
    }

    fn remove(&self, task_ids: &[String]) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|id| !task_ids.contains(id));
    }

    fn next(&self, timeout: Duration) -> Result<Vec<Record>> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let stop = || self.interrupted.load(Ordering::SeqCst);
        let found = self.room.wait(deadline, &stop, &mut |records| {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = records.ended(watched.iter().map(String::as_str));
            watched.retain(|id| !ended.iter().any(|record| record.task_id == *id));
            ended
        });
        self.interrupted.store(false, Ordering::SeqCst);
        found
    }

    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.room.wake();
    }
}
