//! How jobs leave without having run to their end here: lost, expired, given back.

use super::held::{Ack, Doom, Held};
use super::machine::{Machine, again};
use super::{Effect, Effects, Now, bounds, retry};
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventKind};
use crate::ident::{SlotId, Tag};
use crate::job::ending::{Commit, Verdict};
use crate::job::{Job, JobState};
use crate::pool::slot::{Sent, SlotState};
use crate::settle::decide::{self, Decision};
use crate::store::Record;
use crate::store::record::Exception;

impl Machine {
    /// A job's time ran out before a slot was free.
    pub(super) fn expire(&mut self, now: Now, tag: Tag, effects: &mut Effects) {
        let Some(mut held) = self.jobs.remove(&tag) else { return };
        effects.push(Effect::Tell(about(EventKind::Expired, &held.job)));
        effects.extend(super::revoke::commit(&mut held, "expired", now.wall).map(Effect::Settle));
    }

    /// A slot was closed: what had not started may go to another.
    pub(super) fn reclaimed(
        &mut self,
        now: Now,
        id: SlotId,
        started: u64,
        effects: &mut Effects,
    ) -> Result<()> {
        let slot = self.slots.get_mut(&id).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "a slot was reclaimed that is not there").with("slot", id.0)
        })?;
        if slot.state() == SlotState::Closed {
            return Ok(()); // asked for twice in one turn
        }
        if !matches!(slot.state(), SlotState::Busy | SlotState::Draining) {
            // It finished everything between the wish and the deed; its page is closed all the same.
            effects.push(Effect::Reopen { slot: id, sequence: slot.last_sequence() });
            return Ok(());
        }
        for tag in slot.close(started)?.into_iter().rev() {
            self.back_to_front(tag, effects);
        }
        self.end_wanted(now, id, effects);
        self.reopen(id, effects)
    }

    /// An executor is gone; `started` is the number of the last job it had begun.
    pub(super) fn slot_gone(
        &mut self,
        now: Now,
        id: SlotId,
        started: u64,
        reason: &str,
        effects: &mut Effects,
    ) {
        let Some(mut slot) = self.slots.remove(&id) else { return };
        for tag in slot.reserved().to_vec() {
            slot.unreserve(tag);
            self.wait_for_ack(tag, effects);
        }
        self.abandoned.retain(|_, (holder, _)| *holder != id);
        let before = slot.after();
        self.slots.values_mut().for_each(|other| other.outlive(id, before));
        let several = slot.permits() > 1;
        for Sent { sequence, tag, .. } in slot.eof().into_iter().rev() {
            if sequence > started {
                self.back_to_front(tag, effects);
            } else if let Some(held) = self.jobs.remove(&tag) {
                self.token_goes(&held);
                Self::died(now, held, several || sequence == started, reason, effects);
            }
        }
    }

    /// A job had started in an executor that is gone. `current`: it was the one running; else it had ended there and
    /// its outcome was lost with the executor, so it must run again.
    pub(super) fn died(now: Now, mut held: Held, current: bool, reason: &str, effects: &mut Effects) {
        if let Some(Doom::Terminated(signal)) = held.doom.filter(|_| current) {
            return super::revoke::settle(now, &mut held, Some(signal), effects);
        }
        if current && held.doom.is_none() {
            let told = lost(&held.job, true, reason);
            if let Some(commit) = retry::of_lost(&mut held, &Exception::worker_lost(reason), now.wall) {
                effects.extend([Effect::Tell(told), Effect::Settle(commit)]);
                return;
            }
        }
        let job = &held.job;
        let (decision, exception) = match held.doom {
            Some(Doom::TimedOut(limit)) if current => (
                decide::timed_out(&job.policy, job.delivery.deaths, held.ack != Ack::Late),
                Exception::time_limit(limit.as_secs_f64()),
            ),
            None if current => (
                decide::lost(&job.policy, job.delivery.deaths, held.ack != Ack::Late),
                Exception::worker_lost(reason),
            ),
            _ => (decide::interrupted(held.ack != Ack::Late), Exception::worker_lost(reason)),
        };
        if current && held.doom.is_none() {
            effects.push(Effect::Tell(lost(
                job,
                matches!(decision.verdict, Some(Verdict::Requeue { .. })),
                reason,
            )));
        } else if held.doom == Some(Doom::Stopped) {
            effects.push(Effect::Tell(interrupted(job, &decision)));
        }
        if let Some(Verdict::Bury { reason, .. }) = &decision.verdict {
            effects.push(Effect::Tell(buried(job, reason)));
        }
        effects.extend(commit(&mut held, decision, &exception, now.wall).map(Effect::Settle));
    }

    /// Puts a job that never started where it was.
    pub(super) fn back_to_front(&mut self, tag: Tag, effects: &mut Effects) {
        let Some(held) = self.jobs.get_mut(&tag) else { return };
        held.to_end = None;
        if self.stopping || (held.void && held.ack != Ack::Done) {
            self.give_back(tag, effects);
        } else {
            held.state = JobState::Ready;
            self.buffer.put_back(tag, held.job.delivery.rank);
        }
    }

    /// The slot that was kept for a job is gone: another will do, once the answer has come.
    fn wait_for_ack(&mut self, tag: Tag, effects: &mut Effects) {
        if self.jobs.get(&tag).is_some_and(|held| held.state == JobState::Acking) && !self.stopping {
            self.back_to_front(tag, effects);
        }
    }

    /// Gives a job that never started back to the broker.
    pub(super) fn give_back(&mut self, tag: Tag, effects: &mut Effects) {
        let Some(held) = self.jobs.get_mut(&tag) else { return };
        if held.ack == Ack::Asked {
            held.state = JobState::Acking; // until the answer comes nobody can say whose it is
            return;
        }
        let Some(mut held) = self.jobs.remove(&tag) else { return };
        self.token_goes(&held);
        if held.ack == Ack::Done {
            let publications = vec![again(&held.job)];
            let limits = bounds::limits(&mut held, None, &publications, WallTime(0));
            effects.push(Effect::Settle(Commit { publications, limits, ..Commit::default() }));
        } else if !held.void
            && let Some(receipt) = held.job.delivery.receipt.spend()
        {
            let limits = bounds::limits(&mut held, Some(&Verdict::Release), &[], WallTime(0));
            effects.push(Effect::Settle(Commit { limits, ..Commit::settle(receipt, Verdict::Release) }));
        }
    }

    /// No slot got on for a while: what waits here goes back, so that another worker can take it.
    pub(super) fn hand_back(&mut self, effects: &mut Effects) {
        while let Some(tag) = self.buffer.take_last() {
            self.give_back(tag, effects);
        }
    }

    /// The session is over: what has not begun is forgotten, what runs may end in vain. Only what was acknowledged
    /// before it is still ours, and nobody else's.
    pub(super) fn session_lost(&mut self, effects: &mut Effects) {
        self.buffer.gates.forget_session();
        let turned = self.passes.clear();
        for tag in self.buffer.drain().into_iter().chain(turned) {
            match self.jobs.get(&tag) {
                Some(held) if held.ack == Ack::Done => self.buffer.put(tag, held.job.delivery.rank),
                _ => drop(self.jobs.remove(&tag)),
            }
        }
        let asked: Vec<Tag> =
            self.jobs.iter().filter(|(_, held)| held.ack == Ack::Asked).map(|(tag, _)| *tag).collect();
        for held in self.jobs.values_mut() {
            // With the session its tokens are gone: they are not another session's to give back.
            (held.void, held.token) = (true, None);
        }
        for tag in asked {
            self.refused(tag, effects);
        }
        self.reclaim_batches(effects);
        if self.ends_lost_runs {
            self.end_lost_runs(effects);
        }
    }

    /// Ends runs that another worker will make from the beginning: what they would still do is done twice.
    fn end_lost_runs(&mut self, effects: &mut Effects) {
        for (tag, held) in &mut self.jobs {
            let (JobState::Sent(id) | JobState::Running(id), Ack::Late) = (held.state, held.ack) else {
                continue;
            };
            if let Some(slot) = self.slots.get(&id).filter(|slot| slot.is_killable()) {
                held.doom.get_or_insert(Doom::Stopped);
                let is_first = slot.sent().next().is_some_and(|sent| sent.tag == *tag);
                effects.extend(is_first.then_some(Effect::Kill(id)));
            }
        }
    }

    /// Takes no more and gives back what has not started; `at_once`: ends what runs.
    pub(super) fn stop(&mut self, at_once: bool, effects: &mut Effects) {
        self.stopping = true;
        let turned = self.passes.clear();
        for tag in self.buffer.drain().into_iter().chain(turned) {
            self.give_back(tag, effects);
        }
        if at_once {
            self.end_all(effects);
        } else {
            self.reclaim_batches(effects);
        }
    }

    fn reclaim_batches(&self, effects: &mut Effects) {
        let batches =
            self.slots.values().filter(|slot| slot.state() == SlotState::Busy && slot.sent().len() > 1);
        effects.extend(batches.map(|slot| Effect::Reclaim(slot.id())));
    }

    /// Kills what can be killed; what cannot is settled as if it had been.
    fn end_all(&mut self, effects: &mut Effects) {
        // An acknowledgement under way may be carried out or not: at most once means that the job is let go.
        self.jobs.retain(|_, held| held.ack != Ack::Asked);
        let mut in_process = Vec::new();
        for slot in self.slots.values() {
            if slot.is_killable() {
                effects.push(Effect::Kill(slot.id()));
            }
            for sent in slot.sent() {
                if let Some(held) = self.jobs.get_mut(&sent.tag) {
                    held.doom.get_or_insert(Doom::Stopped);
                }
                if !slot.is_killable() {
                    in_process.push(sent.tag);
                }
            }
        }
        for tag in in_process {
            if let Some(mut held) = self.jobs.remove(&tag) {
                let decision =
                    Decision { store_failure: false, ..decide::interrupted(held.ack != Ack::Late) };
                effects.push(Effect::Tell(interrupted(&held.job, &decision)));
                let exception = Exception::worker_lost("the worker was stopped");
                effects.extend(commit(&mut held, decision, &exception, WallTime(0)).map(Effect::Settle));
            }
        }
    }
}

