//! How children follow one another, as [`Succession`] decides.
//!
//! [`Succession`]: crate::pool::succession::Succession

use super::drive::Drive;
use crate::dispatch::Input;
use crate::event::{Event, EventKind};
use crate::ident::SlotId;
use crate::pool::Departure;
use crate::pool::succession::{Vacancy, Wanted};

impl Drive {
    /// Asks for a child in service. `after`: the slot of the one it follows, which may finish what it has.
    pub(super) fn spawn(&mut self, slot: SlotId, after: Option<SlotId>) {
        if self.ask_nursery(slot) {
            self.desk.inputs.push_back(Input::SlotMade { slot, killable: true, after });
        }
    }

    /// Asks for a child that stands by, when one leaves before long and a slot is free.
    pub(super) fn prepare_successor(&mut self) {
        if !self.stop.has_begun()
            && self.succession.wants_spare()
            && let Some(slot) = self.vacant_place()
        {
            self.stand_by(slot);
        }
    }

    fn stand_by(&mut self, slot: SlotId) {
        self.succession.prepared(slot);
        if !self.ask_nursery(slot) {
            self.succession.gone(slot, false);
        }
    }

    /// Whether the nursery was asked; if it could not be, that is tried again.
    fn ask_nursery(&mut self, slot: SlotId) -> bool {
        let asked = self.pool.spawn(slot, self.clock.now());
        if let Err(error) = &asked {
            self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
            self.pool.replace(&Departure::of_nobody(slot), self.clock.now());
        }
        asked.is_ok()
    }

    fn vacant_place(&self) -> Option<SlotId> {
        self.succession.places().find(|slot| self.pool.is_vacant(*slot))
    }

    /// The executor takes no more: what it has not begun goes to others, and its successor takes over.
    pub(super) fn leaves(&mut self, slot: SlotId) {
        let is_followed = self.pool.leaves(slot) && !self.stop.has_begun();
        if self.succession.stands_by(slot) {
            return; // it had nothing
        }
        self.desk.inputs.push_back(Input::SlotRetires(slot));
        self.reclaim(slot);
        let vacant = self.vacant_place();
        if is_followed && let Some(successor) = self.succession.leaves(slot, vacant) {
            self.takes_over(successor, slot);
        }
    }

    /// A child in service is gone, or one that stood by.
    pub(super) fn follow(&mut self, departure: &Departure) {
        let slot = departure.slot;
        let vacancy = self.succession.gone(slot, departure.dismissed);
        if self.stop.has_begun() {
            return;
        }
        match vacancy {
            Vacancy::Refilled | Vacancy::Awaited => self.pool.replace(departure, self.clock.now()),
            Vacancy::Followed(successor) => self.takes_over(successor, slot),
            Vacancy::Stays | Vacancy::Spared => {}
        }
    }

    /// Whoever stands by in a slot is in service from now on; if nobody does, a child is made there.
    fn takes_over(&mut self, successor: SlotId, before: SlotId) {
        if self.pool.is_vacant(successor) {
            return self.spawn(successor, Some(before));
        }
        let after = Some(before);
        self.desk.inputs.push_back(Input::SlotMade { slot: successor, killable: true, after });
        if self.pool.is_ready(successor) {
            self.desk.inputs.push_back(Input::SlotUp(successor));
        }
    }

    /// The time has come for another attempt in a slot.
    pub(super) fn refill(&mut self, slot: SlotId) {
        match self.succession.due(slot) {
            Wanted::InService => self.spawn(slot, None),
            Wanted::ToStandBy => self.stand_by(slot),
            Wanted::Nobody => {}
        }
    }
}
