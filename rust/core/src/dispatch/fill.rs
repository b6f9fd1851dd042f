//! Which job goes to which slot, and what time alone brings about.
//!
//! Fair: a job goes to a slot that is free. Only jobs known to be short are handed over several at once, so many that
//! together they take about two milliseconds: less than one would notice, enough to make the pipe cost nothing.

use std::time::Duration;

use super::deadline::Limit;
use super::estimate::TOGETHER;
use super::machine::{Doom, Machine};
use super::{Effect, Effects, Now};
use crate::clock::Instant;
use crate::event::{Event, EventKind};
use crate::ident::{SlotId, Tag};
use crate::job::JobState;
use crate::pool::slot::{Slot, SlotState};

/// At most so many jobs lie in one slot's pipe.
const BATCH: usize = 128;
/// A slot that got several jobs and did not get on for so long has its unstarted ones taken back.
const STALLED: Duration = Duration::from_millis(20);
/// Jobs that no slot could take for so long go back to the broker, where another worker may have a free one.
const HAND_BACK: Duration = Duration::from_secs(1);

impl Machine {
    /// Hands out ready jobs while there are slots for them.
    pub(super) fn fill(&mut self, now: Now, effects: &mut Effects) {
        while let Some(tag) = self.buffer.peek() {
            let Some(held) = self.jobs.get(&tag) else {
                self.buffer.take();
                continue;
            };
            if held.job.expires.is_some_and(|expires| expires <= now.wall) {
                self.buffer.take();
                self.expire(now, tag, effects);
                continue;
            }
            let estimate =
                if held.job.must_report_start() { None } else { self.estimates.short(&held.job.name) };
            let Some(slot) = self.choose(estimate) else { return };
            self.buffer.take();
            self.send(now, slot, tag, estimate, effects);
        }
    }

    /// An idle slot, else the slot with the least to do that may take one more short job.
    fn choose(&self, estimate: Option<Duration>) -> Option<SlotId> {
        let mut best: Option<(Duration, SlotId)> = None;
        for (id, slot) in &self.slots {
            let backlog = match slot.state() {
                SlotState::Idle => return Some(*id),
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
        while let Some(tag) = self.buffer.take_due(now.wall) {
            if let Some(held) = self.jobs.get_mut(&tag) {
                held.state = JobState::Ready;
                self.buffer.put(tag, held.job.delivery.rank);
            }
        }
        while let Some((limit, tag, run)) = self.deadlines.pop(now.monotonic) {
            self.limit_passed(limit, tag, run, effects);
        }
        let stalled =
            self.slots.values().filter(|slot| stalls_at(slot).is_some_and(|at| at <= now.monotonic));
        effects.extend(stalled.map(|slot| Effect::Reclaim(slot.id())));
        if self.hand_back_at().is_some_and(|at| at <= now.monotonic) {
            self.hand_back(effects);
            self.progress_at = now.monotonic;
        }
    }

    fn limit_passed(&mut self, limit: Limit, tag: Tag, run: u64, effects: &mut Effects) {
        let Some(held) = self.jobs.get_mut(&tag).filter(|held| held.run == run && held.doom.is_none()) else {
            return;
        };
        let JobState::Running(slot) = held.state else { return };
        let seconds = match limit {
            Limit::Soft => held.job.soft_limit(),
            Limit::Hard => held.job.hard_limit(),
        }
        .unwrap_or_default();
        let event = Event::new(EventKind::TimedOut)
            .with("id", held.job.id.as_str())
            .with("name", held.job.name.as_str());
        let event = event.with("seconds", seconds.as_secs_f64()).with("hard", limit == Limit::Hard);
        effects.push(Effect::Tell(event));
        match limit {
            Limit::Soft => effects.push(Effect::Interrupt(slot)),
            Limit::Hard => {
                held.doom = Some(Doom::TimedOut(seconds));
                effects.push(Effect::Kill(slot));
            }
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
        [due, stall, self.deadlines.next(), self.hand_back_at()].into_iter().flatten().min()
    }
}

/// When a slot with several jobs counts as stalled.
fn stalls_at(slot: &Slot) -> Option<Instant> {
    (slot.state() == SlotState::Busy && slot.sent().len() > 1).then(|| slot.progress_at().after(STALLED))
}
