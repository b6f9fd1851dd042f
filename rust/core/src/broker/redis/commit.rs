//! Carrying out Commits: from verdicts, results and follow-ups to commands of one transaction.

use std::sync::Arc;
use std::time::Duration;

use super::config::RedisConfig;
use super::mirror::Mirror;
use super::routes::Routes;
use super::source::Book;
use super::tokens::{self, Returned};
use super::wire::Batch;
use super::{chords, dead, lock, publish};
use crate::broker::{Publication, Receipt};
use crate::clock::WallTime;
use crate::error::{ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::{Commit, Verdict};
use crate::job::limits::Limits;
use crate::message::envelope::readdress;
use crate::store::redis::{write, write_over};
use crate::store::{Chords, Part};

/// What a session needs to carry out Commits.
pub(super) struct Carrier<'a> {
    pub(super) config: &'a RedisConfig,
    pub(super) book: &'a mut Book,
    pub(super) routes: &'a mut Routes,
    pub(super) now: WallTime,
    pub(super) expires: Option<Duration>,
    pub(super) chord_expires: Option<Duration>,
    /// Where release messages go.
    pub(super) internal: &'a str,
    pub(super) batch: &'a mut Batch,
    /// What goes back to the front of its list: source and number. Put there at the end, the newest first.
    pub(super) front: Vec<(usize, u64, Option<Vec<u8>>)>,
    /// Keys of lists that get something.
    pub(super) grown: Vec<String>,
    pub(super) mirror: &'a Mirror,
    /// Delivery tags whose records go.
    pub(super) unmirrored: Vec<String>,
    pub(super) session: &'a str,
    /// Tokens that are given back.
    pub(super) returned: Returned,
    /// Parts of chords are counted: something may come into the internal queue.
    pub(super) counts: bool,
}

