//! What jobs need of the server before they may run: which gate a job waits behind, and what it gets there.
//!
//! First the token, then the turn: a turn is of use only in its moment. A job that waits holds no slot, and does not
//! count as taken.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::held::Held;
use super::machine::Machine;
use super::{Effect, Effects, Now};
use crate::clock::Instant;
use crate::ident::Tag;
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Asked, Granted, Limits};
use crate::job::{Job, JobState};

/// Turns further away than this are not taken: whoever asks again then may have a free slot, and this worker none.
const WITHIN: Duration = Duration::from_millis(100);
/// Slots in which a run ended so short a time ago will take more soon.
const TURNOVER: Duration = Duration::from_millis(100);
/// Jobs behind gates go back to the broker when no slot was free for so long: another worker may have one.
const HAND_BACK: Duration = Duration::from_secs(1);
/// The least that a job waits in the broker for a token when too many wait here.
const FAR: Duration = Duration::from_secs(5);

/// What of the server's the jobs here have got and not yet used.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// Jobs whose turn comes in a moment.
    turns: BinaryHeap<Reverse<(Instant, Tag)>>,
    /// Jobs that have passed their gates and are not in a slot.
    passed: HashSet<Tag>,
    /// For how many jobs there was room when it was last counted.
    room: usize,
    no_room_since: Option<Instant>,
}

impl Passes {
    /// Jobs whose turn has been given and has not come.
    pub(super) fn count(&self) -> usize {
        self.turns.len()
    }

    pub(super) fn clear(&mut self) -> Vec<Tag> {
        self.passed.clear();
        self.turns.drain().map(|Reverse((_, tag))| tag).collect()
    }
}

impl Machine {
    /// The gate that a job has yet to pass.
    fn gate(job: &Job, has_token: bool, has_turn: bool) -> Option<(Arc<str>, Asked)> {
        let policy = &job.policy;
        let keys = job.keys.as_deref();
        if let Some(most) = policy.max_concurrency.filter(|_| !has_token) {
            let key = keys.and_then(|keys| keys.concurrency.clone());
            return Some((key.unwrap_or_else(|| policy.name.as_str().into()), Asked::Tokens { most }));
        }
        let every = every(job).filter(|_| !has_turn)?;
        let key = keys.and_then(|keys| keys.rate.clone());
        Some((key.unwrap_or_else(|| policy.name.as_str().into()), Asked::Turns { every, within: WITHIN }))
    }

    /// Puts a job that has just come behind its gate, if it has one.
    pub(super) fn stops_at_gate(&mut self, job: &Job) -> bool {
        let Some((key, what)) = Self::gate(job, false, false) else { return false };
        self.buffer.gates.put(&key, what, job.tag(), false);
        true
    }

    /// Whether a job has what it needs of the server to run now; otherwise it waits for that.
    pub(super) fn passes_gates(&mut self, now: Now, tag: Tag) -> bool {
        let Some(held) = self.jobs.get_mut(&tag) else { return false };
        if let (Some(turn), Some(every)) = (held.turn, every(&held.job)) {
            if now.monotonic < turn {
                held.state = JobState::Limited;
                self.passes.turns.push(Reverse((turn, tag)));
                return false;
            }
            if now.monotonic > turn.after(tolerance(every)) {
                held.turn = None; // no slot was free in its moment
            }
        }
        let had_passed = self.passes.passed.contains(&tag);
        let Some((key, what)) = Self::gate(&held.job, held.token.is_some(), held.turn.is_some()) else {
            return true;
        };
        held.state = JobState::Limited;
        self.passes.passed.remove(&tag);
        self.buffer.gates.put(&key, what, tag, had_passed);
        false
    }

    /// The server has answered.
    pub(super) fn granted(&mut self, now: Now, answers: &[Granted], effects: &mut Effects) {
        let mut passed = Vec::new();
        let pass = |tag, key: &Arc<str>, turn| passed.push((tag, Arc::clone(key), turn));
        let mut unwanted = self.buffer.gates.granted(now.monotonic, answers, pass);
        for (tag, key, turn) in passed.into_iter().rev() {
            let Some(held) = self.jobs.get_mut(&tag) else {
                unwanted.extend(turn.is_none().then_some(key));
                continue;
            };
            match turn {
                Some(turn) => held.turn = Some(now.monotonic.after(turn)),
                None => (held.token, held.token_since) = (Some(key), now.monotonic),
            }
            self.admit(now, tag);
        }
        for key in unwanted {
            let limits = Limits { token: Some(key), ..Limits::default() }.boxed();
            effects.push(Effect::Settle(Commit { limits, ..Commit::default() }));
        }
    }

