//! What the parent writes into the slot page: who may begin what, and whose run is to end ([`super::page`]).

use rustix::process::Signal;

use super::page::{CLAIM, CLOSED, ENDING, PERMITS, TAG, WORDS_PER_SLOT};
use super::seat::Process;
use super::{Pool, signal};
use crate::ident::SlotId;

impl Pool {
    /// Closes a slot's page; returns the number of the last job it started. `None` when it was closed already, so that
    /// closing is told once, or when nobody is there.
    pub fn close_page(&self, slot: SlotId) -> Option<u64> {
        self.seats.get(&slot)?;
        let word = slot.0 as usize * WORDS_PER_SLOT + CLAIM;
        let mut current = self.page.load(word);
        while current & CLOSED == 0 {
            match self.page.compare_exchange(word, current, current | CLOSED) {
                Ok(started) => return Some(started),
                Err(now) => current = now,
            }
        }
        None
    }

    /// Opens a slot's page for jobs above `sequence`; one whose pipe has ended stays closed.
    pub fn open_page(&self, slot: SlotId, sequence: u64) {
        if self.link(slot).is_some() {
            self.page.store(slot.0 as usize * WORDS_PER_SLOT + CLAIM, sequence);
        }
    }

    pub(super) fn clear(&self, slot: SlotId) {
        let first = slot.0 as usize * WORDS_PER_SLOT;
        self.page.store(first + TAG, 0);
        self.page.store(first + CLAIM, 0);
        self.page.store(first + PERMITS, u64::from(self.permits.unwrap_or(1)));
    }

    /// Ends the run that a closed slot has begun last: by a signal, which an executor in this process gets as an alarm.
    ///
    /// The executor begins nothing more, neither now, for its page is closed, nor later, for a process is asked to leave
    /// and its page never opened again. So the signal can hit no other run, however late it comes.
    pub fn terminate(&mut self, slot: SlotId, by: nix::sys::signal::Signal) {
        let word = slot.0 as usize * WORDS_PER_SLOT + CLAIM;
        let claim = self.page.load(word);
        let Some(seat) = self.seats.get_mut(&slot).filter(|_| claim & CLOSED != 0) else { return };
        self.page.store(word, claim | ENDING); // closed, so nobody else writes it
        if seat.process == Process::Here {
            return signal(std::process::id(), Signal::ALARM);
        }
        seat.expected = true;
        if let Some(link) = &seat.link {
            link.retire();
        }
        if let Some(number) = Signal::from_named_raw(by as i32) {
            self.signal(slot, number);
        }
    }
}
