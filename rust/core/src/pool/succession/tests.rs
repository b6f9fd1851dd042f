use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const A: SlotId = SlotId(0);
const B: SlotId = SlotId(1);
const SPARE: SlotId = SlotId(2);

fn succession() -> Succession {
    Succession::new(3)
}

#[test]
fn the_child_that_stands_by_follows_whoever_leaves_first() {
    let mut succession = succession();
    assert!(!succession.wants_spare());
    succession.leaves_soon(A);
    assert!(succession.wants_spare());
    succession.prepared(SPARE);
    assert!(succession.stands_by(SPARE) && !succession.wants_spare(), "one is enough");
    assert_eq!(succession.leaves(B, None), Some(SPARE));
    assert!(!succession.stands_by(SPARE), "it is in service now");
    assert!(succession.wants_spare(), "for the one that said so");
    assert_eq!(succession.gone(B, false), Vacancy::Stays, "it has been followed");
}

#[test]
fn a_child_that_leaves_without_a_word_is_followed_in_the_place_that_is_free() {
    let mut succession = succession();
    assert_eq!(succession.leaves(A, Some(SPARE)), Some(SPARE));
    assert_eq!(succession.leaves(A, Some(B)), None, "once");
    assert_eq!(succession.leaves(B, None), None, "no place is free");
    assert_eq!(succession.gone(B, false), Vacancy::Refilled);
    assert_eq!(succession.gone(A, false), Vacancy::Stays);
}

#[test]
fn a_death_is_followed_by_the_child_that_stands_by() {
    let mut succession = succession();
    succession.leaves_soon(A);
    succession.prepared(SPARE);
    assert_eq!(succession.gone(B, false), Vacancy::Followed(SPARE));
    assert_eq!(succession.gone(SPARE, false), Vacancy::Refilled, "in service it is as any other");
}

#[test]
fn one_that_dies_while_it_stands_by_takes_nobodys_place_along() {
    let mut succession = succession();
    succession.leaves_soon(A);
    succession.prepared(SPARE);
    assert_eq!(succession.gone(SPARE, false), Vacancy::Awaited);
    assert!(!succession.wants_spare(), "after a pause");
    assert_eq!(succession.gone(B, false), Vacancy::Refilled);
    assert_eq!(succession.due(B), Wanted::InService);
    assert_eq!(succession.due(SPARE), Wanted::ToStandBy);
    succession.prepared(SPARE);
    assert_eq!(succession.leaves(A, None), Some(SPARE));
}

#[test]
fn nobody_stands_by_for_one_that_is_gone() {
    let mut succession = succession();
    succession.leaves_soon(A);
    succession.prepared(SPARE);
    assert_eq!(succession.gone(SPARE, false), Vacancy::Awaited);
    assert_eq!(succession.gone(A, false), Vacancy::Refilled);
    assert_eq!(succession.due(SPARE), Wanted::Nobody);
    assert!(!succession.wants_spare());
}

#[test]
fn one_that_will_leave_after_its_first_task_is_not_followed_before_it_serves() {
    let mut succession = succession();
    succession.leaves_soon(A);
    succession.prepared(SPARE);
    succession.leaves_soon(SPARE);
    assert_eq!(succession.gone(A, true), Vacancy::Stays, "dismissed");
    assert_eq!(succession.gone(SPARE, false), Vacancy::Spared);
}

/// Something that happens to a slot.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Soon(u32),
    Bye(u32),
    Gone(u32),
    Due(u32),
}

/// What the loop does about it, with processes that are words.
struct Loop {
    succession: Succession,
    /// Who is there: whether it is in service.
    there: BTreeMap<SlotId, bool>,
    /// Places whose refilling is planned.
    planned: BTreeSet<SlotId>,
    leaving: BTreeSet<SlotId>,
    most: usize,
}

impl Loop {
    fn new(children: u32) -> Self {
        let there = (0..children).map(|slot| (SlotId(slot), true)).collect();
        let succession = Succession::new(children + 1);
        let (planned, leaving) = (BTreeSet::new(), BTreeSet::new());
        Self { succession, there, planned, leaving, most: children as usize }
    }

    fn vacant(&self) -> Option<SlotId> {
        self.succession.places().find(|slot| !self.there.contains_key(slot) && !self.planned.contains(slot))
    }

    fn serve(&mut self, slot: SlotId) {
        assert_ne!(self.there.insert(slot, true), Some(true), "two in one slot");
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Soon(slot) if self.there.contains_key(&SlotId(slot)) => {
                self.succession.leaves_soon(SlotId(slot));
            }
            // Only who has had a job leaves.
            Happening::Bye(slot) if self.there.get(&SlotId(slot)) == Some(&true) => {
                let slot = SlotId(slot);
                if let Some(successor) = self.succession.leaves(slot, self.vacant()) {
                    self.leaving.insert(slot);
                    self.serve(successor);
                }
            }
            Happening::Gone(slot) if self.there.contains_key(&SlotId(slot)) => {
                let slot = SlotId(slot);
                self.there.remove(&slot);
                self.leaving.remove(&slot);
                match self.succession.gone(slot, false) {
                    Vacancy::Refilled | Vacancy::Awaited => drop(self.planned.insert(slot)),
                    Vacancy::Followed(successor) => self.serve(successor),
                    Vacancy::Stays | Vacancy::Spared => {}
                }
            }
            Happening::Due(slot) if self.planned.remove(&SlotId(slot)) => {
                match self.succession.due(SlotId(slot)) {
                    Wanted::InService => self.serve(SlotId(slot)),
                    Wanted::ToStandBy => self.stand_by(SlotId(slot)),
                    Wanted::Nobody => {}
                }
            }
            _ => {}
        }
        if self.succession.wants_spare()
            && let Some(place) = self.vacant()
        {
            self.stand_by(place);
        }
    }

    fn stand_by(&mut self, slot: SlotId) {
        self.succession.prepared(slot);
        assert_eq!(self.there.insert(slot, false), None, "two in one slot");
    }

    /// Those that take jobs, or will when they are made.
    fn in_service(&self) -> usize {
        let serves = |slot: &SlotId| self.there.get(slot) == Some(&true) && !self.leaving.contains(slot);
        let refilled = self.planned.iter().filter(|slot| self.succession.spare != Spare::Awaited(**slot));
        self.succession.places().filter(serves).count() + refilled.count()
    }
}

fn happenings() -> impl Strategy<Value = Happening> {
    let slot = 0..4_u32;
    prop_oneof![
        slot.clone().prop_map(Happening::Soon),
        slot.clone().prop_map(Happening::Bye),
        slot.clone().prop_map(Happening::Gone),
        slot.prop_map(Happening::Due),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn as_many_serve_as_should_and_never_is_there_more_than_one_process_beyond_them(
        schedule in prop::collection::vec(happenings(), 1..200)
    ) {
        let mut world = Loop::new(3);
        for happening in schedule {
            world.happen(happening);
            prop_assert_eq!(world.in_service(), world.most);
            prop_assert!(world.there.len() <= world.most + 1);
            let standing = world.there.values().filter(|serves| !**serves).count();
            prop_assert!(standing <= 1);
        }
    }
}
