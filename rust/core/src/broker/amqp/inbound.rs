//! What a session hears: deliveries, and that a consumer or a channel is no more.

use std::sync::Arc;

use super::dead;
use super::error::closed;
use super::ledger::{Arrived, Held};
use super::session::AmqpSession;
use super::source::State;
use super::wire::{Content, Incoming, Method, call};
use crate::broker::{Delivery, Receipt};
use crate::error::Result;

impl AmqpSession {
    /// Takes in what has come, without waiting.
    pub(super) async fn hear(&mut self) -> Result<()> {
        loop {
            let Some(link) = &mut self.link else { return Ok(()) };
            let read = link.look().await;
            self.take_in()?;
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.lose(error)),
            }
        }
    }

    /// Takes in what was read.
    pub(super) fn take_in(&mut self) -> Result<()> {
        loop {
            let Some(link) = &mut self.link else { return Ok(()) };
            match link.next() {
                Ok(Some(Incoming::Content(channel, content))) => self.delivered(channel, *content),
                Ok(Some(Incoming::Method(channel, method))) => self.said(channel, method),
                Ok(Some(Incoming::Heartbeat)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.lose(error)),
            }
        }
    }

    fn said(&mut self, channel: u16, method: Method) {
        let Some(place) = usize::from(channel).checked_sub(1).filter(|place| *place < self.sources.len())
        else {
            return;
        };
        match method {
            // The queue was deleted, or its leader moved: what was delivered can still be settled.
            Method::Cancelled(consumer) if self.sources[place].consumer() == consumer => {
                let name = &self.sources[place].name;
                self.notices.push(format!("the RabbitMQ server ended the consumer of the queue {name:?}"));
                if let Some(link) = &mut self.link {
                    call::channel_close(channel, &mut link.out);
                }
                self.lose_channel(place);
                self.sources[place].is_closing = true;
            }
            Method::CloseChannel(closing) => {
                let error = closed(&closing);
                self.notices.push(format!("queue {:?}: {error}", self.sources[place].name));
                if let Some(link) = &mut self.link {
                    call::channel_close_ok(channel, &mut link.out);
                }
                self.lose_channel(place);
            }
            _ => {}
        }
    }

    /// A channel is gone, and what it had delivered is the server's again.
    pub(super) fn lose_channel(&mut self, place: usize) {
        self.clear(place);
        self.ledger.lose(|source| source == place, self.clock.now());
    }

    fn delivered(&mut self, channel: u16, content: Content) {
        let Method::Deliver { tag, redelivered, exchange, routing_key, .. } = content.method else { return };
        let place = usize::from(channel).wrapping_sub(1);
        let Some(source) = self.sources.get_mut(place) else { return };
        if source.state == State::Closed {
            return;
        }
        source.ring.delivered(tag);
        let priority = content.properties.priority;
        let message = content.properties.message(content.body);
        let (marked, deaths) = dead::marks(&message.headers);
        let held = Held { priority, deaths, ..Held::new(place, tag, message.clone()) };
        let ours = match self.ledger.enter(held, redelivered, self.clock.now()) {
            Arrived::Given(ours) => ours,
            Arrived::Done => return source.ring.done(tag),
        };
        if self.config.replies {
            self.replies.note(&message);
        }
        let (exchange, routing_key) = source.address(&exchange, &routing_key);
        source.shelf.push_back(Delivery {
            receipt: Receipt::new(ours, self.epoch),
            queue: Arc::clone(&source.name),
            exchange,
            routing_key,
            priority,
            rank: u8::MAX - priority.unwrap_or(0),
            redelivered: redelivered || marked,
            deaths,
            message,
        });
    }
}
