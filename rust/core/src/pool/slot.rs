//! The state machine of a slot: what a place where jobs run may be told, and when.
//!
//! ```text
//! Starting --hello--> Idle --assign--> Busy --assign--> Busy --finish--> Idle     (when it was the last)
//! Starting, Idle, Busy, Closed --retire--> Draining
//! Draining --hello, finish, close, retire--> Draining       (it leaves by itself when it has nothing left)
//! Busy --close--> Closed --finish--> Closed --reopen (when all is dropped, and a permit is left)--> Idle, Busy
//! any --eof--> Gone
//! ```
//! A slot may run several jobs at the same time: it has *permits*, and is free while one is left. With one permit all
//! that is said here of several is true of one.
//!
//! *Closed*: the parent has taken back what the slot had not started (see [`super::page`]); nothing may be assigned
//! until what did start has finished and the slot is reopened.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::{SlotId, Tag};

/// What a slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Its executor has not said hello.
    Starting,
    /// Ready for a job.
    Idle,
    /// Has at least one job.
    Busy,
    /// Finishes what it has, then leaves.
    Draining,
    /// What it had not started was taken back.
    Closed,
    /// Its executor is gone.
    Gone,
}

/// What can happen to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotInput {
    /// The executor is there.
    Hello,
    /// A job was sent.
    Assign,
    /// A job ended.
    Finish,
    /// The executor takes no more.
    Retire,
    /// What it had not started is taken back.
    Close,
    /// It may be assigned to again.
    Reopen,
    /// The pipe ended.
    Eof,
}

/// A job that was sent to a slot and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number on this slot's pipe, counted from 1.
    pub sequence: u64,
    /// Which job.
    pub tag: Tag,
    /// How long it is thought to run; `None`: unknown.
    pub estimate: Option<Duration>,
}

/// A place where jobs run: one at a time, or as many as it has permits.
#[derive(Debug)]
pub struct Slot {
    id: SlotId,
    state: SlotState,
    sent: VecDeque<Sent>,
    /// How long what it has is thought to run, without those of which nothing is known.
    backlog: Duration,
    /// How many those are.
    unknown: usize,
    last_sequence: u64,
    /// Jobs taken back that the executor has not yet said to have dropped.
    owed: usize,
    /// While it is closed: the number of the last job it had begun.
    closed_at: Option<u64>,
    /// It had begun nothing when its jobs were taken back: it gets one at a time until it ends one.
    cautious: bool,
    /// It is kept for these jobs, which are being acknowledged.
    reserved: Vec<Tag>,
    /// How many jobs it runs at the same time.
    permits: usize,
    /// Runs that have been settled here and go on there: each keeps its permit until the executor lets go of it.
    abandoned: usize,
    /// All up to this number have started, or were taken back.
    known: u64,
    progress_at: Instant,
    killable: bool,
    /// The slot it follows, as long as something runs there: those runs hold permits of this one.
    after: Option<SlotId>,
}

impl Slot {
    /// A slot whose executor has yet to say hello. `killable`: it is a process of its own. `permits`: how many jobs it
    /// runs at the same time, at least one.
    pub fn new(id: SlotId, killable: bool, permits: usize, now: Instant) -> Self {
        Self {
            id,
            state: SlotState::Starting,
            sent: VecDeque::new(),
            backlog: Duration::ZERO,
            unknown: 0,
            last_sequence: 0,
            owed: 0,
            closed_at: None,
            cautious: false,
            reserved: Vec::new(),
            permits: permits.max(1),
            abandoned: 0,
            known: 0,
            progress_at: now,
            killable,
            after: None,
        }
    }

    /// A slot whose executor follows that of another, which finishes what it has.
    #[must_use]
    pub fn following(self, after: Option<SlotId>) -> Self {
        Self { after, ..self }
    }

    /// Its name.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// What it is doing.
    pub fn state(&self) -> SlotState {
        self.state
    }

