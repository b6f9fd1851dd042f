//! The worker's one decision maker: data in, effects out. It knows no clock, no socket and no thread.
//!
//! | job is | input | becomes | effects |
//! |---|---|---|---|
//! | – | Arrived, of a job held here | as it was | the new Receipt is adopted |
//! | – | Arrived, while stopping | settled | Settle(release) |
//! | – | Arrived, called off | settled | Settle(ack, REVOKED), Tell(revoked) |
//! | – | Arrived, due much later | settled | Settle(ack, published again as delayed) |
//! | – | Arrived, due later | Waiting | |
//! | – | Arrived, its task's turn has not come | Limited | |
//! | – | Arrived, needs a turn or a token of the server | Limited | |
//! | – | Arrived | Ready | |
//! | Waiting | Tick, its time has come | Ready | |
//! | Ready | a slot is free, its task's turn has not come | Limited | |
//! | Limited | Tick, its turn has come | Ready | |
//! | Limited | Granted what it needs | Ready | |
//! | Limited | Tick, no slot was free for a second | settled | Settle(release) |
//! | Ready | a slot is free, expired | settled | Settle(ack, REVOKED), Tell(expired) |
//! | Waiting, Limited, Ready | Revoked | settled | Settle(ack, REVOKED), Tell(revoked) |
//! | Ready, Acking | a slot is free, or Settled; called off | settled | Settle(REVOKED), Tell(revoked) |
//! | Ready | a slot is free | Sent | Send |
//! | Ready, acknowledged early | a slot is free | Acking; the slot is kept | Settle(ack) |
//! | Acking | Settled | Sent | Send |
//! | Acking | Refused | gone | |
//! | Ready | Tick, no slot got on for a second | settled | Settle(release) |
//! | Sent | Started | Running | limits set |
//! | Sent | Reclaimed or SlotGone, never started | Ready, at the front | |
//! | Sent, Running | Finished | settled | Settle(told) |
//! | Sent, Running | Revoked | as it was | Reclaim |
//! | Sent, Running | Reclaimed, had started, is to be ended | Running, doomed | Terminate, or Kill, or Cancel |
//! | Running | Tick, soft limit passed | Running | Interrupt, Tell(timed out) |
//! | Running | Tick, hard limit passed | Running, doomed | Kill |
//! | Running beside others | Tick, hard limit passed | settled; its permit is kept | Settle(timed out), Cancel |
//! | Sent, Running | SlotGone, had started | settled | Settle(lost, timed out, REVOKED or interrupted), Tell(lost) |
//! | Waiting, Limited, Ready | SessionLost | gone | |
//! | Sent, Running | SessionLost | as it was, void | its Commit will be refused |
//! | Waiting, Limited, Ready | Stop | settled | Settle(release) |
//! | any | Stop at once | as it was, doomed | Kill |

use std::collections::BTreeMap;
use std::time::Duration;

use super::deadline::{Deadlines, Limit};
use super::estimate::{Estimates, Rate};
use super::gates::Passes;
use super::held::{Ack, Doom, Held};
use super::scale::Load;
use super::turns::WAITING_CAPACITY;
use super::{Effect, Effects, Input, Now, bounds};
use crate::broker::Publication;
use crate::buffer::Buffer;
use crate::buffer::revoked::Revoked;
use crate::clock::Instant;
use crate::consumer::credit::{self, Prefetch};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventKind};
use crate::ident::{ByTag, SlotId, Tag};
use crate::job::ending::{Commit, Ending, Outcome, Verdict};
use crate::job::{Job, JobState};
use crate::pool::slot::{Slot, SlotState};
use crate::settle::decide;

/// Messages due later than this wait in the broker, where it can.
pub(super) const HELD_HERE: Duration = Duration::from_secs(60);

