//! A client's messages: sent together, confirmed together; what no queue takes is an error, and a queue that is
//! addressed by its name is made.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::config::Wanted;
use super::confirmer::Confirmer;
use super::connection::{CHANNEL, Handle, Returned};
use super::error::blocked;
use super::names::Names;
use super::{Keeper, delay, topology};
use crate::broker::topology::unroutable;
use crate::broker::{Publication, Queue};
use crate::clock::{Clock, WallTime};
use crate::error::{ErrorKind, Result};

/// Making the queues of delays takes longer than sending a message, and happens once.
const DELAYS_MADE_WITHIN: Duration = Duration::from_secs(30);

/// What a client's process sends with.
pub(super) struct Sender {
    pub(super) keeper: Arc<Keeper>,
    pub(super) names: Names,
    /// Exchanges of type fanout that were declared here: nobody may listen to them. Taken inside the gate only.
    fanouts: Mutex<HashSet<String>>,
    pub(super) clock: Clock,
    pub(super) confirmer: Confirmer,
}

impl Sender {
    pub(super) fn new(keeper: Arc<Keeper>, names: Names, clock: Clock) -> Self {
        Self { keeper, names, fanouts: Mutex::default(), clock, confirmer: Confirmer::default() }
    }

    /// Held for a moment, never while the server is asked.
    pub(super) fn fanouts(&self) -> MutexGuard<'_, HashSet<String>> {
        self.fanouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends messages, and returns when the server has them where that is wanted at all.
    pub(super) fn send(&self, publications: &[Publication], within: Option<Duration>) -> Result<()> {
        let until = self.until(within);
        self.rescue_first(until)?;
        self.send_until(publications, until)
    }

    /// Sends a message whose confirmation is awaited behind the calls, where that may be.
    pub(super) fn send_late(
        self: &Arc<Self>,
        publication: &Publication,
        within: Option<Duration>,
    ) -> Result<()> {
        let config = &self.keeper.config;
        if config.confirms != Wanted::Later || config.max_connections == 0 {
            return self.send(std::slice::from_ref(publication), within);
        }
        let until = self.until(within);
        self.rescue_first(until)?;
        let is_held = held(publication, self.clock.wall()).is_some();
        let was_late = self.keeper.lend_until("publish", until, |handle, until| {
            handle.look()?;
            if is_held || !handle.can_be_late(publication) {
                self.send_over(handle, std::slice::from_ref(publication), until)?;
                handle.learn(publication);
                return Ok(false);
            }
            if let Some(reason) = &handle.blocked {
                return Err(blocked(reason));
            }
            handle.send_late(publication, until)?;
            Ok(true)
        })?;
        if was_late {
            self.confirmer.wake(self);
        }
        Ok(())
    }

    pub(super) fn send_until(&self, publications: &[Publication], until: Instant) -> Result<()> {
        self.keeper.lend_until("publish", until, |handle, until| self.send_over(handle, publications, until))
    }

    fn until(&self, within: Option<Duration>) -> Instant {
        let most = self.keeper.config.publish_timeout;
        Instant::now() + within.map_or(most, |within| within.min(most))
    }

