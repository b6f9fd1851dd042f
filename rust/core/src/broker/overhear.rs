//! What a worker hears beside its messages: tasks that are called off, and remote commands.

use std::collections::BTreeMap;

use super::{BoxFuture, WorkerEntry};
use crate::error::{Error, ErrorKind, Result};
use crate::job::revocation::Revocation;
use crate::message::Message;

/// Listens beside a session. It may fail and begin again without the session's noticing.
pub trait Ear: Send {
    /// What is said next. Waits for ever when nothing is.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing said is lost.
    fn next<'a>(&'a mut self) -> BoxFuture<'a, Said>;

    /// Says something.
    ///
    /// # Errors
    /// What the server says; nobody waits for it then.
    fn say<'a>(&'a mut self, word: Word) -> BoxFuture<'a, Result<()>>;
}

/// What is heard.
#[derive(Debug)]
pub enum Said {
    /// Tasks were called off; some of them may be known.
    Revoked(Vec<Revocation>),
    /// A remote command, as it was sent.
    Command(Message),
    /// Somebody asks what this worker does.
    Asked {
        /// Where the answer goes.
        reply_to: String,
        /// What is known of it: all but what it holds, and takes from.
        entry: WorkerEntry,
    },
    /// Nothing can be heard for now. It is tried again.
    Deaf(Error),
    /// It is heard again; what was missed comes next.
    Hears,
}

/// What a worker says.
#[derive(Debug)]
pub enum Word {
    /// The answer to a remote command.
    Answer {
        /// Where its sender waits: an exchange.
        exchange: String,
        /// And a routing key.
        routing_key: String,
        /// What is said.
        message: Message,
    },
    /// What this worker does.
    Described {
        /// Who has asked.
        reply_to: String,
        /// What is known of it.
        entry: WorkerEntry,
        /// How many messages of each queue it holds.
        held: BTreeMap<String, u64>,
    },
    /// Tasks were called off by a remote command: that is to be written into the record.
    Keep(Vec<Revocation>),
}

pub(super) fn no_record() -> Error {
    let sentence =
        "this broker keeps no record of revoked tasks; running workers can be told by remote control";
    Error::new(ErrorKind::Unsupported, sentence)
}
