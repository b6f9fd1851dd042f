//! Carrying out Commits without a transaction: publish what follows, send the results, acknowledge; in that order.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::connection::Returned;
use super::dead;
use super::delay;
use super::publisher::{Parcel, again};
use super::session::AmqpSession;
use super::wire::{call, properties};
use crate::broker::topology::unroutable;
use crate::broker::{Publication, Queue, Receipt};
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::{Commit, Verdict};

/// A follow-up that says itself when it is due, and is within this time, goes straight into its queue: a worker holds it
/// for as long.
const SOON_MILLISECONDS: u128 = 60_000;

impl AmqpSession {
    /// Carries out commits. Those that only acknowledge go first: what stops the others must not stop them.
    ///
    /// # Errors
    /// Nothing is lost then: what was carried out is remembered, and the rest is done when they come again.
    pub(super) async fn carry_out(&mut self, commits: &[Commit]) -> Result<()> {
        let (mut first, mut results, mut burials) = (Vec::new(), Vec::new(), Vec::new());
        for commit in commits {
            if !self.is_to_do(commit) {
                continue;
            }
            self.add_follow_ups(commit, &mut first).await?;
            let letters = if self.is_set_aside(commit) { &mut burials } else { &mut first };
            self.add_letter(commit, letters)?;
            for record in &commit.records {
                results.extend(self.replies.parcel(record)?);
            }
        }
        if !first.is_empty() || !results.is_empty() {
            // Whatever needs nothing of this is settled already when it fails.
            for commit in commits.iter().filter(|commit| is_plain(commit)) {
                self.settle(commit);
            }
            self.flush().await?;
            first.append(&mut results);
            self.send(first).await?;
        }
        for commit in commits {
            if !self.is_set_aside(commit) {
                self.settle(commit);
            }
        }
        if burials.is_empty() {
            return Ok(());
        }
        self.flush().await?;
        self.bury(commits, burials).await
    }

    /// Sets messages aside. Where that is not allowed they stay the server's, unacknowledged: it gives them again when
    /// this worker has gone, and nobody waits for that.
    async fn bury(&mut self, commits: &[Commit], burials: Vec<Parcel>) -> Result<()> {
        let refused = match self.send(burials).await {
            Err(error) if error.kind() == ErrorKind::Denied => Some(error),
            other => other.map(|()| None)?,
        };
        for commit in commits {
            match &refused {
                _ if !self.is_set_aside(commit) => {}
                Some(error) => self.leave_open(commit, error),
                None => self.settle(commit),
            }
        }
        Ok(())
    }

    /// Whether a commit sends its message to the queue of those set aside; one whose queue has a dead-letter exchange of
    /// its own is rejected, and goes there.
    fn is_set_aside(&self, commit: &Commit) -> bool {
        let Some((receipt, Verdict::Bury { .. })) = &commit.settle else { return false };
        self.is_ours(receipt)
            && self
                .ledger
                .get(receipt.tag())
                .is_some_and(|held| !self.sources[held.source].has_dead_letter_exchange())
    }

    fn leave_open(&mut self, commit: &Commit, error: &Error) {
        let Some((receipt, _)) = &commit.settle else { return };
        let Some(held) = self.ledger.get_mut(receipt.tag()).filter(|held| !held.done) else { return };
        held.settle(false);
        let dead = dead::queue_of(&self.sources[held.source].name);
        self.notices.push(format!(
            "a message cannot be set aside in the queue {dead:?}, and stays unacknowledged until this worker ends: {error}"
        ));
    }

    /// Sends what follows, where results go to another server: that comes before them.
    pub(super) async fn send_follow_ups(&mut self, commits: &mut [Commit]) -> Result<()> {
        let mut parcels = Vec::new();
        for commit in commits.iter() {
            if self.is_to_do(commit) {
                self.add_follow_ups(commit, &mut parcels).await?;
            }
        }
        if !parcels.is_empty() {
            self.send(parcels).await?;
            for commit in commits.iter_mut() {
                commit.publications.clear();
            }
        }
        Ok(())
    }

    /// Whether a Receipt is one of this session's, and not used up.
    fn is_ours(&self, receipt: &Receipt) -> bool {
        receipt.epoch() == self.epoch && self.ledger.get(receipt.tag()).is_some()
    }

    /// Whether a commit is this session's to carry out, and was not by an exchange that failed later on.
    fn is_to_do(&self, commit: &Commit) -> bool {
        commit.settle.as_ref().is_none_or(|(receipt, _)| {
            self.is_ours(receipt) && self.ledger.get(receipt.tag()).is_some_and(|held| !held.done)
        })
    }

