//! Carrying out Commits: from verdicts, results and follow-ups to commands of one transaction.

use std::sync::Arc;
use std::time::Duration;

use super::config::RedisConfig;
use super::mirror::Mirror;
use super::routes::Routes;
use super::source::Book;
use super::tokens::{self, Returned};
use super::wire::Batch;
use super::{dead, lock, publish};
use crate::broker::{Publication, Receipt};
use crate::clock::WallTime;
use crate::error::{ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::{Commit, Verdict};
use crate::job::limits::Limits;
use crate::message::envelope::readdress;
use crate::store::redis::{write, write_over};

/// What a session needs to carry out Commits.
pub(super) struct Carrier<'a> {
    pub(super) config: &'a RedisConfig,
    pub(super) book: &'a mut Book,
    pub(super) routes: &'a mut Routes,
    pub(super) now: WallTime,
    pub(super) expires: Option<Duration>,
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
}

impl Carrier<'_> {
    /// Adds the commands of `commits`, in order; the tags of those that are not ours to settle.
    ///
    /// # Errors
    /// `Encode` when something cannot be written; then nothing must be sent.
    pub(super) fn carry_out(mut self, commits: &[Commit]) -> Result<Carried> {
        let (mut refused, mut ended) = (Vec::new(), Vec::new());
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
            let limits = commit.limits.as_deref();
            let locked = |place: usize| {
                limits.is_some_and(|limits| limits.locked.iter().any(|locked| locked.place == place))
            };
            for (_, publication) in
                commit.publications.iter().enumerate().filter(|(place, _)| !locked(*place))
            {
                self.publish(publication)?;
            }
            if let Some(limits) = limits {
                ended.push((limits, commit));
            }
        }
        self.loosen(&ended)?;
        self.put_in_front();
        self.mirror.remove(&self.unmirrored, self.batch);
        Ok(Carried { refused, grown: self.grown, returned: self.returned })
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
}
