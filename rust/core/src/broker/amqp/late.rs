//! Messages that a client sends without waiting: the server confirms them behind the calls. They are kept until it
//! has, and set adrift when the connection ends before.

use std::time::{Duration, Instant};

use super::connection::Handle;
use crate::broker::Publication;
use crate::error::Result;

/// So many messages may be unconfirmed; whoever sends one more waits.
const WINDOW: usize = 1024;
/// Messages that are larger are waited for: what is kept has a limit in bytes, too.
const LARGEST: usize = 32 * 1024;
/// A server that confirms nothing for so long, and has not said why, is taken for gone.
const OVERDUE: Duration = Duration::from_secs(10);
/// So many addresses are remembered.
const ADDRESSES: usize = 1024;

impl Handle {
    /// Whether a message may be sent without waiting: one of moderate size to where another one has arrived, so that a
    /// wrong address is an error of the call that has it.
    pub(super) fn can_be_late(&self, publication: &Publication) -> bool {
        let address = (publication.exchange.as_str(), publication.routing_key.as_str());
        publication.message.size_bytes() <= LARGEST
            && self.addresses.get(address.0).is_some_and(|keys| keys.contains(address.1))
    }

    /// Remembers where a message has arrived.
    pub(super) fn learn(&mut self, publication: &Publication) {
        if self.addresses.values().map(std::collections::HashSet::len).sum::<usize>() >= ADDRESSES {
            self.addresses.clear();
        }
        let keys = self.addresses.entry(publication.exchange.clone()).or_default();
        keys.insert(publication.routing_key.clone());
    }

    /// Writes a message, and keeps it until it is confirmed.
    ///
    /// # Errors
    /// `Timeout` when too many are unconfirmed for too long; those of the connection.
    pub(super) fn send_late(&mut self, publication: &Publication, until: Instant) -> Result<()> {
        if self.waiting() >= WINDOW {
            self.confirmed(WINDOW / 2, until)?;
        }
        self.write(publication, true)?;
        self.flush(until)?;
        if self.waiting() == 0 {
            self.confirmed_at = Instant::now();
        }
        self.confirms.sent(Some(Box::new(publication.clone())));
        Ok(())
    }

    /// Takes in what has come, without waiting; what came back or was refused is set adrift.
    ///
    /// # Errors
    /// Those of the connection, which is of no more use.
    pub(super) fn look(&mut self) -> Result<()> {
        let before = self.waiting();
        self.take_in()?;
        if self.waiting() < before || self.blocked.is_some() {
            self.confirmed_at = Instant::now();
        }
        self.put_aside();
        Ok(())
    }

    /// Waits until everything is confirmed that was sent without waiting.
    ///
    /// # Errors
    /// `Timeout`, and those of the connection.
    pub(super) fn catch_up(&mut self, until: Instant) -> Result<()> {
        self.confirmed(0, until)?;
        self.put_aside();
        Ok(())
    }

    /// How many messages are not confirmed.
    pub(super) fn waiting(&self) -> usize {
        self.confirms.waiting()
    }

    /// Whether the server has been silent for too long about what it was sent.
    pub(super) fn is_overdue(&self) -> bool {
        self.waiting() > 0 && self.confirmed_at.elapsed() > OVERDUE
    }

    /// It can be used no more, so that what is not confirmed is sent again over another one.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }

    /// Sets adrift what came back, and what was refused.
    pub(super) fn put_aside(&mut self) {
        let refused = self.confirms.take_refused();
        if refused.is_empty() && self.returned.is_empty() {
            return;
        }
        let returned = std::mem::take(&mut self.returned).into_iter().map(Publication::from);
        self.adrift.add(returned.chain(refused.into_iter().flatten().map(|kept| *kept)));
    }

    /// Sets adrift all that is not confirmed: its channel is gone.
    pub(super) fn set_adrift(&mut self) {
        let kept: Vec<Publication> = self.confirms.begin_anew().flatten().map(|kept| *kept).collect();
        if !kept.is_empty() {
            self.adrift.add(kept);
        }
    }
}

impl Drop for Handle {
    /// What a connection takes with it is sent again over another one; a forked process leaves that to its parent.
    fn drop(&mut self) {
        if self.is_ours() {
            self.put_aside();
            self.set_adrift();
        }
    }
}