    async fn add_follow_ups(&mut self, commit: &Commit, parcels: &mut Vec<Parcel>) -> Result<()> {
        let now = self.clock.wall();
        for publication in &commit.publications {
            let (mut exchange, mut routing_key) =
                (publication.exchange.clone(), publication.routing_key.clone());
            if !exchange.is_empty() && !self.publisher.has_exchange(&exchange).await? {
                parcels.push(self.lost(publication, now)?);
                continue;
            }
            if let Some(seconds) = held_for(publication, now) {
                let queue = self.queue(&routing_key);
                self.lead_delays_to(&queue).await?;
                (exchange, routing_key) = delay::address(seconds, &routing_key);
            }
            self.names.note(exchange.is_empty().then_some(routing_key.as_str()).into_iter());
            let mandatory = !self.fanouts.contains(&exchange);
            let message = &publication.message;
            if let Some(held) =
                commit.settle.as_ref().and_then(|(receipt, _)| self.ledger.get_mut(receipt.tag()))
            {
                held.is_sent_again |= held.message.headers == message.headers;
            }
            let headers = dead::fresh(&message.headers);
            let written = written(&headers, &message.properties, publication.priority)?;
            let body = message.body.clone();
            parcels.push(Parcel { exchange, routing_key, mandatory, properties: written, body });
        }
        Ok(())
    }

    /// The queue as it was declared, where it is one of ours.
    fn queue(&self, name: &str) -> Queue {
        let ours = self.sources.iter().find(|source| *source.name == *name);
        ours.and_then(|source| source.declared.first().cloned()).unwrap_or_else(|| Queue::named(name))
    }

    /// A follow-up that no queue would get is kept with the reason: failing its Commit would repeat the task for ever.
    fn lost(&self, publication: &Publication, now: WallTime) -> Result<Parcel> {
        let queue = &publication.routing_key;
        self.names.note(std::iter::once(queue.as_str()));
        let reason = unroutable(&publication.exchange, queue).to_string();
        let message = &publication.message;
        let headers = dead::headers(&message.headers, queue, &reason, 0, now);
        let properties = written(&headers, &message.properties, publication.priority)?;
        Ok(to_queue(dead::queue_of(queue), properties, message.body.clone()))
    }

