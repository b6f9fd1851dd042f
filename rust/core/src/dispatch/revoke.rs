//! Jobs that are called off: those that have not begun are settled, a run is ended where that is wanted.
//!
//! What must never happen is that the wrong run is ended, because the executor has moved on. So its slot is closed
//! first: from then on it can begin nothing, and the page says which job it began last. Only if that is the one in
//! question, and all before it have told their end, the executor is ended; and one that is to be ended is never
//! opened again ([`crate::pool::page`]). Whatever it had not begun goes to others.

use std::collections::{HashMap, HashSet};

use nix::sys::signal::Signal;

use super::held::{Ack, Doom, Held};
use super::machine::Machine;
use super::{Effect, Effects, Now, bounds};
use crate::clock::WallTime;
use crate::event::{Event, EventKind};
use crate::ident::{SlotId, Tag};
use crate::job::ending::{Commit, Verdict};
use crate::job::revocation::{Revocation, Stamps, Target, stamps};
use crate::job::{Job, JobState};
use crate::pool::slot::SlotState;
use crate::settle::revoked::revoked;

/// What a task's caller is told when it was called off before it ran, and in the middle of it, as by Celery.
const BEFORE: &str = "revoked";
const IN_THE_MIDDLE: &str = "terminated";

impl Machine {
    /// Tasks are called off: from now on, and those in hand.
    pub(super) fn revoke(&mut self, now: Now, revocations: &[Revocation], effects: &mut Effects) {
        for revocation in revocations {
            self.revoked.add(revocation, now.wall);
        }
        let mut on_shelves = HashSet::new();
        let mut taken_back = HashSet::new();
        for (tag, signal) in self.concerned(now, revocations) {
            let Some(held) = self.jobs.get_mut(&tag) else { continue };
            match held.state {
                JobState::Waiting | JobState::Limited | JobState::Ready if held.ack != Ack::Asked => {
                    on_shelves.insert(tag);
                }
                // What is being acknowledged is looked at again when the answer has come.
                JobState::Waiting | JobState::Limited | JobState::Ready | JobState::Acking => {}
                JobState::Running(_) if signal.is_none() => {}
                JobState::Sent(slot) | JobState::Running(slot) => {
                    held.to_end = signal.or(held.to_end);
                    taken_back.insert(slot);
                }
            }
        }
        self.buffer.remove(&on_shelves);
        for tag in on_shelves {
            self.call_off(now, tag, effects);
        }
        for slot in taken_back {
            self.take_back(now, slot, effects);
        }
    }

    /// What is called off now.
    pub fn revoked(&self, now: Now) -> impl Iterator<Item = &Target> {
        self.revoked.all(now.wall)
    }

    /// The jobs in hand that are called off, and the signal that is to end their runs.
    fn concerned(&self, now: Now, revocations: &[Revocation]) -> Vec<(Tag, Option<Signal>)> {
        let living = || revocations.iter().filter(|revocation| revocation.until > now.wall);
        let mut by_id: HashMap<&str, Option<Signal>> = HashMap::new();
        for revocation in living() {
            if let Target::Id(id) = &revocation.target {
                let signal = by_id.entry(id).or_default();
                *signal = revocation.terminate.or(*signal);
            }
        }
        let by_stamp: Vec<&Revocation> =
            living().filter(|revocation| matches!(revocation.target, Target::Stamp { .. })).collect();
        let wanted = |held: &Held| {
            let job = &held.job;
            let named = by_id.get(job.id.as_str()).copied();
            let borne =
                if by_stamp.is_empty() { Stamps::new() } else { stamps(&job.delivery.message.headers) };
            let stamped = by_stamp
                .iter()
                .filter(|found| found.target.concerns(&job.id, &borne))
                .map(|found| found.terminate);
            named.into_iter().chain(stamped).reduce(|one, other| other.or(one))
        };
        self.jobs.iter().filter_map(|(tag, held)| Some((*tag, wanted(held)?))).collect()
    }

    /// Whether a task is called off.
    pub(super) fn is_revoked(&self, now: Now, job: &Job) -> bool {
        self.revoked.has(&job.id, &job.delivery.message.headers, now.wall)
    }