impl Carrier<'_> {
    /// Adds the commands of `commits`, in order; the tags of those that are not ours to settle.
    ///
    /// # Errors
    /// `Encode` when something cannot be written; then nothing must be sent.
    pub(super) fn carry_out(mut self, commits: &[Commit]) -> Result<Carried> {
        let (mut refused, mut bounded, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for commit in commits {
            if let Some((receipt, verdict)) = &commit.settle
                && !self.settle(receipt, verdict)
            {
                refused.push(receipt.tag());
                continue;
            }
            for record in &commit.records {
                write(&self.config.results, record, self.expires, self.batch)?;
            }
            let ended = commit.chords.as_ref().and_then(|chords| chords.ended.as_deref());
            // What goes with the end of a chord is carried out by the server, if it finds that it has not ended.
            let outer = ended.map(|_| std::mem::take(self.batch));
            self.publish_unlocked(commit)?;
            if let (Some(outer), Some(group_id)) = (outer, ended) {
                let commands = std::mem::replace(self.batch, outer);
                chords::end(self.config, group_id, &commands, self.internal, self.now, self.batch);
            }
            if let Some(chords) = &commit.chords {
                self.begin(chords);
                parts.extend(&chords.parts);
            }
            if let Some(limits) = commit.limits.as_deref() {
                bounded.push((limits, commit));
            }
        }
        self.count(&parts)?;
        self.loosen(&bounded)?;
        self.put_in_front();
        self.mirror.remove(&self.unmirrored, self.batch);
        Ok(Carried { refused, grown: self.grown, returned: self.returned, counts: self.counts })
    }

    /// Settles one delivery; false when it is not ours.
    fn settle(&mut self, receipt: &Receipt, verdict: &Verdict) -> bool {
        let Some((place, number)) = self.book.find(receipt) else {
            return self.settle_loose(receipt, verdict);
        };
        let source = &self.book.sources[place];
        let Some(held) = source.ring.held(number) else { return false };
        self.unmirrored.extend(held.name.as_deref().map(str::to_owned));
        match verdict {
            Verdict::Ack => {}
            Verdict::Release => self.front.push((place, number, None)),
            Verdict::Requeue { died: true } => {
                self.front.push((place, number, Some(readdress(&held.raw, true, held.deaths + 1))));
            }
            // As kombu does with what a program puts back: to the end of the line.
            Verdict::Requeue { died: false } => {
                let again = readdress(&held.raw, true, held.deaths);
                self.batch.add(&[b"LPUSH", source.key.as_bytes(), &again]);
                self.grown.push(source.key.clone());
            }
            Verdict::Bury { reason, died } => {
                let deaths = held.deaths + u32::from(*died);
                let letter = dead::letter(&held.raw, source.place.step, reason, deaths, self.now);
                self.batch.add(&[b"LPUSH", self.config.keys.dead(&source.queue).as_bytes(), &letter]);
            }
        }
        self.book.sources[place].ring.settle(number)
    }

    /// Settles what came by a fanout exchange and lies nowhere on the server.
    fn settle_loose(&mut self, receipt: &Receipt, verdict: &Verdict) -> bool {
        let again = matches!(verdict, Verdict::Release | Verdict::Requeue { .. });
        let Some((queue, raw)) = self.book.settle_loose(receipt, again) else { return false };
        if let Verdict::Bury { reason, died } = verdict {
            let letter = dead::letter(&raw, 0, reason, u32::from(*died), self.now);
            self.batch.add(&[b"LPUSH", self.config.keys.dead(&queue).as_bytes(), &letter]);
        }
        true
    }

    fn begin(&mut self, work: &Chords) {
        for chord in &work.begun {
            chords::begin(self.config, chord, self.chord_expires, self.now, self.batch);
        }
    }

    /// Counts the members of all Commits, those of one chord by one command: it costs the server as much as ten tasks.
    fn count(&mut self, parts: &[&Part]) -> Result<()> {
        let Self { config, chord_expires: expires, now, internal, .. } = *self;
        self.counts = !parts.is_empty();
        for parts in chords::by_chord(parts.iter().copied()) {
            chords::released(config, &parts, expires, now, internal, self.batch)?;
        }
        Ok(())
    }

    /// Sends what needs no lock.
    fn publish_unlocked(&mut self, commit: &Commit) -> Result<()> {
        let locked = commit.limits.as_deref().map_or(&[][..], |limits| &limits.locked);
        let free = |place: usize| !locked.iter().any(|locked| locked.place == place);
        let publications = commit.publications.iter().enumerate().filter(|(place, _)| free(*place));
        publications.map(|(_, publication)| publication).try_for_each(|publication| self.publish(publication))
    }

    fn publish(&mut self, publication: &Publication) -> Result<()> {
        match publish::publish(self.config, self.routes, publication, self.now, self.batch) {
            Ok(lists) => self.grown.extend(lists),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Self { config, routes, now, batch, .. } = self;
                publish::bury_unroutable(config, routes, publication, &error, *now, batch)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives locks back, and then sends what needs one.
    fn loosen(&mut self, ended: &[(&Limits, &Commit)]) -> Result<()> {
        let unlocked: Vec<_> = ended.iter().filter_map(|(limits, _)| limits.unlock.clone()).collect();
        lock::unlock(self.config, &unlocked, self.batch);
        for key in ended.iter().filter_map(|(limits, _)| limits.token.as_ref()) {
            match self.returned.iter_mut().find(|(known, _)| known == key) {
                Some((_, count)) => *count += 1,
                None => self.returned.push((Arc::clone(key), 1)),
            }
        }
        tokens::give_back(&self.config.keys, self.session, &self.returned, self.batch);
        for (limits, commit) in ended {
            for locked in &limits.locked {
                let Some(publication) = commit.publications.get(locked.place) else { continue };
                let (mut sends, mut otherwise) = (Batch::new(), Batch::new());
                let queues = publish::publish(self.config, self.routes, publication, self.now, &mut sends);
                let Ok(lists) = queues else {
                    self.publish(publication)?; // it reaches no queue: set aside as any other
                    continue;
                };
                self.grown.extend(lists);
                if let Some(record) = &locked.otherwise {
                    write_over(&self.config.results, record, self.expires, &mut otherwise)?;
                }
                let mut script = lock::Locked::new(false);
                script.add(self.config, Some(&locked.lock), &sends, &otherwise);
                let queue = publication.routing_key.clone();
                lock::mark(self.config, &[queue], self.batch);
                script.send(self.batch);
            }
        }
        Ok(())
    }

    fn put_in_front(&mut self) {
        self.front.sort_unstable_by_key(|(_, number, _)| std::cmp::Reverse(*number));
        for (place, number, changed) in std::mem::take(&mut self.front) {
            let source = &self.book.sources[place];
            let Some(raw) = source.ring.raw(number) else { continue };
            self.batch.add(&[b"RPUSH", source.key.as_bytes(), changed.as_deref().unwrap_or(raw)]);
            self.grown.push(source.key.clone());
        }
    }
}

/// What carrying out some Commits leads to.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Commits whose delivery is not ours any more: nothing of them is done.
    pub(super) refused: Vec<Tag>,
    /// Keys of lists that get something, once for each message.
    pub(super) grown: Vec<String>,
    /// Tokens that are given back.
    pub(super) returned: Returned,
    /// Parts of chords are counted: something may come into the internal queue.
    pub(super) counts: bool,
}
