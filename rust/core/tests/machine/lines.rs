//! Executors that come and follow one another: what one finishes counts for the next.

use std::time::Duration;

use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::Input;
use fastq_core::ident::SlotId;

use crate::world::{Child, World};

const FIRST: SlotId = SlotId(0);

impl World {
    /// An executor comes.
    pub(crate) fn birth(&mut self, slot: SlotId) {
        self.birth_after(slot, None);
    }

    fn birth_after(&mut self, slot: SlotId, after: Option<SlotId>) {
        self.children.insert(slot, Child::default());
        self.step(Input::SlotMade { slot, killable: true, after });
        self.step(Input::SlotUp(slot));
    }

    /// An executor takes no more: what it has not begun is taken back, and another follows it.
    pub(crate) fn succeed(&mut self, slot: SlotId, successor: SlotId) {
        let is_followed = self.before.values().any(|before| *before == slot);
        if is_followed || self.children.contains_key(&successor) {
            return;
        }
        let Some(child) = self.children.get_mut(&slot) else { return };
        let (was_closed, started) = (std::mem::replace(&mut child.closed, true), child.started);
        self.step(Input::SlotRetires(slot));
        if !was_closed {
            self.step(Input::Reclaimed { slot, started });
        }
        self.before.insert(successor, slot);
        self.birth_after(successor, Some(slot));
    }

    /// Runs that go on in an executor and in those it follows.
    pub(crate) fn running_in_line(&self, slot: SlotId) -> usize {
        let line = std::iter::successors(Some(slot), |slot| self.before.get(slot).copied());
        line.filter_map(|slot| self.children.get(&slot)).map(|child| child.running.len()).sum()
    }

    /// An executor is gone: whoever follows it follows whom it had followed.
    pub(crate) fn leave_line(&mut self, slot: SlotId) {
        let before = self.before.remove(&slot);
        if let Some(successor) = self.before.values_mut().find(|before| **before == slot) {
            // A slot that does not exist is followed by nobody.
            *successor = before.unwrap_or(SlotId(u32::MAX));
        }
    }
}

#[test]
fn what_an_executor_finishes_counts_for_its_successor() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 2);
    for _ in 0..4 {
        world.deliver(|_| {});
    }
    assert!(world.begin(FIRST));
    world.succeed(FIRST, SlotId(1));
    assert_eq!(world.children[&SlotId(1)].pipe.len(), 1, "one goes on before it");
    world.end(FIRST);
    world.tell(FIRST, Duration::from_millis(50));
    assert_eq!(world.children[&SlotId(1)].pipe.len(), 2);
    world.die(FIRST);
    world.finish();
    assert_eq!(world.verdicts.len(), 4);
}