/// Decides; see the table above.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, set and read in one place")]
pub struct Machine {
    pub(super) jobs: ByTag<Held>,
    pub(super) buffer: Buffer,
    pub(super) revoked: Revoked,
    pub(super) slots: BTreeMap<SlotId, Slot>,
    pub(super) passes: Passes,
    pub(super) deadlines: Deadlines,
    pub(super) estimates: Estimates,
    rate: Rate,
    prefetch: Prefetch,
    /// The broker can keep a message until it is due.
    delay_in_broker: bool,
    pub(super) stopping: bool,
    pub(super) progress_at: Instant,
    runs: u64,
    /// Jobs went back because no slot got on: no more than one a slot is asked for until one does.
    pub(super) stuck: bool,
    /// Somebody wants to hear of every job that arrives.
    pub tell_received: bool,
    /// Runs whose session is over are ended, where they can be.
    pub ends_lost_runs: bool,
    /// A slot in this process can be given up when its run passes the limit: it goes on, and nobody waits for it.
    pub gives_up_slots: bool,
    /// How many jobs a slot runs at the same time.
    pub permits: usize,
    /// Slots run jobs side by side, be it one, and are asked to interrupt or to end one of them.
    pub side_by_side: bool,
    /// Runs that are settled and go on: where, and which run. See [`super::beside`].
    pub(super) abandoned: BTreeMap<Tag, (SlotId, u64)>,
    /// At most so many messages wait here for their time or their turn.
    pub waiting_capacity: usize,
    /// So many more are asked for than there is use for, to see whether another slot would have work.
    pub probes: usize,
}

impl Machine {
    /// A machine without slots.
    pub fn new(prefetch: Prefetch, delay_in_broker: bool) -> Self {
        Self {
            jobs: ByTag::default(),
            buffer: Buffer::default(),
            revoked: Revoked::default(),
            slots: BTreeMap::new(),
            passes: Passes::default(),
            deadlines: Deadlines::default(),
            estimates: Estimates::default(),
            rate: Rate::default(),
            prefetch,
            delay_in_broker,
            stopping: false,
            progress_at: Instant(0),
            runs: 0,
            stuck: false,
            tell_received: false,
            ends_lost_runs: false,
            gives_up_slots: false,
            permits: 1,
            side_by_side: false,
            abandoned: BTreeMap::new(),
            waiting_capacity: WAITING_CAPACITY,
            probes: 0,
        }
    }

    /// Takes one input; writes what is to be done into `effects`.
    ///
    /// # Errors
    /// `Unexpected`, naming state and input, when the input does not fit: a bug, and nothing was changed by it.
    pub fn step(&mut self, now: Now, input: Input, effects: &mut Effects) -> Result<()> {
        match input {
            Input::Arrived(job) => self.arrived(now, job, effects),
            Input::SlotMade { slot, killable, after } => {
                let made = Slot::new(slot, killable, self.permits, now.monotonic);
                let after = after.filter(|before| self.slots.contains_key(before));
                self.slots.insert(slot, made.following(after));
            }
            Input::SlotUp(slot) => self.slot(slot)?.hello(now.monotonic)?,
            Input::SlotRetires(slot) => self.slot(slot)?.retire()?,
            Input::Settled(tag) => self.acknowledged(now, tag, effects),
            Input::Refused(tag) => self.refused(tag, effects),
            Input::Started(slot, tag) => self.started(now, slot, tag),
            Input::Finished(slot, tag, outcome) => self.finished(now, slot, tag, *outcome, effects)?,
            Input::Dropped(slot, _) => {
                self.slot(slot)?.dropped(now.monotonic);
                self.reopen(slot, effects)?;
            }
            Input::LetGo(slot, tag) => self.let_go(now, slot, tag, effects)?,
            Input::Reclaimed { slot, started } => self.reclaimed(now, slot, started, effects)?,
            Input::SlotGone { slot, started, reason } => self.slot_gone(now, slot, started, &reason, effects),
            Input::Revoked(revocations) => self.revoke(now, &revocations, effects),
            Input::Granted(answers) => self.granted(now, &answers, effects),
            Input::Freed => self.buffer.gates.freed(),
            Input::SessionLost => self.session_lost(effects),
            Input::Stop { at_once } => self.stop(at_once, effects),
            Input::Tick => self.tick(now, effects),
        }
        self.fill(now, effects);
        Ok(())
    }

