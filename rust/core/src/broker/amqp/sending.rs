//! A client's messages over one connection: sent together, and confirmed together.

use std::time::Instant;

use bytes::Bytes;

use super::connection::{CHANNEL, Handle, Returned};
use super::error::{blocked, refused};
use super::wire::call::{self, To};
use super::wire::properties;
use crate::broker::Publication;
use crate::error::{ErrorKind, Result};

/// So much is written at once.
const PIECE: usize = 256 * 1024;
/// So many messages may be on their way unconfirmed.
const WINDOW: usize = 1024;

impl Handle {
    /// Sends messages and waits until the server has them, where that is wanted; gives back those that no queue took.
    pub(super) fn publish(&mut self, publications: &[Publication], until: Instant) -> Result<Vec<Returned>> {
        // What comes back from now on is of these.
        self.catch_up(until)?;
        self.out.clear();
        let mut properties = Vec::new();
        for publication in publications {
            properties.clear();
            let message = &publication.message;
            let (headers, others) = (&message.headers, &message.properties);
            if let Err(error) = properties::write(headers, others, publication.priority, &mut properties) {
                // What was written before it is a part of a whole that will not be.
                self.broken |= !self.out.is_empty();
                return Err(error);
            }
            let to = To {
                exchange: &publication.exchange,
                routing_key: &publication.routing_key,
                mandatory: self.confirming,
            };
            self.send(to, &properties, &message.body, until)?;
        }
        self.sent(until)
    }

    /// Writes one message of several.
    pub(super) fn send(&mut self, to: To<'_>, properties: &[u8], body: &Bytes, until: Instant) -> Result<()> {
        call::publish(CHANNEL, to, properties, body, self.agreed.frame_max, &mut self.out);
        if self.confirming {
            self.confirms.sent(None);
        }
        if self.out.len() >= PIECE || self.confirms.waiting() >= WINDOW {
            self.broken = true;
            self.flush(until)?;
            if self.confirms.waiting() >= WINDOW {
                self.confirmed(WINDOW / 2, until)?;
            }
        }
        Ok(())
    }

    /// Ends what [`Handle::send`] began.
    pub(super) fn sent(&mut self, until: Instant) -> Result<Vec<Returned>> {
        self.broken = true;
        self.flush(until)?;
        self.confirmed(0, until)?;
        (self.broken, self.used) = (false, Instant::now());
        let returned = std::mem::take(&mut self.returned);
        if self.confirms.take_refused().is_empty() { Ok(returned) } else { Err(refused()) }
    }

    /// Waits until no more than so many messages are unconfirmed.
    pub(super) fn confirmed(&mut self, most: usize, until: Instant) -> Result<()> {
        while self.confirms.waiting() > most {
            self.hear_next(until).map_err(|error| match &self.blocked {
                Some(reason) if error.kind() == ErrorKind::Timeout => blocked(reason),
                _ => error,
            })?;
        }
        Ok(())
    }
}