    /// Settles a job in hand that is called off and lies on no shelf; whether it was.
    pub(super) fn drop_if_revoked(&mut self, now: Now, tag: Tag, effects: &mut Effects) -> bool {
        if self.revoked.is_empty() {
            return false;
        }
        let gone =
            self.jobs.get(&tag).is_some_and(|held| held.ack != Ack::Asked && self.is_revoked(now, &held.job));
        if gone {
            self.call_off(now, tag, effects);
        }
        gone
    }

    fn call_off(&mut self, now: Now, tag: Tag, effects: &mut Effects) {
        if let Some(mut held) = self.jobs.remove(&tag) {
            settle(now, &mut held, None, effects);
        }
    }

    /// Has a slot closed, so that it is known what it has begun; or acts at once when that is known.
    fn take_back(&mut self, now: Now, id: SlotId, effects: &mut Effects) {
        match self.slots.get(&id) {
            Some(slot) if slot.closed_at().is_some() => self.end_wanted(now, id, effects),
            Some(slot) if matches!(slot.state(), SlotState::Busy | SlotState::Draining) => {
                effects.push(Effect::Reclaim(id));
            }
            _ => {}
        }
    }

    /// A closed slot begins nothing more: ends what it runs, if that is wanted.
    pub(super) fn end_wanted(&mut self, now: Now, id: SlotId, effects: &mut Effects) {
        let Some(slot) = self.slots.get(&id) else { return };
        let Some(started) = slot.closed_at() else { return };
        if self.side_by_side {
            let there: Vec<Tag> = slot.sent().map(|sent| sent.tag).collect();
            for tag in there {
                if let Some(signal) = self.jobs.get_mut(&tag).and_then(|held| held.to_end.take()) {
                    self.doom(id, tag, signal, effects);
                    self.abandon(now, id, tag, effects);
                }
            }
            return;
        }
        // One that was begun earlier has ended, and will say so; then we come here again.
        let Some(first) = slot.sent().next().copied().filter(|first| first.sequence == started) else {
            return;
        };
        let Some(signal) = self.jobs.get_mut(&first.tag).and_then(|held| held.to_end.take()) else { return };
        self.doom(id, first.tag, signal, effects);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.is_killable() {
            // Whatever becomes of the signal, nothing is sent there any more that it could hit.
            let _ = slot.retire();
        }
        let gives_up = self.gives_up_slots && !slot.is_killable();
        effects.push(if gives_up { Effect::Kill(id) } else { Effect::Terminate { slot: id, signal } });
    }

    fn doom(&mut self, id: SlotId, tag: Tag, signal: Signal, effects: &mut Effects) {
        let Some(held) = self.jobs.get_mut(&tag) else { return };
        if matches!(held.doom, None | Some(Doom::Terminated(_))) {
            held.doom = Some(Doom::Terminated(signal));
        }
        let event = about(EventKind::Terminating, &held.job).with("slot", id.0);
        effects.push(Effect::Tell(event.with("signal", signal.as_str())));
    }
}

/// Settles a job that is called off. `by`: its run was ended by this signal.
pub(super) fn settle(now: Now, held: &mut Held, by: Option<Signal>, effects: &mut Effects) {
    let event = about(EventKind::Revoked, &held.job).with("terminated", by.is_some());
    let event = by.into_iter().fold(event, |event, signal| event.with("signal", signal.as_str()));
    effects.push(Effect::Tell(event));
    let why = if by.is_some() { IN_THE_MIDDLE } else { BEFORE };
    effects.extend(commit(held, why, now.wall).map(Effect::Settle));
}

/// The Commit of a job that is called off: its lock and token go with it. `None` when there is nothing to do.
pub(super) fn commit(held: &mut Held, why: &str, now: WallTime) -> Option<Commit> {
    let limits = bounds::limits(held, Some(&Verdict::Ack), &[], now);
    let commit = revoked(&mut held.job, why, now);
    let is_something = commit.is_some() || limits.is_some();
    is_something.then(|| Commit { limits, ..commit.unwrap_or_default() })
}

fn about(kind: EventKind, job: &Job) -> Event {
    Event::new(kind).with("id", job.id.as_str()).with("name", job.name.as_str())
}