    /// How many more messages may be asked for.
    pub fn credit(&mut self, now: Now) -> usize {
        if self.stopping || (self.waits_for_nothing_more() && !self.delay_in_broker) {
            return 0;
        }
        let slots = self.slots.values().filter(|slot| is_alive(slot.state())).map(Slot::permits).sum();
        let held = self.jobs.len() - self.waiting();
        let prefetch = if self.stuck { Prefetch::PerSlot(1) } else { self.prefetch };
        let credit = credit::credit(prefetch, slots, self.rate.per_second(now.monotonic, held == 0), held);
        if slots > 0 && held < slots + self.probes { credit.max(slots + self.probes - held) } else { credit }
    }

    /// How the slots are doing.
    pub fn load(&self) -> Load {
        let comes = |slot: &&Slot| is_alive(slot.state()) || slot.state() == SlotState::Starting;
        let slots = self.slots.values().filter(comes).count();
        let busy = self.slots.values().filter(|slot| !self.has_room(slot) && is_alive(slot.state())).count();
        Load { slots, busy, pressed: self.buffer.ready() > 0 && busy == slots }
    }

    /// Slots that have nothing to do, the last first.
    pub fn idle_slots(&self) -> impl Iterator<Item = SlotId> {
        self.slots.iter().rev().filter(|(_, slot)| slot.is_idle()).map(|(id, _)| *id)
    }

    /// Whether a slot has nothing to do: then nothing should be held back.
    pub fn is_hungry(&self) -> bool {
        self.buffer.ready() == 0 && self.slots.values().any(Slot::is_idle)
    }

    /// Whether no job is in hand.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// A job in hand.
    pub fn job(&self, tag: Tag) -> Option<&Job> {
        self.jobs.get(&tag).map(|held| &*held.job)
    }

    /// The jobs in hand and what they are doing.
    pub fn jobs(&self) -> impl Iterator<Item = (&Job, JobState)> {
        self.jobs.values().map(|held| (&*held.job, held.state))
    }

    /// Jobs in hand, those among them that may run, those that wait for their time, and those in slots.
    pub fn counts(&self) -> [usize; 4] {
        let in_slots = self.slots.values().map(|slot| slot.sent().len()).sum();
        let waiting = self.waiting();
        [self.jobs.len(), self.buffer.ready(), waiting, in_slots]
    }

