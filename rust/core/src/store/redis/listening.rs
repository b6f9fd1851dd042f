//! The connection over which results are announced: asks for channels, and reads what comes.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use redis::Value;

use crate::broker::redis::{Batch, Handle, RedisConfig};
use crate::error::{Error, ErrorKind, Result};

/// How long to ask for channels, or for a sign of life.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that was silent for so long is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(15);

/// A connection that listens.
pub(super) struct Listening {
    handle: Handle,
    asked: bool,
    heard: Instant,
}

/// Something heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The server will send what is announced on this channel.
    Confirmed(String),
    /// An announcement.
    Announced(String, Vec<u8>),
    /// Anything else.
    Noise,
    /// Nothing, for as long as was asked, or until the alarm rang.
    Nothing,
}

impl Listening {
    /// Opens a connection, at most until `until`.
    pub(super) fn open(config: &RedisConfig, until: Instant) -> Result<Self> {
        let until = until.min(Instant::now() + config.publish_timeout);
        Ok(Self { handle: Handle::open(config, until)?, asked: false, heard: Instant::now() })
    }

    /// Asks for channels and gives up others, without waiting for the answer.
    pub(super) fn change(&mut self, wanted: &[String], unwanted: &[String]) -> Result<()> {
        let mut batch = Batch::new();
        for (command, channels) in [(&b"SUBSCRIBE"[..], wanted), (b"UNSUBSCRIBE", unwanted)] {
            if !channels.is_empty() {
                let mut words: Vec<&[u8]> = vec![command];
                words.extend(channels.iter().map(String::as_bytes));
                batch.add(&words);
            }
        }
        if batch.is_empty() { Ok(()) } else { self.handle.send(&batch, Instant::now() + PATIENCE) }
    }

    /// Waits for something to hear, at most until `until` or until the alarm rings.
    ///
    /// # Errors
    /// Those of the connection, and `Timeout` when the server gives no sign of life.
    pub(super) fn hear(&mut self, alarm: BorrowedFd<'_>, until: Instant) -> Result<Heard> {
        let patience = if self.asked { PATIENCE } else { SILENCE };
        if let Some(value) = self.handle.listen(alarm, until.min(self.heard + patience))? {
            self.asked = false;
            self.heard = Instant::now();
            return Ok(heard(value));
        }
        if self.heard.elapsed() < patience {
            return Ok(Heard::Nothing);
        }
        if self.asked {
            return Err(Error::new(ErrorKind::Timeout, "the Redis server gives no sign of life"));
        }
        let mut batch = Batch::new();
        batch.add(&[b"PING"]);
        self.handle.send(&batch, Instant::now() + PATIENCE)?;
        self.asked = true;
        self.heard = Instant::now();
        Ok(Heard::Noise)
    }

    /// Whether more has come already.
    pub(super) fn has_more(&self) -> bool {
        self.handle.has_more()
    }
}

fn heard(value: Value) -> Heard {
    let Value::Array(parts) = value else { return Heard::Noise };
    let mut parts = parts.into_iter();
    let (Some(Value::BulkString(kind)), Some(Value::BulkString(channel))) = (parts.next(), parts.next())
    else {
        return Heard::Noise;
    };
    let channel = String::from_utf8_lossy(&channel).into_owned();
    match (&kind[..], parts.next()) {
        (b"subscribe", _) => Heard::Confirmed(channel),
        (b"message", Some(Value::BulkString(document))) => Heard::Announced(channel, document),
        _ => Heard::Noise,
    }
}
