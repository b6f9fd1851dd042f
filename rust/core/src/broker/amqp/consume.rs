//! Asking for messages, handing them out, and waiting for them.

use tokio::time::Instant;

use super::session::{AmqpSession, RETRY};
use super::source::{Source, State};
use crate::broker::Harvest;
use crate::error::Result;

impl AmqpSession {
    /// Hands out up to `credit` of what has come, each queue in turn.
    pub(super) fn hand_out(&mut self, credit: usize, harvest: &mut Harvest) {
        let count = self.sources.len();
        let mut empty = 0;
        while harvest.deliveries.len() < credit && empty < count {
            self.turn = (self.turn + 1) % count;
            match self.sources[self.turn].shelf.pop_front() {
                Some(delivery) => {
                    harvest.deliveries.push(delivery);
                    empty = 0;
                }
                None => empty += 1,
            }
        }
        harvest.deliveries.sort_by_key(|delivery| delivery.rank);
        harvest.more = self.sources.iter().any(|source| !source.shelf.is_empty());
    }

    /// Asks the queues for what is wanted.
    pub(super) async fn ask(&mut self, credit: usize) -> Result<()> {
        if credit == 0 {
            return Ok(());
        }
        self.wanted_at = Instant::now();
        let taking = self.sources.iter().filter(|source| !source.is_left).count().max(1);
        // What the worker has room for in all: what it holds, and what it asks for.
        let handed = |source: &Source| source.ring.open().saturating_sub(source.shelf.len());
        let capacity = self.sources.iter().map(handed).sum::<usize>() + credit;
        for place in 0..self.sources.len() {
            let wanted = self.sources[place].wants(credit, capacity, taking);
            if let Some(wanted) = wanted {
                self.consume(place, wanted).await?;
            }
        }
        Ok(())
    }

    async fn consume(&mut self, place: usize, wanted: usize) -> Result<()> {
        let (Some(link), source) = (&mut self.link, &mut self.sources[place]) else { return Ok(()) };
        match source.consume(link, wanted).await {
            Ok(()) => self.take_in(),
            Err(error) if link.is_usable() => {
                self.notices.push(error.to_string());
                self.lose_channel(place);
                self.sources[place].retry_at = Some(Instant::now() + RETRY);
                if self.sources.iter().all(|source| source.state == State::Closed) {
                    Err(error)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(self.lose(error)),
        }
    }

    /// Waits until an exchange has something to hand out, or something to do.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn wait_for_arrival(&mut self) {
        loop {
            let has_come = self.sources.iter().any(Source::wants_exchange);
            if has_come || self.link.is_none() || !self.notices.is_empty() {
                return;
            }
            let due_at =
                |source: &Source| [source.retry_at, source.ring.due_at()].into_iter().flatten().min();
            let due_at = self.sources.iter().filter_map(due_at).min();
            let Some(link) = &mut self.link else { return };
            tokio::select! {
                waited = link.wait() => if let Err(error) = waited {
                    let error = self.lose(error);
                    self.trouble = Some(error);
                    return;
                },
                () = until(due_at) => return,
            }
            if let Err(error) = self.take_in() {
                self.trouble = Some(error);
                return;
            }
        }
    }

    /// Gives back what came for a worker that has no use for it: others may have. Where there is no other at a time it
    /// stays, for the order's sake.
    pub(super) async fn give_back(&mut self) -> Result<()> {
        for place in 0..self.sources.len() {
            if self.sources[place].shelf.is_empty() || self.sources[place].is_single() {
                continue;
            }
            let (Some(link), source) = (&mut self.link, &mut self.sources[place]) else { return Ok(()) };
            if let Err(error) = source.cancel(link).await {
                return Err(self.lose(error));
            }
            self.take_in()?;
            for delivery in std::mem::take(&mut self.sources[place].shelf) {
                self.put_back(delivery.tag());
            }
        }
        Ok(())
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