    /// Jobs that wait for their time, their turn or a token.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.buffer.waiting() + self.buffer.limited.count() + self.buffer.gates.count();
        (waiting + self.passes.count()).min(self.jobs.len())
    }

    pub(super) fn slot(&mut self, id: SlotId) -> Result<&mut Slot> {
        self.slots.get_mut(&id).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "an input names a slot that is not there").with("slot", id.0)
        })
    }

    fn arrived(&mut self, now: Now, mut job: Box<Job>, effects: &mut Effects) {
        let tag = job.tag();
        if let Some(held) = self.jobs.get_mut(&tag) {
            held.adopt(job.delivery.receipt);
            return;
        }
        if !self.stopping && self.is_revoked(now, &job) {
            super::revoke::settle(now, &mut Held::new(job, JobState::Ready), None, effects);
            return;
        }
        effects.extend(self.tell_received.then(|| Effect::Tell(received(&job))));
        if self.stopping {
            let receipt = job.delivery.receipt.spend();
            effects.extend(receipt.map(|receipt| Effect::Settle(Commit::settle(receipt, Verdict::Release))));
            return;
        }
        let due = self.due(now, &mut job);
        if let Some(due) = due
            && self.delay_in_broker
            && (due.from_now(now.wall) > HELD_HERE || self.waits_for_nothing_more())
        {
            effects.extend(park(&mut job));
            return;
        }
        let state = self.shelve(now, &job, due);
        self.jobs.insert(tag, Held::new(job, state));
    }

    fn started(&mut self, now: Now, slot: SlotId, tag: Tag) {
        let is_limited =
            self.gives_up_slots || self.side_by_side || self.slots.get(&slot).is_some_and(Slot::is_killable);
        let Some(held) = self.jobs.get_mut(&tag).filter(|held| held.state == JobState::Sent(slot)) else {
            return;
        };
        held.state = JobState::Running(slot);
        self.runs += 1;
        held.run = self.runs;
        if is_limited {
            let limits = [(Limit::Soft, held.job.soft_limit()), (Limit::Hard, held.job.hard_limit())];
            for (limit, after) in limits.into_iter().filter_map(|(limit, after)| Some((limit, after?))) {
                self.deadlines.set(now.monotonic.after(after), limit, tag, held.run);
            }
            let Self { deadlines, jobs, slots, .. } = self;
            deadlines.tidy(slots.len(), |tag, run| jobs.get(&tag).is_some_and(|held| held.run == run));
        }
    }

    fn finished(
        &mut self,
        now: Now,
        slot: SlotId,
        tag: Tag,
        mut outcome: Outcome,
        effects: &mut Effects,
    ) -> Result<()> {
        let had = self.slot(slot)?.finish(tag, now.monotonic)?;
        if !had {
            return self.let_go(now, slot, tag, effects); // it ended by itself in the moment it was settled
        }
        self.progress_at = now.monotonic;
        self.stuck = false;
        self.rate.note();
        self.reopen(slot, effects)?;
        let Some(mut held) = self.jobs.remove(&tag) else { return Ok(()) };
        self.end_wanted(now, slot, effects);
        if let (Some(Doom::Terminated(signal)), Ending::Ignored) = (held.doom, outcome.ending) {
            super::revoke::settle(now, &mut held, Some(signal), effects); // it has been raised in the run
            return Ok(());
        }
        self.estimates.note(&held.job.name, outcome.runtime);
        let verdict = decide::told(&held.job.policy, outcome.ending, &outcome.reason, held.ack != Ack::Late);
        if let Some(Verdict::Bury { reason, .. }) = &verdict {
            effects.push(Effect::Tell(super::release::buried(&held.job, reason)));
        }
        self.pass_token_on(now, &mut held);
        let limits = bounds::limits(&mut held, verdict.as_ref(), &outcome.publications, now.wall);
        let settle = verdict.and_then(|verdict| Some((held.job.delivery.receipt.spend()?, verdict)));
        if settle.is_some() || held.ack == Ack::Done {
            let chords =
                outcome.chords.take().or_else(|| held.job.chords_refused(outcome.ending, &outcome.reason));
            let Outcome { records, publications, .. } = outcome;
            let commit = Commit { settle, records, publications, chords, limits, ..Commit::default() };
            effects.push(Effect::Settle(commit));
        }
        Ok(())
    }

    /// Opens a closed slot again once nothing of before is left in it.
    pub(super) fn reopen(&mut self, id: SlotId, effects: &mut Effects) -> Result<()> {
        let slot = self.slot(id)?;
        if slot.may_reopen() {
            slot.reopen()?;
            effects.push(Effect::Reopen { slot: id, sequence: slot.last_sequence() });
        }
        Ok(())
    }
}

fn received(job: &Job) -> Event {
    let event = Event::new(EventKind::Received).with("id", job.id.as_str()).with("name", job.name.as_str());
    let event = event.with("queue", &*job.delivery.queue);
    match job.due {
        Some(due) => event.with("eta", due.seconds()),
        None => event,
    }
}

/// Whether a slot will take jobs, now or soon.
pub(super) fn is_alive(state: SlotState) -> bool {
    matches!(state, SlotState::Idle | SlotState::Busy | SlotState::Closed)
}

/// Gives a message that is due much later back to the broker as a delayed one.
fn park(job: &mut Job) -> Option<Effect> {
    let receipt = job.delivery.receipt.spend()?;
    let settle = Some((receipt, Verdict::Ack));
    let publications = vec![again(job)];
    Some(Effect::Settle(Commit { settle, publications, ..Commit::default() }))
}

/// The message of a job, to be published once more.
pub(super) fn again(job: &Job) -> Publication {
    Publication {
        exchange: String::new(),
        routing_key: job.delivery.queue.to_string(),
        priority: job.delivery.priority,
        due: job.due,
        message: job.delivery.message.clone(),
    }
}
