//! What a producer sends: headers, properties and a body, kept as the bytes they are.
//!
//! The core reads the dozen headers that a decision needs ([`task::Headers`]) and carries the rest untouched.

pub mod bounds;
mod cut;
pub mod envelope;
pub mod legacy;
pub(crate) mod object;
pub mod properties;
pub mod sought;
pub mod task;
pub mod time;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};

/// A message as it travels. Cloning copies three pointers, not the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Application headers: one JSON object (protocol.md §1.1).
    pub headers: Bytes,
    /// AMQP basic properties: one JSON object (protocol.md §1.2).
    pub properties: Bytes,
    /// The encoded body, never looked at by the core.
    pub body: Bytes,
}

/// The largest message: what a pipe to an executor takes, with room for what travels beside it.
pub const MAX_MESSAGE_BYTES: usize = 511 * 1024 * 1024;

impl Message {
    /// Refuses a message that no executor could be handed.
    ///
    /// # Errors
    /// `Encode` when it is larger than [`MAX_MESSAGE_BYTES`].
    pub fn check_size(&self) -> Result<()> {
        if self.size_bytes() <= MAX_MESSAGE_BYTES {
            return Ok(());
        }
        let sentence = "the message is larger than 511 MiB; pass a reference to the data instead";
        Err(Error::new(ErrorKind::Encode, sentence).with("bytes", self.size_bytes()))
    }

    /// The bytes this message holds in memory.
    pub fn size_bytes(&self) -> usize {
        self.headers.len() + self.properties.len() + self.body.len()
    }
}
