//! The connections of a client's process to a Redis server, as [`crate::broker::net`] keeps them.

use std::time::Instant;

use super::address::Place;
use super::config::{PEER, RedisConfig};
use super::connection::Handle;
use super::wire::{Batch, Replies};
use crate::broker::net::{self, Home, Terms};
use crate::error::{Error, ErrorKind, Result};

/// Keeps connections to one Redis server.
pub(crate) type Keeper = net::Keeper<RedisConfig>;

impl Keeper {
    /// Sends commands over a connection, in one write; waits at most as long as a client's call may take.
    pub(crate) fn call(&self, operation: &'static str, batch: &Batch) -> Result<Replies> {
        self.lend(operation, |handle, until| handle.call_all(batch, until))
    }
}

impl Home for RedisConfig {
    type Handle = Handle;

    fn open(&self, until: Instant) -> Result<Handle> {
        Handle::open(self, until)
    }

    fn is_sound(&self, handle: &mut Handle, until: Instant) -> bool {
        handle.is_sound(self, until)
    }

    fn is_broken(&self, handle: &Handle) -> bool {
        handle.is_broken()
    }

    /// It broke, or it leads to what is no longer the master.
    fn is_over(&self, error: &Error) -> bool {
        error.kind() == ErrorKind::Unreachable
            || (error.kind() == ErrorKind::Busy && matches!(self.place, Place::Sentinels(_)))
    }

    fn terms(&self) -> Terms<'_> {
        Terms {
            peer: &PEER,
            named: (self.setting, &self.shown),
            publish_timeout: self.publish_timeout,
            retry_on_timeout: self.client.retry_on_timeout,
            max_connections: self.client.max_connections,
        }
    }
}