/// The Commit that carries a decision out; `None` when there is nothing to do.
fn commit(held: &mut Held, decision: Decision, exception: &Exception, now: WallTime) -> Option<Commit> {
    let job = &mut held.job;
    let wanted = !job.ignores_result() || job.policy.store_errors_even_if_ignored;
    let mut commit = Commit::default();
    if decision.store_failure && wanted {
        let record = Record::of_exception(&job.id, "FAILURE", exception, now);
        commit.add_state(&job.name, record, job.policy.results_elsewhere);
    }
    commit.chords = if decision.store_failure { job.chords("FAILURE", exception) } else { None };
    commit.limits = bounds::limits(held, decision.verdict.as_ref(), &[], now);
    commit.settle = decision.verdict.and_then(|verdict| Some((held.job.delivery.receipt.spend()?, verdict)));
    (!commit.is_nothing()).then_some(commit)
}

fn about(kind: EventKind, job: &Job) -> Event {
    Event::new(kind).with("id", job.id.as_str()).with("name", job.name.as_str())
}

/// A message was set aside.
pub(super) fn buried(job: &Job, reason: &str) -> Event {
    about(EventKind::Buried, job).with("queue", &*job.delivery.queue).with("reason", reason)
}

fn interrupted(job: &Job, decision: &Decision) -> Event {
    about(EventKind::Interrupted, job).with("requeued", decision.verdict.is_some())
}

fn lost(job: &Job, requeued: bool, reason: &str) -> Event {
    about(EventKind::Lost, job)
        .with("deaths", job.delivery.deaths + 1)
        .with("requeued", requeued)
        .with("reason", reason)
}
