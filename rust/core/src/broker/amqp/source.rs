//! One queue of a session: its channel, its consumer, and what has come from it and was not handed out yet.

use std::collections::VecDeque;
use std::sync::Arc;

use super::link::Link;
use super::ring::Ring;
use super::wire::call;
use super::{delay, topology};
use crate::broker::{Delivery, Queue};
use crate::error::{ErrorKind, Result};

/// Celery's and RabbitMQ's limit.
const MOST: usize = 65_535;
/// Above this the prefetch is rounded up: it is changed by consuming anew.
const EXACT: usize = 32;
/// What is asked for, for good, of a queue that has one consumer at a time: to consume anew would give it to another.
const SINGLE: usize = 32;

/// A queue that is taken from. Its channel's number is its place among the sources, from 1.
pub(super) struct Source {
    pub(super) name: Arc<str>,
    /// The queue with each of its bindings.
    pub(super) declared: Vec<Queue>,
    sharing: Sharing,
    pub(super) channel: u16,
    pub(super) state: State,
    /// How many unsettled messages the consumer may have.
    prefetch: usize,
    /// Counts consumers: each has a name of its own.
    consumers: u32,
    pub(super) ring: Ring,
    pub(super) shelf: VecDeque<Delivery>,
    /// No other try to open it before this moment.
    pub(super) retry_at: Option<tokio::time::Instant>,
    /// We have asked to close the channel: it can be opened when that is answered.
    pub(super) is_closing: bool,
    /// It is taken from no more.
    pub(super) is_left: bool,
    /// Somebody was told that the queue has other arguments.
    pub(super) has_warned: bool,
    /// Exchange and routing key of the last delivery: mostly those of the next.
    pub(super) address: (Arc<str>, Arc<str>),
}

/// How far a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The channel is not open.
    Closed,
    /// The queue exists; nothing is asked for.
    Open,
    /// Messages come.
    Consuming,
}

/// Who gets its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// All consumers.
    Shared,
    /// One consumer at a time, so that they begin in their order: once that is ours, it stays ours.
    Single,
}

impl Source {
    pub(super) fn new(place: usize, queue: Queue) -> Self {
        Self {
            name: queue.name.as_str().into(),
            sharing: if topology::is_single(&queue) { Sharing::Single } else { Sharing::Shared },
            declared: vec![queue],
            channel: place as u16 + 1,
            state: State::Closed,
            prefetch: 0,
            consumers: 0,
            ring: Ring::default(),
            shelf: VecDeque::new(),
            retry_at: None,
            is_closing: false,
            is_left: false,
            has_warned: false,
            address: (Arc::from(""), Arc::from("")),
        }
    }

    /// Whether messages that are refused go somewhere by the queue's own arguments.
    pub(super) fn has_dead_letter_exchange(&self) -> bool {
        self.declared.iter().any(topology::has_dead_letter_exchange)
    }

    /// Whether it has one consumer at a time.
    pub(super) fn is_single(&self) -> bool {
        self.sharing == Sharing::Single
    }

    /// The channel is gone with all that it had delivered.
    pub(super) fn lose(&mut self) {
        self.state = State::Closed;
        self.is_closing = false;
        self.prefetch = 0;
        self.ring = Ring::default();
        self.shelf.clear();
    }

