//! What a client says to workers, and asks them: which tasks are called off, and who works. Blocking.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::AmqpBroker;
use super::config::PEER;
use super::connection::{CHANNEL, Handle};
use super::record::{self, DESCRIBE, Reading, WORKERS};
use super::topology;
use super::wire::call;
use super::wire::{Incoming, Method};
use crate::broker::WorkerEntry;
use crate::broker::net::error::too_late;
use crate::broker::topology::unroutable;
use crate::error::{Error, ErrorKind, Result};
use crate::job::revocation::Revocation;

/// RabbitMQ's direct reply-to: answers come to the channel that has asked, and there is no queue.
const DIRECT: &str = "amq.rabbitmq.reply-to";
const ASKING: &str = "fastq-asking";
/// Workers that are well answer at once. One that does not for so long hangs, or its connection does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// Who works, and what of each queue they hold.
#[derive(Default)]
pub(super) struct Workers {
    pub(super) entries: Vec<WorkerEntry>,
    pub(super) held: BTreeMap<String, u64>,
}

impl AmqpBroker {
    /// Writes into the record, then tells all workers, and waits until they have heard it: whoever knows that this has
    /// returned can send one of the tasks, and it is not begun.
    pub(super) fn call_off(&self, revocations: &[Revocation]) -> Result<()> {
        let bodies: Vec<String> = revocations.chunks(record::AT_ONCE).map(record::revoked).collect();
        self.sender.keeper.lend("revoke", |handle, until| {
            handle.catch_up(until)?;
            declare(handle, until)?;
            let written = record::spoken("", true)?;
            for body in &bodies {
                handle.say(record::to_record(), &written, body.as_bytes(), until)?;
            }
            if let Some(lost) = handle.sent(until)?.first() {
                return Err(unroutable(&lost.exchange, &lost.routing_key));
            }
            ask_workers(handle, &bodies, until).map(drop)
        })
    }

    /// What the record holds.
    pub(super) fn called_off(&self) -> Result<Vec<Revocation>> {
        let now = self.sender.clock.wall();
        self.sender.keeper.lend("list revoked tasks", |handle, until| {
            match handle.ask(until, |out| topology::look(CHANNEL, record::RECORD, out)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                other => drop(other?),
            }
            let mut reading = Reading::new(CHANNEL);
            handle.ask(until, |out| reading.ask(out))?;
            let spoken = record::spoken("", true)?;
            handle.say(record::to_record(), &spoken, reading.mark().as_bytes(), until)?;
            let is_whole = handle.gather(until, |incoming, out| {
                matches!(incoming, Incoming::Content(_, content) if reading.take(content, out))
            })?;
            if !is_whole {
                handle.give_up();
                let sentence = "the record of revoked tasks could not be read in time";
                return Err(Error::new(ErrorKind::Timeout, sentence));
            }
            cancel(handle, until, |out| reading.stop(out))?;
            Ok(reading.end(now))
        })
    }

    /// Asks the workers what they do.
    pub(super) fn described(&self) -> Result<Workers> {
        self.sender.keeper.lend("workers", |handle, until| {
            let mut found = Workers::default();
            if consumers(handle, until)? == 0 {
                return Ok(found);
            }
            for answer in ask_workers(handle, &[DESCRIBE.to_owned()], until)? {
                let Some((entry, held)) = record::read_described(&answer) else { continue };
                for (queue, count) in held {
                    *found.held.entry(queue).or_default() += count;
                }
                found.entries.push(entry);
            }
            Ok(found)
        })
    }
}

impl Handle {
    /// Writes what is to be written, then takes in what comes until `take` has enough, which may write, too; false when
    /// the time is over before.
    ///
    /// # Errors
    /// Those of the connection, which is of no more use.
    fn gather(
        &mut self,
        until: Instant,
        mut take: impl FnMut(&Incoming, &mut Vec<u8>) -> bool,
    ) -> Result<bool> {
        self.broken = true;
        loop {
            self.flush(until)?;
            let incoming = match self.receive(until) {
                Err(error) if error.kind() == ErrorKind::Timeout => {
                    self.broken = false;
                    return Ok(false);
                }
                other => other?,
            };
            if let Some(answer) = self.hear(incoming, until)?
                && take(&answer, &mut self.out)
            {
                (self.broken, self.used) = (false, Instant::now());
                return Ok(true);
            }
        }
    }
}

fn declare(handle: &mut Handle, until: Instant) -> Result<()> {
    for write in [record::declare_workers, record::declare] {
        match handle.ask(until, |out| write(CHANNEL, out)) {
            // It is there, of another kind.
            Err(error) if error.kind() == ErrorKind::Mismatch => {}
            other => drop(other?),
        }
    }
    Ok(())
}

/// How many workers listen.
fn consumers(handle: &mut Handle, until: Instant) -> Result<usize> {
    match handle.ask(until, |out| topology::look(CHANNEL, WORKERS, out)) {
        Ok(Incoming::Method(_, Method::QueueDeclareOk { consumers, .. })) => Ok(consumers as usize),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(0),
    }
}

/// Says something to all workers and gathers their answers, one of each for each body, as far as they come in time.
fn ask_workers(handle: &mut Handle, bodies: &[String], until: Instant) -> Result<Vec<Bytes>> {
    let expected = consumers(handle, until)? * bodies.len();
    handle.ask(until, |out| {
        call::consume(CHANNEL, DIRECT, ASKING, (true, false), "", out)?;
        Ok(1)
    })?;
    let (written, mut answers) = (record::spoken(DIRECT, false)?, Vec::new());
    for body in bodies {
        handle.say(record::to_workers(), &written, body.as_bytes(), until)?;
    }
    let soon = until.min(Instant::now() + ANSWERED_WITHIN);
    if expected > 0 {
        handle.gather(soon, |incoming, _| {
            if let Incoming::Content(_, content) = incoming {
                answers.push(content.body.clone());
            }
            answers.len() >= expected
        })?;
    }
    cancel(handle, until, |out| call::cancel(CHANNEL, ASKING, out))?;
    Ok(answers)
}

/// Ends a consumer: what comes before the server's answer is nobody's any more.
fn cancel(handle: &mut Handle, until: Instant, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    write(&mut handle.out);
    let is_cancelled =
        handle.gather(until, |incoming, _| matches!(incoming, Incoming::Method(_, Method::CancelOk(_))))?;
    if !is_cancelled {
        handle.give_up();
        return Err(too_late(&PEER));
    }
    handle.catch_up(until)
}
