//! Which job goes to which slot, and what time alone brings about.
//!
//! Fair: a job goes to a slot that is free. Only jobs known to be short are handed over several at once, so many that
//! together they take about two milliseconds: less than one would notice, enough to make the pipe cost nothing.
//!
//! A slot with several permits gets one job for each. Among such slots the one with the least to do is taken.

use std::time::Duration;

use super::deadline::Limit;
use super::estimate::TOGETHER;
use super::held::{Ack, Doom};
use super::machine::Machine;
use super::{Effect, Effects, Now};
use crate::clock::Instant;
use crate::event::{Event, EventKind};
use crate::ident::{SlotId, Tag};
use crate::job::JobState;
use crate::job::ending::{Commit, Verdict};
use crate::pool::slot::{Slot, SlotState};

/// At most so many jobs lie in one slot's pipe.
const BATCH: usize = 128;
/// A slot that did not get on for so long has what it has not begun taken back.
const STALLED: Duration = Duration::from_millis(20);
/// Jobs that no slot could take for so long go back to the broker, where another worker may have a free one.
const HAND_BACK: Duration = Duration::from_secs(1);

impl Machine {
    /// Hands out ready jobs while there are slots for them.
    pub(super) fn fill(&mut self, now: Now, effects: &mut Effects) {
        while let Some(tag) = self.buffer.peek() {
            if self.drop_if_revoked(now, tag, effects) {
                self.buffer.take();
                continue;
            }
            let Some(held) = self.jobs.get(&tag) else {
                self.buffer.take();
                continue;
            };
            if held.job.expires.is_some_and(|expires| expires <= now.wall) {
                self.buffer.take();
                self.expire(now, tag, effects);
                continue;
            }
            let estimate = if held.job.goes_alone() { None } else { self.estimates.short(&held.job.name) };
            let Some(slot) = self.choose(estimate) else { return };
            self.buffer.take();
            if self.side_by_side && !self.may_run_beside_others(now, slot, tag) {
                continue;
            }
            if !self.takes_turn(now, tag) {
                continue;
            }
            self.hand_over(now, slot, tag, estimate, effects);
        }
    }