    /// Opens the channel and makes the queue exist. A queue that exists with other arguments, or that we may not
    /// declare, is taken from as it is: the sentence to tell about that, once.
    ///
    /// # Errors
    /// When the queue cannot be had, or the connection breaks.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(super) async fn open(&mut self, link: &mut Link) -> Result<Option<String>> {
        self.open_channel(link).await?;
        let channel = self.channel;
        let mut notice = None;
        for queue in self.declared.clone() {
            let declared = link.ask(channel, |out| topology::declare(channel, &queue, out)).await;
            let Err(error) = declared else { continue };
            if !matches!(error.kind(), ErrorKind::Mismatch | ErrorKind::Denied) || !link.is_usable() {
                return Err(error.with("queue", &queue.name));
            }
            self.open_channel(link).await?;
            if topology::says_single(&error) {
                self.sharing = Sharing::Single;
            }
            let exists = link.ask(channel, |out| topology::look(channel, &queue.name, out)).await;
            exists.map_err(|error| error.with("queue", &queue.name))?;
            if !std::mem::replace(&mut self.has_warned, true) {
                notice = Some(format!("the queue {:?} is taken from as it is: {error}", queue.name));
            }
        }
        self.state = State::Open;
        self.retry_at = None;
        Ok(notice)
    }

    async fn open_channel(&mut self, link: &mut Link) -> Result<()> {
        let channel = self.channel;
        if std::mem::take(&mut self.is_closing) {
            link.answers(channel, 1).await?;
            link.forget(channel);
        }
        self.ring = Ring::default();
        link.open_channel(channel).await
    }

    /// Writes the acknowledgements that are due. Those that wait for others keep the server from sending as many: so
    /// they are few.
    pub(super) fn flush(&mut self, now: tokio::time::Instant, out: &mut Vec<u8>) {
        self.ring.flush(self.channel, now, self.prefetch / 4, out);
    }

    /// Whether its consumer waits for us to settle something, and not we for it.
    fn is_full(&self) -> bool {
        self.ring.open() >= self.prefetch
    }

    /// Whether the next exchange has something to hand out, or to ask for.
    pub(super) fn wants_exchange(&self) -> bool {
        let wants = match self.state {
            State::Closed => self.retry_at.is_none(),
            State::Open => true,
            State::Consuming => self.is_full() && !self.is_single(),
        };
        // What was done before and came back is acknowledged at once: it keeps others from coming.
        !self.shelf.is_empty() || self.ring.is_due() || (wants && !self.is_left)
    }

    /// How many messages to ask for anew; `None`: what is asked for is right. `credit`: how many more the worker wants;
    /// `capacity`: how many it has room for in all; `taking`: from so many queues.
    pub(super) fn wants(&self, credit: usize, capacity: usize, taking: usize) -> Option<usize> {
        if self.is_left {
            return None;
        }
        match self.state {
            State::Closed => None,
            State::Open if self.is_single() => Some(capacity.max(SINGLE)),
            State::Consuming if self.is_single() => None,
            // At first each queue gets its share; one that uses it up gets more, up to all that there is room for.
            State::Open => Some(credit.div_ceil(taking)),
            State::Consuming if self.shelf.is_empty() && self.is_full() => {
                let wanted = (self.ring.open() + credit).max(capacity.min(2 * self.prefetch));
                (rounded(wanted) > self.prefetch).then_some(wanted)
            }
            // It was asked for much more than there is room for now, and others may want it.
            State::Consuming => {
                let hoards = self.prefetch > 2 * rounded(capacity) && self.shelf.len() > capacity;
                hoards.then_some(capacity)
            }
        }
    }

    /// Asks for messages, so many at a time; anew, where it was asked for less or more.
    ///
    /// # Errors
    /// When the queue is gone, or the connection breaks.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(super) async fn consume(&mut self, link: &mut Link, wanted: usize) -> Result<()> {
        let (channel, prefetch) = (self.channel, rounded(wanted));
        let was = (self.state == State::Consuming).then(|| self.consumer());
        self.consumers += 1;
        let (name, consumer) = (self.name.clone(), self.consumer());
        // Bindings of one queue may differ in this; the queue is taken from once.
        let declared = self.declared.first();
        let arguments = declared.map_or("", |queue| queue.consumer_arguments.as_str()).to_owned();
        let exclusive = declared.is_some_and(|queue| queue.exclusive);
        let asked = link.ask(channel, |out| {
            let mut answers = 2;
            if let Some(was) = was {
                call::cancel(channel, &was, out);
                answers += 1;
            }
            call::qos(channel, prefetch as u16, out);
            call::consume(channel, &name, &consumer, (false, exclusive), &arguments, out)?;
            Ok(answers)
        });
        asked.await.map_err(|error| error.with("queue", &self.name))?;
        self.prefetch = prefetch;
        self.state = State::Consuming;
        Ok(())
    }

    /// Asks for nothing more; what has come stays.
    pub(super) async fn cancel(&mut self, link: &mut Link) -> Result<()> {
        if self.state != State::Consuming {
            return Ok(());
        }
        let (channel, consumer) = (self.channel, self.consumer());
        let asked = link.ask(channel, |out| {
            call::cancel(channel, &consumer, out);
            Ok(1)
        });
        asked.await?;
        self.state = State::Open;
        Ok(())
    }

    /// The name of the consumer that is asked now.
    pub(super) fn consumer(&self) -> String {
        format!("fastq-{}-{}", self.channel, self.consumers)
    }

    /// Where a delivery was sent, as its sender wrote it.
    pub(super) fn address(&mut self, exchange: &str, routing_key: &str) -> (Arc<str>, Arc<str>) {
        let (exchange, routing_key) = if delay::is_ours(exchange) {
            ("", delay::stripped(routing_key))
        } else {
            (exchange, routing_key)
        };
        if *self.address.0 != *exchange {
            self.address.0 = exchange.into();
        }
        if *self.address.1 != *routing_key {
            self.address.1 = routing_key.into();
        }
        self.address.clone()
    }
}

