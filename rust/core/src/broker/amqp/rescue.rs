//! Bringing to an end what was sent without waiting: what is adrift is sent again, and the end of a process waits for
//! what is not confirmed.

use std::time::{Duration, Instant};

use super::connection::Handle;
use super::dead;
use super::publish::Sender;
use crate::broker::Publication;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;

impl Sender {
    /// Sends again what is adrift. What cannot be sent is set aside with the reason.
    ///
    /// # Errors
    /// Those of the server; what was not sent is adrift as before.
    pub(super) fn rescue(&self, until: Instant) -> Result<()> {
        let adrift = &self.keeper.config.adrift;
        let (by_name, mut left): (Vec<_>, Vec<_>) =
            adrift.take().into_iter().partition(|message| message.exchange.is_empty());
        if !by_name.is_empty()
            && let Err(error) = self.send_until(&by_name, until)
        {
            adrift.give_back(by_name.into_iter().chain(left));
            return Err(error);
        }
        // An exchange may be gone, or closed to us: that must not keep the others.
        while let Some(message) = left.pop() {
            let mut sent = self.send_until(std::slice::from_ref(&message), until);
            if let Err(error) = &sent
                && !error.is_temporary()
            {
                sent = self.set_aside(&message, error, until);
            }
            if let Err(error) = sent {
                left.push(message);
                adrift.give_back(left);
                return Err(error);
            }
        }
        Ok(())
    }

    fn set_aside(&self, message: &Publication, reason: &Error, until: Instant) -> Result<()> {
        let queue = &message.routing_key;
        self.names.note(std::iter::once(queue.as_str()));
        let headers =
            dead::headers(&message.message.headers, queue, &reason.to_string(), 0, self.clock.wall());
        let letter = Publication {
            exchange: String::new(),
            routing_key: dead::queue_of(queue),
            message: Message { headers: headers.into(), ..message.message.clone() },
            ..message.clone()
        };
        self.send_until(&[letter], until)
    }

    /// Looks what the server has confirmed, without waiting, and sends again what is adrift; how much is left to do.
    pub(super) fn attend(&self) -> usize {
        let mut waiting = 0;
        let lent = self.keeper.visit(|handle| {
            if handle.look().is_ok() && handle.is_overdue() {
                handle.give_up();
            }
            waiting += handle.waiting();
        });
        let adrift = &self.keeper.config.adrift;
        if adrift.count() > 0 {
            // It stays adrift then, and the next try is soon.
            let _ = self.rescue(Instant::now() + self.keeper.config.publish_timeout);
        }
        waiting + lent + adrift.count()
    }

    /// Waits until the server has all that was sent.
    ///
    /// # Errors
    /// When it has not within the time for a call: the sentence says how many messages that are.
    pub(super) fn flush(&self, within: Option<Duration>) -> Result<()> {
        let until = Instant::now() + within.unwrap_or(self.keeper.config.publish_timeout);
        let adrift = &self.keeper.config.adrift;
        let mut waiting = 0;
        self.keeper.visit(|handle| waiting += caught_up(handle, until));
        let rescued = self.rescue(until);
        match waiting + adrift.count() {
            0 => Ok(()),
            count => {
                let plural = if count == 1 { "" } else { "s" };
                let sentence =
                    format!("the RabbitMQ server did not confirm {count} message{plural}, which may be lost");
                let waited = within.unwrap_or(self.keeper.config.publish_timeout);
                let error = Error::new(ErrorKind::Timeout, sentence)
                    .with("waited", format_args!("{:.1} s", waited.as_secs_f64()));
                Err(match rescued {
                    Err(cause) => error.because(cause),
                    Ok(()) => error,
                })
            }
        }
    }
}

/// How many messages of a connection are not confirmed in time.
fn caught_up(handle: &mut Handle, until: Instant) -> usize {
    match handle.catch_up(until) {
        Err(error) if error.kind() != ErrorKind::Timeout => {
            // They are sent again over another one.
            handle.give_up();
            0
        }
        _ => handle.waiting(),
    }
}
