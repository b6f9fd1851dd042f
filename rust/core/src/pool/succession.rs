//! Who follows whom: a child that will leave before long has its successor made meanwhile. Pure.
//!
//! There is one place more than there are children in service. The child in it stands by: it is started, and gets no
//! jobs until another leaves. One place more and not one for each, because a child may be large; and because a place is
//! free again only when its process is gone, there never is more than one process beyond those in service.

use std::collections::{BTreeSet, VecDeque};

use crate::ident::SlotId;

/// The child that stands by, and whose turn it is to be followed.
#[derive(Debug)]
pub struct Succession {
    /// Slots that the nursery fills: those below.
    places: u32,
    spare: Spare,
    /// Children that will leave before long, in the order in which they said so.
    soon: VecDeque<SlotId>,
    /// Children that leave, and are followed already.
    followed: BTreeSet<SlotId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    Nobody,
    StandsBy(SlotId),
    /// It died before it was needed: the place is kept for another attempt.
    Awaited(SlotId),
}

/// What becomes of a place whose child is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// Nothing: who was there has been followed, or is not needed.
    Stays,
    /// The child that stands by, in this slot, takes over.
    Followed(SlotId),
    /// Another child is wanted there.
    Refilled,
    /// The one that stood by is gone. Another is wanted there.
    Awaited,
    /// The one that stood by is gone, and nobody needs another.
    Spared,
}

/// Who is to be made in a slot whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A child in service.
    InService,
    /// One that stands by.
    ToStandBy,
    /// Nobody any more.
    Nobody,
}

impl Succession {
    /// With so many slots for children, one more than will be in service.
    pub fn new(places: u32) -> Self {
        Self { places, spare: Spare::Nobody, soon: VecDeque::new(), followed: BTreeSet::new() }
    }

    /// The slots that the nursery fills.
    pub fn places(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.places).map(SlotId)
    }

    /// Whether the nursery fills this slot.
    pub fn has(&self, slot: SlotId) -> bool {
        slot.0 < self.places
    }

    /// Whether the child in this slot stands by, so that it may get no job.
    pub fn stands_by(&self, slot: SlotId) -> bool {
        self.spare == Spare::StandsBy(slot)
    }

    /// A child says that it will leave before long.
    pub fn leaves_soon(&mut self, slot: SlotId) {
        if self.has(slot) && !self.soon.contains(&slot) && !self.followed.contains(&slot) {
            self.soon.push_back(slot);
        }
    }

    /// Whether somebody should be made to stand by.
    pub fn wants_spare(&self) -> bool {
        self.spare == Spare::Nobody && self.is_awaited_by_any()
    }

    fn is_awaited_by_any(&self) -> bool {
        self.soon.iter().any(|slot| self.spare != Spare::StandsBy(*slot))
    }

    /// Somebody is being made in this slot, to stand by.
    pub fn prepared(&mut self, slot: SlotId) {
        self.spare = Spare::StandsBy(slot);
    }

    /// A child in service leaves; it may finish what it has. `vacant`: a slot in which nobody is. Returns where its
    /// successor is, or is to be made; `None`: there is none until it is gone.
    pub fn leaves(&mut self, slot: SlotId, vacant: Option<SlotId>) -> Option<SlotId> {
        if !self.has(slot) || self.followed.contains(&slot) || self.stands_by(slot) {
            return None;
        }
        let successor = self.take_spare().or(vacant)?;
        self.soon.retain(|other| *other != slot);
        self.followed.insert(slot);
        Some(successor)
    }

    fn take_spare(&mut self) -> Option<SlotId> {
        let Spare::StandsBy(slot) = self.spare else { return None };
        self.spare = Spare::Nobody;
        Some(slot)
    }

    /// A child is gone. `dismissed`: it was sent away for want of work.
    pub fn gone(&mut self, slot: SlotId, dismissed: bool) -> Vacancy {
        self.soon.retain(|other| *other != slot);
        if self.stands_by(slot) || self.spare == Spare::Awaited(slot) {
            self.spare = Spare::Nobody;
            if !self.is_awaited_by_any() {
                return Vacancy::Spared;
            }
            self.spare = Spare::Awaited(slot);
            return Vacancy::Awaited;
        }
        if self.followed.remove(&slot) || dismissed || !self.has(slot) {
            return Vacancy::Stays;
        }
        self.take_spare().map_or(Vacancy::Refilled, Vacancy::Followed)
    }

    /// The pause before another attempt in this slot is over.
    pub fn due(&mut self, slot: SlotId) -> Wanted {
        if self.spare != Spare::Awaited(slot) {
            return Wanted::InService;
        }
        self.spare = Spare::Nobody;
        if self.is_awaited_by_any() { Wanted::ToStandBy } else { Wanted::Nobody }
    }
}

#[cfg(test)]
mod tests;
