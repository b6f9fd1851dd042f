//! The queue where a process awaits the results of tasks it has called (protocol.md §7.7). Blocking, for clients.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::config::AmqpConfig;
use super::connection::{CHANNEL, Handle};
use super::wire::call::{self, Declared};
use crate::error::{Error, ErrorKind, Result};
use crate::message::properties::Properties;

/// One answer.
pub(crate) struct Letter {
    /// The task it is about.
    pub(crate) correlation_id: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

/// A connection that listens for answers.
pub(crate) struct Mailbox {
    handle: Handle,
}

impl Mailbox {
    /// Begins to listen to the queue that `config` names for this process.
    pub(crate) fn open(config: &AmqpConfig) -> Result<Self> {
        let Some(queue) = config.reply_queue() else {
            let sentence = "the rpc backend needs the queue where answers are awaited";
            return Err(Error::new(ErrorKind::Config, sentence));
        };
        let until = Instant::now() + config.connect_timeout;
        let mut handle = Handle::open(config, &format!("fastq results {}", std::process::id()), until)?;
        handle.ask(until, |out| {
            call::consume(CHANNEL, &queue, "fastq-results", (true, false), "", out)?;
            Ok(1)
        })?;
        Ok(Self { handle })
    }

    /// The next answer; `None` when nothing came in time, or the alarm rang.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn next(&mut self, alarm: BorrowedFd<'_>, until: Instant) -> Result<Option<Letter>> {
        let Some(content) = self.handle.listen(alarm, until)? else { return Ok(None) };
        let properties = Properties::parse(&content.properties.others).unwrap_or_default();
        Ok(Some(Letter {
            correlation_id: properties.correlation_id.unwrap_or_default().into_owned(),
            content_type: properties.content_type.unwrap_or_default().into_owned(),
            body: content.body,
        }))
    }

    /// Whether more has come than was read.
    pub(crate) fn has_more(&self) -> bool {
        self.handle.has_more()
    }
}

/// Writes what makes the queue for answers exist: it goes with its last reader, or some time after.
pub(super) fn declare(queue: &str, expires: Option<Duration>, out: &mut Vec<u8>) -> Result<usize> {
    let how = Declared { durable: true, auto_delete: true, ..Declared::default() };
    let arguments = expires.map_or_else(String::new, |expires| {
        format!("{{\"x-expires\":{}}}", expires.as_millis().clamp(1, u128::from(u32::MAX)))
    });
    call::queue_declare(CHANNEL, queue, how, &arguments, out)?;
    Ok(1)
}
