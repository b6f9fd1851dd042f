//! A client's messages over one connection: sent together, and confirmed together.

use std::time::Instant;

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
/// Bytes that the properties of a task have, mostly.
const PROPERTIES: usize = 512;

impl Handle {
    /// Sends messages and waits until the server has them, where that is wanted; gives back those that no queue took.
    pub(super) fn publish(&mut self, publications: &[Publication], until: Instant) -> Result<Vec<Returned>> {
        // What comes back from now on is of these.
        self.catch_up(until)?;
        self.out.clear();
        for publication in publications {
            self.send(publication, self.confirming, until)?;
        }
        self.sent(until)
    }

    /// Sends one message of several.
    pub(super) fn send(&mut self, publication: &Publication, mandatory: bool, until: Instant) -> Result<()> {
        // What was written before one that cannot be is a part of a whole that will not be.
        self.write(publication, mandatory).inspect_err(|_| self.broken |= !self.out.is_empty())?;
        self.wrote(until)
    }

    /// Sends one message that is no task's; its properties are written already.
    pub(super) fn say(&mut self, to: To<'_>, properties: &[u8], body: &[u8], until: Instant) -> Result<()> {
        call::publish(CHANNEL, to, properties, body, self.agreed.frame_max, &mut self.out);
        self.wrote(until)
    }

    /// One more message is to be flushed, and confirmed.
    fn wrote(&mut self, until: Instant) -> Result<()> {
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

    /// Writes a message behind what is to be flushed; nothing of one that cannot be encoded.
    pub(super) fn write(&mut self, publication: &Publication, mandatory: bool) -> Result<()> {
        let Publication { exchange, routing_key, priority, message, .. } = publication;
        let mut properties = Vec::with_capacity(PROPERTIES);
        properties::write(&message.headers, &message.properties, *priority, &mut properties)?;
        let to = To { exchange, routing_key, mandatory };
        call::publish(CHANNEL, to, &properties, &message.body, self.agreed.frame_max, &mut self.out);
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