    /// A free slot, else the slot with the least to do that may take one more short job.
    fn choose(&self, estimate: Option<Duration>) -> Option<SlotId> {
        if self.permits > 1 {
            let free = self.slots.values().filter(|slot| self.has_room(slot));
            if let Some(slot) = free.min_by_key(|slot| slot.sent().len()) {
                return Some(slot.id());
            }
        }
        let mut best: Option<(Duration, SlotId)> = None;
        for (id, slot) in &self.slots {
            let backlog = match slot.state() {
                SlotState::Idle if self.has_room(slot) => return Some(*id),
                _ if estimate.is_some() && slot.takes_several() && slot.sent().len() < BATCH => {
                    slot.backlog()
                }
                _ => None,
            };
            if let (Some(backlog), Some(estimate)) = (backlog, estimate)
                && backlog + estimate <= TOGETHER
                && best.is_none_or(|(least, _)| backlog < least)
            {
                best = Some((backlog, *id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// Whether a slot has a permit left. Runs that go on in those it follows use its permits: a child that finishes what
    /// it has and its successor run no more together than one may.
    pub(super) fn has_room(&self, slot: &Slot) -> bool {
        let mut taken = slot.taken();
        let mut after = slot.after();
        while let Some(before) = after.and_then(|id| self.slots.get(&id)) {
            taken += before.taken();
            after = before.after();
        }
        slot.is_free() && taken < slot.permits()
    }

    /// Sends a job, or first acknowledges it where that must happen before it can do anything.
    fn hand_over(
        &mut self,
        now: Now,
        id: SlotId,
        tag: Tag,
        estimate: Option<Duration>,
        effects: &mut Effects,
    ) {
        let (Some(held), Some(slot)) = (self.jobs.get_mut(&tag), self.slots.get_mut(&id)) else { return };
        if held.job.policy.acks_late || held.ack == Ack::Done {
            self.send(now, id, tag, estimate, effects);
            return;
        }
        held.state = JobState::Acking;
        slot.reserve(tag);
        if let Some(receipt) = held.job.delivery.receipt.spend() {
            held.ack = Ack::Asked;
            effects.push(Effect::Settle(Commit { note: true, ..Commit::settle(receipt, Verdict::Ack) }));
        }
    }

    /// The broker has acknowledged a job that was not to start before.
    pub(super) fn acknowledged(&mut self, now: Now, tag: Tag, effects: &mut Effects) {
        let Some(held) = self.jobs.get_mut(&tag).filter(|held| held.ack == Ack::Asked) else { return };
        held.ack = Ack::Done;
        if held.state != JobState::Acking {
            return;
        }
        let slot = self.unreserve(tag);
        if self.stopping {
            self.give_back(tag, effects);
        } else if self.drop_if_revoked(now, tag, effects) {
            // It had been called off before the answer came.
        } else if let Some(slot) = slot.filter(|id| self.slots.get(id).is_some_and(Slot::is_free)) {
            self.send(now, slot, tag, None, effects);
        } else {
            self.back_to_front(tag, effects);
        }
    }

    /// The broker has not acknowledged it: somebody else has it.
    pub(super) fn refused(&mut self, tag: Tag, effects: &mut Effects) {
        if self.jobs.get(&tag).is_some_and(|held| held.ack == Ack::Asked) {
            self.unreserve(tag);
            self.drop_token(tag, effects);
            self.jobs.remove(&tag);
        }
    }

    /// Frees the slot that is kept for a job.
    pub(super) fn unreserve(&mut self, tag: Tag) -> Option<SlotId> {
        self.slots.values_mut().find_map(|slot| slot.unreserve(tag).then(|| slot.id()))
    }

    fn send(&mut self, now: Now, id: SlotId, tag: Tag, estimate: Option<Duration>, effects: &mut Effects) {
        let assigned =
            self.slots.get_mut(&id).and_then(|slot| slot.assign(tag, estimate, now.monotonic).ok());
        let (Some(sequence), Some(held)) = (assigned, self.jobs.get_mut(&tag)) else { return };
        held.state = JobState::Sent(id);
        self.progress_at = now.monotonic;
        effects.push(Effect::Send { slot: id, sequence, tag });
    }

    /// What time brings about: due jobs, limits, stalls.
    pub(super) fn tick(&mut self, now: Now, effects: &mut Effects) {
        let was_empty = self.buffer.ready() == 0;
        while let Some(tag) = self.buffer.take_due(now.wall) {
            if self.passes_gates(now, tag)
                && let Some(held) = self.jobs.get_mut(&tag)
            {
                held.state = JobState::Ready;
                self.buffer.put(tag, held.job.delivery.rank);
            }
        }
        while let Some(tag) = self.buffer.limited.pop_due(now.monotonic) {
            if let Some(held) = self.jobs.get_mut(&tag) {
                (held.state, held.had_turn) = (JobState::Ready, true);
                self.buffer.put_back(tag, held.job.delivery.rank);
            }
        }
        self.tick_gates(now, effects);
        if was_empty {
            // They wait for a slot from now on, however long ago one got on with something else.
            self.progress_at = now.monotonic;
        }
        while let Some((limit, tag, run)) = self.deadlines.pop(now.monotonic) {
            self.limit_passed(now, limit, tag, run, effects);
        }
        let stalled =
            self.slots.values().filter(|slot| stalls_at(slot).is_some_and(|at| at <= now.monotonic));
        effects.extend(stalled.map(|slot| Effect::Reclaim(slot.id())));
        if self.hand_back_at().is_some_and(|at| at <= now.monotonic) {
            self.hand_back(effects);
            self.stuck = true;
            self.progress_at = now.monotonic;
        }
    }

    fn limit_passed(&mut self, now: Now, limit: Limit, tag: Tag, run: u64, effects: &mut Effects) {
        if limit == Limit::Patience {
            self.end_hanging_slot(tag, run, effects);
            return;
        }
        let Some(held) = self.jobs.get_mut(&tag).filter(|held| held.run == run) else { return };
        let JobState::Running(slot) = held.state else { return };
        match held.doom {
            None => {}
            Some(Doom::Terminated(_)) if limit == Limit::Hard => {
                effects.push(Effect::Kill(slot)); // the signal was not enough
                return;
            }
            Some(_) => return,
        }
        let (hard, soft) = (held.job.hard_limit(), held.job.soft_limit());
        let seconds = if limit == Limit::Hard { hard } else { soft }.unwrap_or_default();
        let event = Event::new(EventKind::TimedOut)
            .with("id", held.job.id.as_str())
            .with("name", held.job.name.as_str());
        let event = event.with("seconds", seconds.as_secs_f64()).with("hard", limit == Limit::Hard);
        let event = event.with("slot", slot.0);
        effects.push(Effect::Tell(event));
        if limit == Limit::Soft {
            effects.push(Effect::Interrupt(slot, tag));
            return;
        }
        held.doom = Some(Doom::TimedOut(seconds));
        if self.side_by_side {
            self.abandon(now, slot, tag, effects);
        } else {
            effects.push(Effect::Kill(slot));
        }
    }

    /// When jobs that no slot takes should go back to the broker.
    fn hand_back_at(&self) -> Option<Instant> {
        (self.buffer.ready() > 0 && !self.stopping).then(|| self.progress_at.after(HAND_BACK))
    }

    /// When [`super::Input::Tick`] is wanted next.
    pub fn next_wake(&self, now: Now) -> Option<Instant> {
        let due = self.buffer.next_due().map(|due| now.monotonic.after(due.from_now(now.wall)));
        let stall = self.slots.values().filter_map(stalls_at).min();
        let turn = self.buffer.limited.next_due();
        let times = [due, stall, turn, self.deadlines.next(), self.hand_back_at(), self.gates_wake()];
        times.into_iter().flatten().min()
    }
}

/// When a slot counts as stalled. Also with one job: it may not have begun it, for it may be stopped or held.
fn stalls_at(slot: &Slot) -> Option<Instant> {
    slot.waits_since().map(|since| since.after(STALLED))
}
