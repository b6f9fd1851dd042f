//! After a connection broke: another one, and what the server knows of the session compared with what we know.
//!
//! Nothing the old connection has sent may be carried out any more, so it is ended first. Then the server's record says
//! whether the exchange in doubt was carried out; what was taken without our hearing of it lies in our lists.

use std::collections::HashMap;

use super::lease::lost;
use super::link::Link;
use super::open::end_clients;
use super::ring::{Held, Ring};
use super::session::{RedisSession, ahead};
use super::source::tag_of;
use super::transaction::Doubt;
use super::waiter::Waiters;
use super::wire::{Batch, bytes};
use crate::error::Result;
use crate::ident::Tag;
use crate::message::envelope::open;

impl RedisSession {
    /// Opens a new connection, and finds out what became of the exchange in doubt.
    ///
    /// # Errors
    /// `Closed` when the session was taken for dead meanwhile.
    pub(super) async fn reconnect(&mut self) -> Result<()> {
        let mut link = Link::open(&self.config).await?;
        self.ahead = ahead(&self.clock, link.welcome.time);
        self.end_old_connections(&mut link).await?;
        let mut batch = Batch::new();
        self.lease.watch(&mut batch);
        self.lease.renew(self.now(), &mut batch);
        batch.add(&[b"HGET", self.lease.hash.as_bytes(), b"exchange"]);
        for source in &self.book.sources {
            batch.add(&[b"LRANGE", source.held.as_bytes(), b"0", b"-1"]);
        }
        self.ask_for_lengths(&mut batch);
        let mut replies = link.call(&batch).await?;
        replies.skip(1)?;
        if replies.int()? == 0 {
            self.take_for_dead();
            return Err(lost());
        }
        replies.skip(2)?;
        let last =
            replies.bytes()?.and_then(|number| String::from_utf8(number).ok()?.parse().ok()).unwrap_or(0);
        let mut lists = Vec::new();
        for _ in 0..self.book.sources.len() {
            let elements =
                replies.array()?.into_iter().map(|element| Ok(bytes(element)?.unwrap_or_default()));
            lists.push(elements.collect::<Result<Vec<Vec<u8>>>>()?);
        }
        self.learn_lengths(&mut replies)?;
        self.resolve(last);
        for (place, elements) in lists.into_iter().enumerate() {
            self.compare(place, elements);
        }
        self.sync_tokens(&mut link).await?;
        self.waiters = Waiters::new(&self.config, &self.book.sources, &self.queues).await?;
        self.routes.clear();
        self.neighbours.forget(self.clock.now());
        self.last_client = link.client();
        self.link = Some(link);
        Ok(())
    }

    /// Writes down how many tokens we have: what was given in an answer that never came goes back so.
    async fn sync_tokens(&mut self, link: &mut Link) -> Result<()> {
        let mut batch = Batch::new();
        self.tokens.sync(&self.config.keys, &self.lease.session, &mut batch);
        if !batch.is_empty() {
            link.call(&batch).await?;
        }
        // Whoever is in line may have been called meanwhile.
        self.tokens.is_called = true;
        Ok(())
    }

    /// Ends what is left of the old connections on the server's side.
    async fn end_old_connections(&mut self, link: &mut Link) -> Result<()> {
        let waited = self.waiters.end().await;
        let mut batch = Batch::new();
        end_clients(waited.iter().chain(&self.last_client), &link.welcome.server, &mut batch);
        if !batch.is_empty() {
            // Mostly they are gone: that they are not found is no error.
            link.call(&batch).await?;
        }
        for source in &mut self.book.sources {
            source.waiting = false;
        }
        Ok(())
    }

    /// Finds out what became of the exchange in doubt: `last` is the last that the server has carried out.
    fn resolve(&mut self, last: u64) {
        let Some(Doubt { number, commits, refused, changes, returned }) = self.doubt.take() else { return };
        if last == number {
            self.apply(&changes);
            self.tokens.returned(&returned);
            self.settled_before = commits;
            self.refused_before.extend(refused);
        } else {
            self.exchanges = last;
            self.book.unsettle();
        }
    }

    /// Makes our picture of one list that of the server: what we did not know of was taken for us, what is not there
    /// any more is not ours.
    fn compare(&mut self, place: usize, elements: Vec<Vec<u8>>) {
        let old = std::mem::take(&mut self.book.sources[place].ring);
        let mut known: HashMap<u64, Vec<Held>> = HashMap::new();
        for (_, held) in old.all_held() {
            known.entry(name_of(&held.raw)).or_default().insert(0, held.clone());
        }
        self.book.strike(old.all_held().map(|(_, held)| held.tag));
        self.book.sources[place].ring = Ring::default();
        for raw in elements {
            let found = known.get_mut(&name_of(&raw)).and_then(Vec::pop).filter(|held| held.raw == raw);
            if let Some(held) = found {
                self.book.keep(place, held);
            } else {
                let delivery = self.book.enter(place, raw);
                self.book.landed.extend(delivery);
            }
        }
        let book = &self.book;
        let gone: Vec<Tag> = book
            .landed
            .iter()
            .filter(|delivery| !book.has(&delivery.receipt))
            .map(crate::broker::Delivery::tag)
            .collect();
        self.book.landed.retain(|delivery| !gone.contains(&delivery.tag()));
    }
}

fn name_of(raw: &[u8]) -> u64 {
    let opened = open(&bytes::Bytes::copy_from_slice(raw));
    tag_of(&opened.map(|opened| opened.delivery_tag).unwrap_or_default(), raw)
}