    /// What a verdict sends: to the queue of those set aside, or to its own queue with one more death.
    fn add_letter(&self, commit: &Commit, parcels: &mut Vec<Parcel>) -> Result<()> {
        let Some((receipt, verdict)) = &commit.settle else { return Ok(()) };
        let Some(held) = self.ledger.get(receipt.tag()) else { return Ok(()) };
        let source = &self.sources[held.source];
        let (message, body) = (&held.message, held.message.body.clone());
        match verdict {
            Verdict::Bury { reason, died } if !source.has_dead_letter_exchange() => {
                let deaths = held.deaths + u32::from(*died);
                let now = self.clock.wall();
                let headers = dead::headers(&message.headers, &source.name, reason, deaths, now);
                let properties = written(&headers, &message.properties, held.priority)?;
                parcels.push(to_queue(dead::queue_of(&source.name), properties, body));
            }
            Verdict::Requeue { died: true } => {
                let headers = dead::died(&message.headers, held.deaths + 1);
                let properties = written(&headers, &message.properties, held.priority)?;
                parcels.push(to_queue(source.name.to_string(), properties, body));
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends messages; makes the queues that are missing, and sets aside what no exchange leads anywhere.
    async fn send(&mut self, parcels: Vec<Parcel>) -> Result<()> {
        let returned = self.publisher.send(&parcels).await?;
        if returned.is_empty() {
            return Ok(());
        }
        let now = self.clock.wall();
        let mut again_ = Vec::new();
        let names: BTreeSet<&str> = returned
            .iter()
            .filter(|returned| returned.exchange.is_empty())
            .map(|returned| returned.routing_key.as_str())
            .collect();
        for name in names {
            self.publisher.make_queue(name).await?;
        }
        for returned in &returned {
            again_.push(if returned.exchange.is_empty() {
                again(returned)?
            } else {
                self.set_aside(returned, now)?
            });
        }
        for returned in self.publisher.send(&again_).await? {
            self.publisher.make_queue(&returned.routing_key).await?;
            self.publisher.send(&[again(&returned)?]).await?;
        }
        Ok(())
    }

    fn set_aside(&self, returned: &Returned, now: WallTime) -> Result<Parcel> {
        let queue = &returned.routing_key;
        self.names.note(std::iter::once(queue.as_str()));
        let reason = unroutable(&returned.exchange, queue).to_string();
        let known = &returned.content.properties;
        let headers = dead::headers(&known.headers, queue, &reason, 0, now);
        let properties = written(&headers, &known.others, known.priority)?;
        Ok(to_queue(dead::queue_of(queue), properties, returned.content.body.clone()))
    }

    /// Settles a delivery with the server, once.
    fn settle(&mut self, commit: &Commit) {
        let Some((receipt, verdict)) = &commit.settle else { return };
        if receipt.epoch() != self.epoch {
            return;
        }
        let Some(held) = self.ledger.get_mut(receipt.tag()) else { return };
        if held.done {
            return;
        }
        held.settle(*verdict == Verdict::Ack);
        let (source, place) = (held.source, held.place);
        let source = &mut self.sources[source];
        // It may have come back, and not been handed out again yet.
        source.shelf.retain(|delivery| delivery.tag() != receipt.tag());
        let (Some(place), Some(link)) = (place, &mut self.link) else { return };
        match verdict {
            Verdict::Ack | Verdict::Requeue { died: true } => source.ring.done(place),
            Verdict::Bury { .. } if !source.has_dead_letter_exchange() => source.ring.done(place),
            Verdict::Bury { .. } => {
                call::reject(source.channel, place, false, &mut link.out);
                source.ring.settled(place);
            }
            Verdict::Release | Verdict::Requeue { died: false } => {
                call::nack(source.channel, place, false, true, &mut link.out);
                source.ring.settled(place);
            }
        }
    }

    /// Everything was written: the commits are done with. Those that were not ours are named.
    pub(super) fn finish(&mut self, commits: &mut Vec<Commit>) -> Vec<Tag> {
        let (now, mut refused) = (self.clock.now(), Vec::new());
        for commit in commits.drain(..) {
            let Some((receipt, _)) = &commit.settle else { continue };
            if self.is_ours(receipt) {
                self.ledger.leave(receipt.tag(), now);
            } else {
                refused.push(receipt.tag());
            }
        }
        refused
    }
}

/// Whether a commit needs nothing but an answer to its delivery.
fn is_plain(commit: &Commit) -> bool {
    let sends = matches!(commit.settle, Some((_, Verdict::Bury { .. } | Verdict::Requeue { died: true })));
    commit.publications.is_empty() && commit.records.is_empty() && !sends
}

fn written(headers: &[u8], properties: &[u8], priority: Option<u8>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    properties::write(headers, properties, priority, &mut out)?;
    Ok(out)
}

fn to_queue(queue: String, properties: Vec<u8>, body: Bytes) -> Parcel {
    Parcel { exchange: String::new(), routing_key: queue, mandatory: true, properties, body }
}

/// For how many seconds a follow-up is kept out of its queue; `None`: not at all. One for an exchange goes there at
/// once, and is put aside by whoever takes it: delays lead to queues.
fn held_for(publication: &Publication, now: WallTime) -> Option<u64> {
    let due = publication.due.filter(|due| *due > now && publication.exchange.is_empty())?;
    let milliseconds = due.from_now(now).as_millis();
    if !publication.says_when() {
        return Some(milliseconds.div_ceil(1000) as u64);
    }
    // The last part of a second passes in the worker that takes it.
    (milliseconds > SOON_MILLISECONDS).then_some((milliseconds / 1000) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    #[test]
    fn a_follow_up_is_held_by_the_server_when_it_is_due_later_than_a_worker_would_hold_it() {
        let eta = r#"{"eta":"2026-11-22T11:42:22+00:00"}"#;
        for (headers, exchange, due, expected) in [
            ("{}", "", None, None),
            ("{}", "", Some(1_001), Some(1)),
            (eta, "", Some(61_000), None),
            (eta, "", Some(61_001), Some(60)),
            (eta, "", Some(62_999), Some(61)),
            (eta, "x", Some(99_000), None),
        ] {
            let message = Message { headers: headers.into(), ..Message::default() };
            let (exchange, routing_key) = (exchange.to_owned(), "q".to_owned());
            let publication =
                Publication { exchange, routing_key, priority: None, due: due.map(WallTime), message };
            assert_eq!(held_for(&publication, WallTime(1_000)), expected, "{headers} {due:?}");
        }
    }
}