    /// What an earlier call could not bring to an end goes first. That it cannot be sent at all is no fault of this one.
    fn rescue_first(&self, until: Instant) -> Result<()> {
        match self.rescue(until) {
            Err(error) if error.is_temporary() => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends messages over a connection that is lent.
    fn send_over(&self, handle: &mut Handle, publications: &[Publication], until: Instant) -> Result<()> {
        if let Some(reason) = &handle.blocked {
            return Err(blocked(reason));
        }
        look_for_exchanges(handle, publications, until)?;
        let now = self.clock.wall();
        let waits = |publication: &Publication| held(publication, now).is_some();
        if publications.iter().any(waits) {
            let delayed = self.delayed(handle, publications, now)?;
            let until = until.max(Instant::now() + self.keeper.config.publish_timeout);
            let returned = handle.publish(&delayed, until)?;
            self.make_queues(handle, returned, until)?;
        } else {
            let returned = handle.publish(publications, until)?;
            self.make_queues(handle, returned, until)?;
        }
        let by_name = publications.iter().filter(|publication| publication.exchange.is_empty());
        self.names.note(by_name.map(|publication| publication.routing_key.as_str()));
        Ok(())
    }

    /// Queues that are addressed by their name and are not there are made, and get what came back.
    fn make_queues(&self, handle: &mut Handle, returned: Vec<Returned>, until: Instant) -> Result<()> {
        let fanouts = self.fanouts();
        let returned: Vec<Publication> = returned
            .into_iter()
            .filter(|one| !fanouts.contains(&one.exchange))
            .map(Publication::from)
            .collect();
        drop(fanouts);
        if let Some(lost) = returned.iter().find(|one| !one.exchange.is_empty()) {
            return Err(unroutable(&lost.exchange, &lost.routing_key));
        }
        let queues: BTreeSet<&str> = returned.iter().map(|one| one.routing_key.as_str()).collect();
        for queue in queues {
            let made = handle.ask(until, |out| topology::make(CHANNEL, queue, out));
            made.map_err(|error| error.with("queue", queue))?;
        }
        match handle.publish(&returned, until)?.first() {
            Some(lost) => Err(unroutable(&lost.exchange, &lost.routing_key)),
            None => Ok(()),
        }
    }

    /// The messages, with those that must not be in their queue yet addressed to the queues of delays.
    fn delayed(
        &self,
        handle: &mut Handle,
        publications: &[Publication],
        now: WallTime,
    ) -> Result<Vec<Publication>> {
        let mut sent = publications.to_vec();
        for publication in &mut sent {
            let Some(seconds) = held(publication, now) else { continue };
            self.make_delays(handle, &publication.routing_key)?;
            (publication.exchange, publication.routing_key) =
                delay::address(seconds, &publication.routing_key);
        }
        Ok(sent)
    }

    fn make_delays(&self, handle: &mut Handle, queue: &str) -> Result<()> {
        let until = Instant::now() + DELAYS_MADE_WITHIN;
        if !handle.exchanges.contains(delay::DELIVERY) {
            let kind = self.keeper.config.delay_queue_type;
            match handle.ask(until, |out| delay::declare(CHANNEL, kind, out)) {
                // They are there, of another type.
                Err(error) if error.kind() == ErrorKind::Mismatch => {}
                other => drop(other?),
            }
            handle.exchanges.insert(delay::DELIVERY.to_owned());
        }
        match handle.ask(until, |out| topology::make(CHANNEL, queue, out)) {
            Err(error) if error.kind() == ErrorKind::Mismatch => {}
            other => drop(other?),
        }
        handle.ask(until, |out| delay::bind(CHANNEL, &Queue::named(queue), out))?;
        Ok(())
    }
}

/// An exchange that is not there closes the channel, and what was sent before stands: so it is looked for first.
fn look_for_exchanges(handle: &mut Handle, publications: &[Publication], until: Instant) -> Result<()> {
    for publication in publications {
        let exchange = publication.exchange.as_str();
        if exchange.is_empty() || handle.exchanges.contains(exchange) {
            continue;
        }
        let found = handle.ask(until, |out| topology::look_for_exchange(CHANNEL, exchange, out));
        found.map_err(|error| match error.kind() {
            ErrorKind::NotFound => unroutable(exchange, &publication.routing_key).because(error),
            _ => error.with("exchange", exchange),
        })?;
        handle.exchanges.insert(exchange.to_owned());
    }
    Ok(())
}

/// For how many seconds a publication of a client's is kept out of its queue; `None`: not at all. One for an exchange
/// goes there at once: delays lead to queues.
fn held(publication: &Publication, now: WallTime) -> Option<u64> {
    let until = publication.kept_until(now).filter(|_| publication.exchange.is_empty())?;
    Some(until.from_now(now).as_millis().div_ceil(1000) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    #[test]
    fn a_message_is_kept_out_of_its_queue_when_it_does_not_say_itself_that_it_is_not_due() {
        let eta = r#"{"eta":"2026-11-22T11:42:22+00:00"}"#;
        for (headers, exchange, due, expected) in [
            ("{}", "", None, None),
            ("{}", "", Some(1_000), None),
            ("{}", "", Some(1_001), Some(1)),
            ("{}", "", Some(62_000), Some(61)),
            ("{}", "x", Some(62_000), None),
            (eta, "", Some(62_000), None),
        ] {
            let message = Message { headers: headers.into(), ..Message::default() };
            let (exchange, routing_key) = (exchange.to_owned(), "q".to_owned());
            let due = due.map(WallTime);
            let publication = Publication { exchange, routing_key, priority: None, due, message };
            assert_eq!(held(&publication, WallTime(1_000)), expected, "{headers} {due:?}");
        }
    }
}