    /// A job has got what it waited for: it goes on to its next gate, or is ready.
    pub(super) fn admit(&mut self, now: Now, tag: Tag) {
        self.passes.passed.insert(tag);
        if self.passes_gates(now, tag) {
            self.ready_first(tag);
        }
    }

    /// What to ask the server for now.
    pub fn asks(&mut self, now: Now) -> Vec<Ask> {
        if self.buffer.gates.is_empty() {
            self.passes.no_room_since = None;
            return Vec::new();
        }
        let room = if self.stopping { 0 } else { self.room(now.monotonic) };
        self.passes.room = room;
        if room > 0 {
            self.passes.no_room_since = None;
        } else {
            self.passes.no_room_since.get_or_insert(now.monotonic);
        }
        self.buffer.gates.asks(now.monotonic, room)
    }

    /// How many more jobs slots can take soon: there is no use in what nobody could use.
    fn room(&mut self, now: Instant) -> usize {
        let jobs = &self.jobs;
        let waits =
            |held: &Held| matches!(held.state, JobState::Ready | JobState::Limited | JobState::Acking);
        self.passes.passed.retain(|tag| jobs.get(tag).is_some_and(waits));
        let alive = || self.slots.values().filter(|slot| super::machine::is_alive(slot.state()));
        let free: usize = alive()
            .map(|slot| slot.permits().saturating_sub(slot.sent().len() + slot.reserved().len()))
            .sum();
        // Where others fill each slot as it becomes free, none ever would be. But nothing is got for slots that run jobs
        // which had to pass gates themselves: it would lie here, and somebody else wants it.
        let turns_over = now.since(self.progress_at) < TURNOVER && !self.stuck && self.buffer.ready() > 0;
        let places = if turns_over { free.max(1) } else { free };
        places.saturating_sub(self.passes.passed.len())
    }

    /// Jobs whose turn has come, and jobs that wait here in vain.
    pub(super) fn tick_gates(&mut self, now: Now, effects: &mut Effects) {
        while let Some(Reverse((turn, _))) = self.passes.turns.peek()
            && *turn <= now.monotonic
            && let Some(Reverse((_, tag))) = self.passes.turns.pop()
        {
            if self.passes_gates(now, tag) {
                self.ready_first(tag);
            }
        }
        if self.hand_back_gates_at().is_some_and(|at| at <= now.monotonic) {
            for tag in self.buffer.gates.drain() {
                self.give_back(tag, effects);
            }
            self.stuck = true;
        }
    }

    fn ready_first(&mut self, tag: Tag) {
        if let Some(held) = self.jobs.get_mut(&tag) {
            held.state = JobState::Ready;
            self.buffer.put_back(tag, held.job.delivery.rank);
        }
    }

    fn hand_back_gates_at(&self) -> Option<Instant> {
        let waits = self.buffer.gates.count() > 0 && !self.stopping;
        self.passes.no_room_since.filter(|_| waits).map(|since| since.after(HAND_BACK))
    }

    /// When something becomes due here.
    pub(super) fn gates_wake(&self) -> Option<Instant> {
        let turn = self.passes.turns.peek().map(|Reverse((turn, _))| *turn);
        let asks = if self.stopping { None } else { self.buffer.gates.next_wake(self.passes.room) };
        [turn, asks, self.hand_back_gates_at()].into_iter().flatten().min()
    }

    /// How long a job that has just come would wait behind its gate, as far as that is known.
    pub(super) fn gate_wait(&self, now: Now, job: &Job) -> Option<Duration> {
        let (key, what) = Self::gate(job, false, false)?;
        Some(match what {
            Asked::Turns { every, .. } => self.buffer.gates.wait(&key, every, now.monotonic),
            Asked::Tokens { .. } if self.waits_for_nothing_more() => self.buffer.gates.pace(&key).max(FAR),
            Asked::Tokens { .. } => Duration::ZERO,
        })
    }
}

/// How far apart the turns of a job are, if all workers keep its rate together.
fn every(job: &Job) -> Option<Duration> {
    let rate = job.policy.rate_limit.filter(|_| job.policy.rate_is_global)?;
    Duration::try_from_secs_f64(rate.recip()).ok()
}

/// How late a turn may be used. What is later than that is lost, so that no two of them come together.
fn tolerance(every: Duration) -> Duration {
    (every / 10).clamp(Duration::from_millis(5), Duration::from_secs(1))
}
