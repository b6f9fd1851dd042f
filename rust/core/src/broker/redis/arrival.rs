//! Waiting for messages, and what the waiting commands bring ([`super::waiter`]).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::session::RedisSession;
use super::waiter::Landing;
use super::wire::Batch;
use crate::broker::{Delivery, Harvest, Receipt};
use crate::error::Result;
use crate::job::ending::{Commit, Verdict};

/// A waiting command ends so long before the lease would, or by a quarter of a short lease.
const MARGIN: Duration = Duration::from_secs(1);
/// The longest and the shortest that one waiting command lasts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// What a waiter took and nobody wanted for so long goes back.
const UNWANTED: Duration = Duration::from_millis(500);
/// How often one tries to end what waits.
const UNBLOCKING: usize = 3;
/// How often lists are looked at for which there is no waiter.
const LOOK: Duration = Duration::from_secs(1);

impl RedisSession {
    /// Takes in what waiters have said meanwhile.
    pub(super) fn hear_waiters(&mut self) {
        while let Some(landing) = self.waiters.said() {
            self.hear(landing);
        }
    }

    /// Takes in what a waiter says; whether that is worth an exchange.
    fn hear(&mut self, landing: Landing) -> bool {
        match landing {
            Landing::Message(place, raw) => {
                self.book.sources[place].waiting = false;
                let delivery = self.book.enter(place, raw);
                self.book.landed.extend(delivery);
                true
            }
            Landing::Nothing(place) => {
                self.book.sources[place].waiting = false;
                false
            }
            Landing::Broadcast(queue, raw) => {
                let delivery = self.book.enter_loose(queue, raw);
                self.book.landed.push_back(delivery);
                true
            }
            Landing::Call => {
                self.tokens.is_called = true;
                true
            }
            Landing::Broken => {
                self.link = None;
                true
            }
        }
    }

    /// A busy worker must not take what an idle one would. A command that is still on its way to the server cannot be
    /// unblocked yet, so those that were not are tried again.
    pub(super) async fn stop_waiting(&mut self) {
        for _ in 0..UNBLOCKING {
            let mut batch = Batch::new();
            let server = self.link.as_ref().map_or("", |link| &link.welcome.server);
            for (place, source) in self.book.sources.iter().enumerate() {
                let client = self.waiters.client(place).filter(|_| source.waiting);
                if let Some(number) = client.and_then(|client| client.number_on(server)) {
                    batch.add(&[b"CLIENT", b"UNBLOCK", number.as_bytes()]);
                }
            }
            if batch.is_empty() {
                return;
            }
            // If it fails, the connection is gone, and the next exchange will say so.
            let Ok(mut replies) = self.call(&batch).await else { return };
            if (0..batch.len()).all(|_| replies.int().is_ok_and(|unblocked| unblocked == 1)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.hear_waiters();
        }
    }

    pub(super) async fn wait_for_arrival(&mut self) {
        loop {
            self.hear_waiters();
            let has_something = !self.book.landed.is_empty() || self.has_known() || self.tokens.is_called;
            if self.link.is_none() || self.is_lost || has_something {
                return;
            }
            let now = self.now();
            let until_due = self.next_due.map(|due| due.from_now(now));
            if until_due == Some(Duration::ZERO) {
                return;
            }
            self.wait_everywhere();
            let all_waited_for = self.waiters.wait_for_all(&self.book.sources);
            let wake = Instant::now() + until_due.unwrap_or(LONGEST_WAIT);
            // Counted from the last look: whoever waits here is called away every second.
            let look = self.exchanged_at + LOOK;
            tokio::select! {
                landing = self.waiters.next() => {
                    if landing.is_none_or(|landing| self.hear(landing)) {
                        return;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
                () = tokio::time::sleep_until(look), if !all_waited_for => return,
            }
        }
    }

    /// Sets every waiter waiting that does not wait. A wait never outlasts the lease: what it takes must be ours.
    fn wait_everywhere(&mut self) {
        let margin = MARGIN.min(self.lease.term / 4);
        let lasts = self.confirmed_until.saturating_duration_since(Instant::now() + margin);
        let limit = lasts.min(LONGEST_WAIT);
        if limit < SHORTEST_WAIT {
            return;
        }
        for (place, source) in self.book.sources.iter_mut().enumerate() {
            if !source.waiting && !source.closed && self.waiters.has(place) {
                source.waiting = true;
                self.waiters.wait(place, limit);
            }
        }
    }

    /// Gives back what waiters took for a worker that then had no use for it.
    pub(super) async fn give_back_landed(&mut self) -> Result<()> {
        self.hear_waiters();
        if self.book.landed.is_empty() || self.exchanged_at.elapsed() < UNWANTED || self.link.is_none() {
            return Ok(());
        }
        let epoch = self.book.epoch;
        let receipts = self.book.landed.iter().map(|delivery| Receipt::new(delivery.tag(), epoch));
        let commits: Vec<Commit> =
            receipts.map(|receipt| Commit::settle(receipt, Verdict::Release)).collect();
        // After an error they stay where they are; those that are not ours any more go with the next connection.
        self.transact(&commits, 0, false, false, &mut Harvest::default()).await?;
        let book = &mut self.book;
        let kept: VecDeque<Delivery> = book.landed.drain(..).collect();
        book.landed = kept.into_iter().filter(|delivery| book.has(&delivery.receipt)).collect();
        Ok(())
    }
}
