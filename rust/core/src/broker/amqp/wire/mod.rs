//! AMQP 0-9-1 as bytes: frames, methods, properties, tables. Pure: no socket, no clock; who reads and writes waits or
//! blocks as it likes.

pub(super) mod call;
pub(super) mod inbox;
pub(super) mod method;
pub(super) mod properties;
mod read;
mod table;
mod write;

pub(super) use inbox::{Content, Inbox, Incoming};
pub(super) use method::Method;