fn rounded(wanted: usize) -> usize {
    let wanted = wanted.clamp(1, MOST);
    if wanted <= EXACT { wanted } else { wanted.next_multiple_of(EXACT).min(MOST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(prefetch: usize, open: u64) -> Source {
        let mut source = Source::new(0, Queue::named("q"));
        source.state = State::Consuming;
        source.prefetch = prefetch;
        (1..=open).for_each(|tag| source.ring.delivered(tag));
        source
    }

    #[test]
    fn a_queue_gets_its_share_first_and_more_when_it_has_used_that_up() {
        let mut new = source(0, 0);
        new.state = State::Open;
        assert_eq!(new.wants(10, 10, 3), Some(4));
        assert_eq!(source(4, 3).wants(3, 10, 3), None);
        assert_eq!(source(4, 4).wants(3, 10, 3), Some(8));
        assert_eq!(source(4, 4).wants(6, 10, 3), Some(10));
        assert_eq!(source(10, 10).wants(0, 10, 3), None);
    }

    #[test]
    fn a_queue_with_one_consumer_at_a_time_is_asked_once() {
        let mut single = source(0, 0);
        single.sharing = Sharing::Single;
        single.state = State::Open;
        assert_eq!(single.wants(2, 2, 1), Some(SINGLE));
        assert_eq!(single.wants(99, 99, 1), Some(99));
        single.state = State::Consuming;
        (1..=32).for_each(|tag| single.ring.delivered(tag));
        single.prefetch = SINGLE;
        assert_eq!(single.wants(100, 200, 1), None);
        assert!(!single.wants_exchange(), "it waits for what it has");
    }

    #[test]
    fn what_was_only_acknowledged_is_something_to_do() {
        let mut source = source(4, 2);
        assert!(!source.wants_exchange());
        source.ring.done(2);
        assert!(source.wants_exchange());
        source.flush(tokio::time::Instant::now(), &mut Vec::new());
        assert!(!source.wants_exchange());
    }

    #[test]
    fn what_is_asked_for_changes_in_steps_that_are_worth_it() {
        assert_eq!([0, 1, 32, 33, 65_535, 99_999].map(rounded), [1, 1, 32, 64, 65_535, 65_535]);
        // As long as what is held and what is wanted come to the same, nothing is asked anew.
        for open in 0..=64 {
            assert_eq!(source(64, open).wants(64 - open as usize, 64, 1), None, "{open}");
        }
    }
}
