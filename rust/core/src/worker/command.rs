//! What Python may tell the running core.

use std::os::unix::net::UnixStream;

use super::Worker;
use super::config::StopHow;
use crate::broker::Queue;
use crate::error::Result;
use crate::event::EventKind;
use crate::ident::SlotId;

/// One order from Python.
#[derive(Debug)]
pub enum Command {
    /// Stop.
    Stop(StopHow),
    /// A slot in this process; the executor has the other end.
    Adopt(SlotId, UnixStream),
    /// Take from these queues too.
    Consume(Vec<Queue>),
    /// Take nothing more from this queue.
    Cancel(String),
    /// Tell Events of these kinds, too.
    Watch(Vec<EventKind>),
}

impl Worker {
    /// Takes from these queues too. The Event *queues* tells when, or why not.
    ///
    /// # Errors
    /// `Closed` when the worker has ended.
    pub fn consume(&self, queues: Vec<Queue>) -> Result<()> {
        self.send(Command::Consume(queues))
    }

    /// Takes nothing more from a queue; what was taken from it is run. The Event *queues* tells when.
    ///
    /// # Errors
    /// `Closed` when the worker has ended.
    pub fn cancel(&self, queue: String) -> Result<()> {
        self.send(Command::Cancel(queue))
    }
}