    /// The number of the last job it has begun, while it can begin no other.
    pub fn closed_at(&self) -> Option<u64> {
        self.closed_at
    }

    /// Whether a hard limit can end it.
    pub fn is_killable(&self) -> bool {
        self.killable
    }

    /// The slot that it follows, while that is there.
    pub fn after(&self) -> Option<SlotId> {
        self.after
    }

    /// The slot `gone` is no more; that one had followed `before`.
    pub fn outlive(&mut self, gone: SlotId, before: Option<SlotId>) {
        if self.after == Some(gone) {
            self.after = before;
        }
    }

    /// How many jobs it runs at the same time.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// The jobs it has, in the order they were sent.
    pub fn sent(&self) -> impl ExactSizeIterator<Item = &Sent> {
        self.sent.iter()
    }

    /// The number of the last job sent.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// When it last got on: it ended a job, or had nothing to begin. Nothing while all that it has is known to run.
    pub fn waits_since(&self) -> Option<Instant> {
        let waits = self.permits == 1 || self.last_sequence > self.known;
        (self.state == SlotState::Busy && waits).then_some(self.progress_at)
    }

    /// How long what it has is thought to run; `None` when one of them is unknown.
    pub fn backlog(&self) -> Option<Duration> {
        (self.unknown == 0).then_some(self.backlog)
    }

    fn add(&mut self, sent: Sent) {
        match sent.estimate {
            Some(estimate) => self.backlog += estimate,
            None => self.unknown += 1,
        }
        self.sent.push_back(sent);
    }

    fn subtract(&mut self, sent: &Sent) {
        match sent.estimate {
            Some(estimate) => self.backlog = self.backlog.saturating_sub(estimate),
            None => self.unknown = self.unknown.saturating_sub(1),
        }
    }

    /// The executor said hello.
    pub fn hello(&mut self, now: Instant) -> Result<()> {
        self.progress_at = now;
        self.change(SlotInput::Hello)
    }

    /// Notes that `tag` goes to this slot; returns its number on the pipe.
    pub fn assign(&mut self, tag: Tag, estimate: Option<Duration>, now: Instant) -> Result<u64> {
        self.change(SlotInput::Assign)?;
        if self.sent.is_empty() || (self.permits > 1 && self.last_sequence == self.known) {
            self.progress_at = now;
        }
        self.last_sequence += 1;
        self.add(Sent { sequence: self.last_sequence, tag, estimate });
        Ok(self.last_sequence)
    }

    /// Notes that `tag` ended; `false` when this slot did not have it.
    pub fn finish(&mut self, tag: Tag, now: Instant) -> Result<bool> {
        let Some(position) = self.sent.iter().position(|sent| sent.tag == tag) else { return Ok(false) };
        if let Some(sent) = self.sent.remove(position) {
            self.subtract(&sent);
            self.known = self.known.max(sent.sequence); // they start in order
        }
        self.cautious = false;
        self.progress_at = now;
        self.change(SlotInput::Finish)?;
        Ok(true)
    }

    /// The executor takes no more.
    pub fn retire(&mut self) -> Result<()> {
        self.change(SlotInput::Retire)
    }

    /// Takes back what had not started, given the number of the last job that had; newest last.
    pub fn close(&mut self, started: u64) -> Result<Vec<Tag>> {
        self.change(SlotInput::Close)?;
        let mut taken = Vec::new();
        for sent in std::mem::take(&mut self.sent) {
            self.subtract(&sent);
            if sent.sequence <= started {
                self.add(sent);
            } else {
                taken.push(sent.tag);
            }
        }
        self.closed_at = Some(started);
        self.owed += taken.len();
        self.cautious = self.permits == 1 && self.sent.is_empty();
        self.known = self.last_sequence;
        Ok(taken)
    }

    /// A run that goes on has been settled: it keeps its permit, and is no more than that. `false` when it is not here.
    pub fn abandon(&mut self, tag: Tag) -> bool {
        let Some(position) = self.sent.iter().position(|sent| sent.tag == tag) else { return false };
        if let Some(sent) = self.sent.remove(position) {
            self.subtract(&sent);
            self.known = self.known.max(sent.sequence);
        }
        self.abandoned += 1;
        true
    }

