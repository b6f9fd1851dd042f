//! One exchange as one transaction: settles, stores, publishes and takes, or nothing of it.
//!
//! The session's connection watches its hash, so the server refuses the transaction once another worker has taken the
//! session for dead. A command that the server cannot carry out does not undo the others: what it should have put
//! somewhere is set aside.

use redis::Value;

use super::claim::{Offer, shares};
use super::commit::{Carried, Carrier};
use super::lease::lost;
use super::promote::due;
use super::revoked;
use super::ring::Change;
use super::session::RedisSession;
use super::tokens::Returned;
use super::wire::{Batch, Replies, array, bytes, int};
use crate::broker::Harvest;
use crate::clock::WallTime;
use crate::error::{ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::Commit;

/// An exchange whose answer did not come.
pub(super) struct Doubt {
    pub(super) number: u64,
    /// How many Commits it had; they are the first of those that are given again.
    pub(super) commits: usize,
    pub(super) refused: Vec<Tag>,
    pub(super) changes: Vec<Change>,
    pub(super) returned: Returned,
}

/// What a transaction is to bring back.
enum Expected {
    Nothing,
    Taken(usize),
    Length(usize),
    Due,
    Number,
}

impl RedisSession {
    /// One transaction: settles, stores, publishes and takes. On success the harvest holds what came. `blind`: take
    /// where nothing is known to be, too. `given`: the Commits are the worker's, who will give them again.
    pub(super) async fn transact(
        &mut self,
        commits: &[Commit],
        credit: usize,
        blind: bool,
        given: bool,
        harvest: &mut Harvest,
    ) -> Result<()> {
        let mut batch = Batch::new();
        batch.add(&[b"MULTI"]);
        let prepared = self.prepare(commits, &mut batch);
        let (carried, changes) = prepared.inspect_err(|_| self.not_carried_out())?;
        self.book.look_inside |= carried.counts;
        let mut expected: Vec<Expected> = (1..batch.len()).map(|_| Expected::Nothing).collect();
        self.take(credit, blind, &carried, &mut batch, &mut expected);
        batch.add(&[b"EXEC"]);
        self.lease.watch(&mut batch);
        if !commits.is_empty() {
            self.exchanges += 1;
            let (number, refused) = (self.exchanges, carried.refused.clone());
            let commits = if given { commits.len() } else { 0 };
            let returned = carried.returned.clone();
            self.doubt = Some(Doubt { number, commits, refused, changes: changes.clone(), returned });
        }
        let values = self.execute(&batch).await?;
        self.apply(&changes);
        self.tokens.returned(&carried.returned);
        harvest.refused.extend(carried.refused);
        let failed = self.read(expected, values, harvest);
        self.book.looked();
        self.rescue(&batch, &failed).await;
        if self.is_lost {
            // Taken for dead in this very moment: what was just taken belongs to others.
            harvest.deliveries.clear();
        }
        Ok(())
    }

    /// Sends a transaction; what its commands answered. An error leaves standing the doubt whether it was carried out,
    /// and the next connection finds out; unless the server itself has refused it as a whole.
    pub(super) async fn execute(&mut self, batch: &Batch) -> Result<Vec<Value>> {
        let replies = self.call(batch).await?;
        self.doubt = None;
        match executed(replies, batch.len()) {
            Ok((values, still_ours)) => {
                self.is_lost = !still_ours;
                Ok(values)
            }
            Err(error) => {
                self.not_carried_out();
                self.link = None;
                self.is_lost = error.kind() == ErrorKind::Closed;
                Err(error)
            }
        }
    }

    fn not_carried_out(&mut self) {
        self.book.unsettle();
        self.routes.clear();
    }

    fn prepare(&mut self, commits: &[Commit], batch: &mut Batch) -> Result<(Carried, Vec<Change>)> {
        if commits.is_empty() {
            return Ok((Carried::default(), Vec::new()));
        }
        let number = (self.exchanges + 1).to_string();
        batch.add(&[b"HSET", self.lease.hash.as_bytes(), b"exchange", number.as_bytes()]);
        let carriage = Carrier {
            now: WallTime(self.clock.wall().0 + self.ahead),
            config: &self.config,
            book: &mut self.book,
            routes: &mut self.routes,
            expires: self.lease.result_expires,
            chord_expires: self.lease.chord_expires,
            internal: &self.lease.internal,
            batch,
            front: Vec::new(),
            grown: Vec::new(),
            mirror: &self.mirror,
            unmirrored: Vec::new(),
            session: &self.lease.session,
            returned: Returned::new(),
            counts: false,
        };
        let carried = carriage.carry_out(commits)?;
        let changes = self.book.sources.iter().map(|source| source.ring.commands(&source.held, batch));
        Ok((carried, changes.collect()))
    }

    /// Adds the commands that take, and those that look what is left.
    fn take(
        &self,
        credit: usize,
        blind: bool,
        carried: &Carried,
        batch: &mut Batch,
        expected: &mut Vec<Expected>,
    ) {
        let sources = &self.book.sources;
        let offers: Vec<Offer> = sources
            .iter()
            .map(|source| {
                let grown = carried.grown.iter().filter(|key| **key == source.key).count() as u64;
                let length = source.length + grown;
                let closed = source.waiting || source.closed || (source.internal && length == 0);
                Offer { length, closed }
            })
            .collect();
        let steps = self.config.steps.all().len();
        let shares = shares(&offers, steps, credit, self.turn, self.config.order, blind);
        for (place, share) in shares.into_iter().enumerate() {
            let source = &sources[place];
            for _ in 0..share {
                batch.add(&[b"LMOVE", source.key.as_bytes(), source.held.as_bytes(), b"RIGHT", b"RIGHT"]);
                expected.push(Expected::Taken(place));
            }
        }
        self.ask_for_lengths(batch);
        expected.extend(self.book.looked_at().map(Expected::Length));
        expected.push(Expected::Due);
        revoked::ask_number(&self.config, batch);
        expected.push(Expected::Number);
    }

    pub(super) fn apply(&mut self, changes: &[Change]) {
        self.book.apply_loose();
        for (place, change) in changes.iter().enumerate() {
            let gone = self.book.sources[place].ring.apply(*change);
            self.book.strike(gone);
        }
    }

    /// Takes in what a transaction brought; the places of commands that the server could not carry out.
    fn read(&mut self, expected: Vec<Expected>, values: Vec<Value>, harvest: &mut Harvest) -> Vec<usize> {
        let mut lost = Vec::new();
        for (position, (expected, value)) in expected.into_iter().zip(values).enumerate() {
            let read = match (expected, value) {
                (Expected::Nothing, Value::ServerError(_)) => {
                    lost.push(position);
                    Ok(())
                }
                (Expected::Nothing, _) => Ok(()),
                (Expected::Taken(place), value) => bytes(value).map(|raw| {
                    harvest.deliveries.extend(raw.and_then(|raw| self.book.enter(place, raw)));
                }),
                (Expected::Length(place), value) => {
                    int(value).map(|length| self.book.sources[place].length = length as u64)
                }
                (Expected::Due, value) => due(value).map(|due| self.next_due = due),
                (Expected::Number, value) => {
                    revoked::number_of(value).map(|number| self.overheard.number = number)
                }
            };
            if let Err(error) = read {
                self.trouble = Some(error);
            }
        }
        lost
    }

    /// Sets messages aside that could not be put where they belong, because a key holds something else: the
    /// transaction stands without them.
    async fn rescue(&mut self, batch: &Batch, lost: &[usize]) {
        let mut letters = Batch::new();
        for position in lost {
            // The commands of the transaction come after MULTI.
            let Some(words) = batch.words(position + 1) else { continue };
            let [name, key, message] = &words[..] else { continue };
            if name != b"LPUSH" && name != b"RPUSH" {
                continue;
            }
            let reason = "the key of its queue holds something else";
            let letter = super::dead::letter(message, 0, reason, 0, self.now());
            let name = String::from_utf8_lossy(key);
            let queue = name.strip_prefix(&self.config.keys.key("")).unwrap_or(&name);
            letters.add(&[b"LPUSH", self.config.keys.dead(queue).as_bytes(), &letter]);
            letters.add(&[b"HSETNX", self.config.keys.key("fastq:queues").as_bytes(), queue.as_bytes(), b""]);
        }
        if !letters.is_empty() {
            // If the connection breaks here nothing more can be done: the server has refused the message.
            let _ = self.call(&letters).await;
        }
    }
}

/// Reads the replies to a transaction that ends with EXEC, WATCH and EXISTS: what it brought, and whether the session
/// was still alive right after it.
///
/// # Errors
/// `Closed` when the server refused it because the session was taken for dead; what it refused a command with.
fn executed(mut replies: Replies, sent: usize) -> Result<(Vec<Value>, bool)> {
    let queued = sent - 3;
    replies.skip(queued)?;
    let values = match replies.next()? {
        Value::Nil => return Err(lost()),
        values => array(values)?,
    };
    replies.skip(1)?;
    Ok((values, replies.int()? == 1))
}
