//! What a producer sends: headers, properties and a body, kept as the bytes they are.
//!
//! The core reads the dozen headers that a decision needs ([`task::Headers`]) and carries the rest untouched.

pub mod envelope;
pub mod legacy;
pub(crate) mod object;
pub mod properties;
pub mod task;
pub mod time;

use bytes::Bytes;

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

impl Message {
    /// The bytes this message holds in memory.
    pub fn size_bytes(&self) -> usize {
        self.headers.len() + self.properties.len() + self.body.len()
    }
}