    /// The executor has let go of a run that was abandoned.
    pub fn let_go(&mut self, now: Instant) -> Result<()> {
        self.abandoned = self.abandoned.saturating_sub(1);
        self.progress_at = now;
        self.change(SlotInput::Finish)
    }

    /// The executor has dropped a job that was taken back.
    pub fn dropped(&mut self, now: Instant) {
        self.owed = self.owed.saturating_sub(1);
        self.progress_at = now;
    }

    /// How many permits are in use, or kept for a job.
    pub fn taken(&self) -> usize {
        self.sent.len() + self.reserved.len() + self.abandoned
    }

    /// Whether it can take a job that must go to a free slot, as far as it alone is concerned.
    pub fn is_free(&self) -> bool {
        matches!(self.state, SlotState::Idle | SlotState::Busy) && self.taken() < self.permits
    }

    /// Whether it has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.state == SlotState::Idle && self.reserved.is_empty()
    }

    /// Keeps a permit for a job.
    pub fn reserve(&mut self, tag: Tag) {
        self.reserved.push(tag);
    }

    /// The jobs it is kept for.
    pub fn reserved(&self) -> &[Tag] {
        &self.reserved
    }

    /// Keeps it no longer for a job; `false` when it was not.
    pub fn unreserve(&mut self, tag: Tag) -> bool {
        let before = self.reserved.len();
        self.reserved.retain(|reserved| *reserved != tag);
        self.reserved.len() < before
    }

    /// Whether it may get a job while it has one.
    pub fn takes_several(&self) -> bool {
        self.state == SlotState::Busy && !self.cautious
    }

    /// Whether it is closed, has said of all that was taken back that it dropped it, and has a permit left.
    pub fn may_reopen(&self) -> bool {
        self.state == SlotState::Closed && self.sent.len() + self.abandoned < self.permits && self.owed == 0
    }

    /// Lets it be assigned to again.
    pub fn reopen(&mut self) -> Result<()> {
        if self.owed > 0 {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "a slot was reopened before it dropped what was taken back",
            ));
        }
        self.closed_at = None;
        self.change(SlotInput::Reopen)
    }

    /// The pipe ended: what it had, in order.
    pub fn eof(&mut self) -> Vec<Sent> {
        self.state = SlotState::Gone;
        (self.backlog, self.unknown, self.abandoned) = (Duration::ZERO, 0, 0);
        self.sent.drain(..).collect()
    }

    fn change(&mut self, input: SlotInput) -> Result<()> {
        self.state =
            next(self.state, input, self.sent.is_empty() && self.abandoned == 0).ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "a slot got an input that does not fit its state")
                    .with("slot", self.id.0)
                    .with("state", format_args!("{:?}", self.state))
                    .with("input", format_args!("{input:?}"))
            })?;
        Ok(())
    }
}

/// The table. `empty`: the slot has no job (after the input took its effect).
pub fn next(state: SlotState, input: SlotInput, empty: bool) -> Option<SlotState> {
    use SlotInput as I;
    use SlotState as S;
    Some(match (state, input) {
        (S::Starting, I::Hello) => S::Idle,
        (S::Idle | S::Busy, I::Assign) => S::Busy,
        (S::Busy, I::Finish) => {
            if empty {
                S::Idle
            } else {
                S::Busy
            }
        }
        (S::Draining, I::Hello | I::Finish | I::Close | I::Retire)
        | (S::Starting | S::Idle | S::Busy | S::Closed, I::Retire) => S::Draining,
        (S::Busy, I::Close) | (S::Closed, I::Finish) => S::Closed,
        (S::Closed, I::Reopen) => {
            if empty {
                S::Idle
            } else {
                S::Busy
            }
        }
        (_, I::Eof) => S::Gone,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
