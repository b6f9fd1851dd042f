//! Which seat the nursery speaks of: it names slots, and a slot has one child after the other. Pure.

use std::collections::{HashMap, VecDeque};

use super::seat::SeatId;
use crate::ident::SlotId;

/// The children that were asked for, and those that have not been reaped.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// Seats whose child is not born, oldest first: the nursery answers each demand, in their order.
    awaited: VecDeque<SeatId>,
    /// Seats by process. A number is free for another process only when it has been reaped, which is told before.
    living: HashMap<u32, SeatId>,
}

impl Births {
    /// The nursery was asked for a child.
    pub(super) fn asked_for(&mut self, seat: SeatId) {
        self.awaited.push_back(seat);
    }

    /// A child was born; whose it is.
    pub(super) fn born(&mut self, slot: SlotId, pid: u32) -> Option<SeatId> {
        let seat = self.answered(slot)?;
        self.living.insert(pid, seat);
        Some(seat)
    }

    /// No child could be forked; for whom.
    pub(super) fn failed(&mut self, slot: SlotId) -> Option<SeatId> {
        self.answered(slot)
    }

    /// A child was reaped; whose it was.
    pub(super) fn reaped(&mut self, pid: u32) -> Option<SeatId> {
        self.living.remove(&pid)
    }

    fn answered(&mut self, slot: SlotId) -> Option<SeatId> {
        let position = self.awaited.iter().position(|seat| seat.slot == slot)?;
        self.awaited.remove(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: SlotId = SlotId(4);

    fn seat(number: u64) -> SeatId {
        SeatId { slot: SLOT, number }
    }

    #[test]
    fn answers_are_of_the_oldest_demand_of_their_slot_also_when_another_has_followed() {
        let mut births = Births::default();
        births.asked_for(SeatId { slot: SlotId(5), number: 0 });
        for number in 1..=3 {
            births.asked_for(seat(number));
        }
        assert_eq!(births.born(SLOT, 70), Some(seat(1)));
        assert_eq!(births.failed(SLOT), Some(seat(2)));
        assert_eq!(births.born(SLOT, 71), Some(seat(3)));
        assert_eq!(births.born(SLOT, 72), None, "nobody asked");
        assert_eq!(births.reaped(70), Some(seat(1)));
    }

    #[test]
    fn a_process_number_that_comes_again_is_another_child() {
        let mut births = Births::default();
        births.asked_for(seat(1));
        births.asked_for(seat(2));
        births.born(SLOT, 70);
        assert_eq!(births.reaped(70), Some(seat(1)));
        births.born(SLOT, 70);
        assert_eq!(births.reaped(70), Some(seat(2)));
        assert_eq!(births.reaped(70), None);
    }
}
