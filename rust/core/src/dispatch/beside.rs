//! Slots that run several jobs at the same time: an event loop, or green threads, with so many permits.
//!
//! What ends one run there must not end the others. So a run that passes its hard limit is settled at once and its
//! executor asked to cancel it; until it has, the run keeps its permit. An executor that does not answer is stuck in one
//! of its runs: it is killed, and the others go back to their queue.

use std::time::Duration;

use super::deadline::Limit;
use super::held::Doom;
use super::machine::Machine;
use super::{Effect, Effects, Now};
use crate::error::Result;
use crate::ident::{SlotId, Tag};
use crate::job::JobState;

/// How long an executor may take to let go of a run that it was to cancel.
const PATIENCE: Duration = Duration::from_secs(3);
/// A job that may not run beside those that run now is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Of so many permits one may be held by a job in whose presence an executor has died.
const SHARE: usize = 16;

impl Machine {
    /// Whether a job may run in a slot beside what runs there. If not, it waits on the shelf for a moment.
    ///
    /// When an executor dies, any of its runs may have killed it. The death is counted for all, and all are suspects
    /// from then on: few of them run at the same time, and one that the next death would set aside runs beside no other
    /// suspect. So after some deaths the one that kills is alone with its guilt, and no good message is set aside for the
    /// neighbours it had.
    pub(super) fn may_run_beside_others(&mut self, now: Now, id: SlotId, tag: Tag) -> bool {
        let Some(held) = self.jobs.get(&tag) else { return false };
        let may =
            !self.abandoned.contains_key(&tag) && (held.job.delivery.deaths == 0 || self.admits(id, tag));
        if !may {
            self.buffer.wait(tag, now.wall.after(LOOK_AGAIN));
            if let Some(held) = self.jobs.get_mut(&tag) {
                held.state = JobState::Waiting;
            }
        }
        may
    }

    fn admits(&self, id: SlotId, tag: Tag) -> bool {
        let is_last_chance = |tag: &Tag| {
            self.jobs.get(tag).is_some_and(|held| held.job.delivery.deaths + 1 >= held.job.policy.max_deaths)
        };
        let Some(slot) = self.slots.get(&id) else { return false };
        let there = slot.sent().map(|sent| sent.tag).chain(slot.reserved().iter().copied());
        let suspects: Vec<Tag> =
            there.filter(|tag| self.jobs.get(tag).is_some_and(|held| held.job.delivery.deaths > 0)).collect();
        let room = if is_last_chance(&tag) { 1 } else { (slot.permits() / SHARE).max(1) };
        suspects.len() < room && !suspects.iter().any(is_last_chance)
    }

    /// Settles a run that passed its hard limit while others run beside it, and has it cancelled.
    pub(super) fn abandon(&mut self, now: Now, id: SlotId, tag: Tag, effects: &mut Effects) {
        let is_there = self.slots.get_mut(&id).is_some_and(|slot| slot.abandon(tag));
        let Some(held) = self.jobs.remove(&tag).filter(|_| is_there) else { return };
        self.abandoned.insert(tag, (id, held.run));
        self.deadlines.set(now.monotonic.after(PATIENCE), Limit::Patience, tag, held.run);
        effects.push(Effect::Cancel(id, tag));
        self.token_goes(&held);
        Self::died(now, held, true, "", effects);
    }

    /// The executor holds the permit of an abandoned run no more.
    pub(super) fn let_go(&mut self, now: Now, id: SlotId, tag: Tag, effects: &mut Effects) -> Result<()> {
        if self.abandoned.get(&tag).is_none_or(|(holder, _)| *holder != id) {
            return Ok(());
        }
        self.abandoned.remove(&tag);
        self.slot(id)?.let_go(now.monotonic)?;
        self.reopen(id, effects)
    }

    /// An executor did not let go of a run: it is stuck, and what else it runs with it.
    pub(super) fn end_hanging_slot(&mut self, tag: Tag, run: u64, effects: &mut Effects) {
        let Some((id, _)) = self.abandoned.get(&tag).filter(|(_, abandoned)| *abandoned == run) else {
            return;
        };
        let Some(slot) = self.slots.get(id).filter(|slot| slot.is_killable()) else { return };
        for sent in slot.sent() {
            if let Some(held) = self.jobs.get_mut(&sent.tag) {
                held.doom.get_or_insert(Doom::Stopped);
            }
        }
        effects.push(Effect::Kill(*id));
    }
}
