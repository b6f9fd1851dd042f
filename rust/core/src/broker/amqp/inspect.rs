//! What clients ask of queues: how long they are, and what was set aside. AMQP answers for queues whose names are known.

use std::time::Instant;

use super::AmqpBroker;
use super::connection::{CHANNEL, Handle};
use super::dead;
use super::topology;
use super::wire::{Incoming, Method, call};
use crate::broker::{DeadLetter, Depth, Publication};
use crate::error::{ErrorKind, Result};

/// So many messages that were set aside are looked at, at most, of each queue.
const MOST: usize = 10_000;
/// So many that are chosen are settled together.
const AT_ONCE: usize = 100;

/// A message set aside, held until it is given back or settled.
struct Letter {
    tag: u64,
    priority: Option<u8>,
    found: DeadLetter,
}

impl AmqpBroker {
    pub(super) fn count(&self) -> Result<Vec<Depth>> {
        let workers = self.described()?;
        self.sender
            .names
            .note(workers.entries.iter().flat_map(|entry| entry.queues.iter().map(String::as_str)));
        let names = self.sender.names.all();
        self.sender.keeper.lend("depths", |handle, until| {
            let mut depths = Vec::new();
            for queue in &names {
                let ready = ready(handle, queue, until)?;
                let dead = ready_of_dead(handle, queue, until)?;
                if ready.is_some() || dead > 0 {
                    let in_flight = workers.held.get(queue).copied().unwrap_or(0);
                    let (queue, ready) = (queue.clone(), ready.unwrap_or(0));
                    depths.push(Depth { queue, ready, in_flight, dead, ..Depth::default() });
                }
            }
            Ok(depths)
        })
    }

    pub(super) fn empty(&self, queue: &str) -> Result<u64> {
        let emptied = self.sender.keeper.lend("purge", |handle, until| {
            let asked = handle.ask(until, |out| {
                call::queue_purge(CHANNEL, queue, out);
                Ok(1)
            })?;
            Ok(match asked {
                Incoming::Method(_, Method::QueuePurgeOk(count)) => u64::from(count),
                _ => 0,
            })
        });
        unless_missing(emptied)
    }

    pub(super) fn letters(&self, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
        let queues = self.chosen_queues(queue);
        self.sender.keeper.lend("dead letters", |handle, until| {
            let mut letters = Vec::new();
            for queue in &queues {
                let held = take_all(handle, queue, until)?;
                give_back(handle, &held, until)?;
                letters.extend(held.into_iter().map(|held| held.found));
            }
            letters.reverse();
            letters.sort_by_key(|letter| std::cmp::Reverse(letter.buried_at));
            letters.truncate(limit);
            Ok(letters)
        })
    }

    /// Takes the chosen ones away, after they went back to their queues where `again` says so; how many.
    pub(super) fn settle_letters(&self, queue: Option<&str>, ids: &[String], again: bool) -> Result<u64> {
        let queues = self.chosen_queues(queue);
        let operation = if again { "requeue dead letters" } else { "drop dead letters" };
        self.sender.keeper.lend(operation, |handle, until| {
            let mut count = 0;
            for queue in &queues {
                let held = take_all(handle, queue, until)?;
                let (chosen, others): (Vec<Letter>, Vec<Letter>) =
                    held.into_iter().partition(|held| ids.is_empty() || ids.contains(&held.found.id));
                for chosen in chosen.chunks(AT_ONCE) {
                    if again {
                        send_back(handle, queue, chosen, until)?;
                    }
                    handle.tell(until, |out| {
                        for held in chosen {
                            call::ack(CHANNEL, held.tag, false, out);
                        }
                    })?;
                    count += chosen.len() as u64;
                }
                give_back(handle, &others, until)?;
            }
            Ok(count)
        })
    }

    fn chosen_queues(&self, queue: Option<&str>) -> Vec<String> {
        queue.map_or_else(|| self.sender.names.all(), |queue| vec![queue.to_owned()])
    }
}

/// How many messages wait in a queue; `None`: there is no such queue.
fn ready(handle: &mut Handle, queue: &str, until: Instant) -> Result<Option<u64>> {
    match handle.ask(until, |out| topology::look(CHANNEL, queue, out)) {
        Ok(Incoming::Method(_, Method::QueueDeclareOk { ready, .. })) => Ok(Some(u64::from(ready))),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // Another connection's alone: what waits there is nobody else's business.
        Err(error) if error.kind() == ErrorKind::Busy && !handle.is_broken() => Ok(None),
        Err(error) => Err(error),
    }
}

fn ready_of_dead(handle: &mut Handle, queue: &str, until: Instant) -> Result<u64> {
    Ok(ready(handle, &dead::queue_of(queue), until)?.unwrap_or(0))
}

fn unless_missing(count: Result<u64>) -> Result<u64> {
    match count {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        other => other,
    }
}

/// Takes what was set aside, without settling it.
fn take_all(handle: &mut Handle, queue: &str, until: Instant) -> Result<Vec<Letter>> {
    let (name, mut held) = (dead::queue_of(queue), Vec::new());
    let count = ready(handle, &name, until)?.unwrap_or(0);
    while held.len() < MOST.min(count as usize) {
        let asked = handle.ask(until, |out| {
            call::get(CHANNEL, &name, out);
            Ok(1)
        })?;
        let Incoming::Content(_, content) = asked else { break };
        let Method::GetOk { tag, .. } = content.method else { break };
        let priority = content.properties.priority;
        held.push(Letter {
            tag,
            priority,
            found: dead::letter(queue, content.properties.message(content.body)),
        });
    }
    Ok(held)
}

/// Puts them back where they were.
fn give_back(handle: &mut Handle, held: &[Letter], until: Instant) -> Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    handle.tell(until, |out| {
        for held in held {
            call::nack(CHANNEL, held.tag, false, true, out);
        }
    })?;
    // An answer that comes after it: what is looked at next is back by then.
    handle
        .ask(until, |out| {
            call::qos(CHANNEL, 0, out);
            Ok(1)
        })
        .map(drop)
}

/// Sends them to their queue, as if they had not run before.
fn send_back(handle: &mut Handle, queue: &str, chosen: &[Letter], until: Instant) -> Result<()> {
    for held in chosen {
        let again = Publication {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            priority: held.priority,
            due: None,
            message: held.found.message.clone(),
        };
        handle.send(&again, true, until)?;
    }
    match handle.sent(until)?.first() {
        Some(lost) => {
            Err(crate::broker::topology::unroutable(&lost.exchange, &lost.routing_key).with("queue", queue))
        }
        None => Ok(()),
    }
}
