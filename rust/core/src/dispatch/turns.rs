//! Rate limits: whose turn it is, and what becomes of those that would wait here for long.

use super::Now;
use super::machine::{HELD_HERE, Machine};
use crate::clock::WallTime;
use crate::ident::Tag;
use crate::job::{Job, JobState};

/// At most so many messages wait here for their time or their turn, unless the settings say otherwise.
pub(super) const WAITING_CAPACITY: usize = 1000;

impl Machine {
    /// Whether a job may begin: its task has no limit, or it is its turn. Otherwise it waits on the shelf, and holds
    /// neither a slot nor what could be taken in its place.
    pub(super) fn takes_turn(&mut self, now: Now, tag: Tag) -> bool {
        let Some(held) = self.jobs.get_mut(&tag) else { return false };
        let Some(rate) = local_rate(&held.job).filter(|_| !held.had_turn) else {
            return self.passes_gates(now, tag);
        };
        held.had_turn = self.buffer.limited.may_pass(&held.job.name, rate, now.monotonic);
        if !held.had_turn {
            held.state = JobState::Limited;
            self.buffer.limited.put(&held.job.name, tag);
        }
        held.had_turn && self.passes_gates(now, tag)
    }

    /// Puts a job where it waits.
    pub(super) fn shelve(&mut self, now: Now, job: &Job, due: Option<WallTime>) -> JobState {
        if let Some(due) = due {
            self.buffer.wait(job.tag(), due);
            return JobState::Waiting;
        }
        if local_rate(job).is_some() && !self.buffer.limited.wait(&job.name, now.monotonic).is_zero() {
            self.buffer.limited.put(&job.name, job.tag());
            return JobState::Limited;
        }
        if self.stops_at_gate(job) {
            return JobState::Limited;
        }
        self.buffer.put(job.tag(), job.delivery.rank);
        JobState::Ready
    }

    /// When a job may run, if that is not now. One that would wait for its turn behind too many others has the time of
    /// its turn: so it can wait in the broker.
    pub(super) fn due(&self, now: Now, job: &mut Job) -> Option<WallTime> {
        let wait = if local_rate(job).is_some() && self.waits_for_nothing_more() {
            Some(self.buffer.limited.wait(&job.name, now.monotonic))
        } else {
            self.gate_wait(now, job).filter(|wait| *wait > HELD_HERE || self.waits_for_nothing_more())
        };
        if let Some(wait) = wait {
            let turn = now.wall.after(wait);
            job.due = Some(job.due.map_or(turn, |due| due.max(turn)));
        }
        job.due.filter(|due| *due > now.wall)
    }

    /// Whether as many wait here as may.
    pub(super) fn waits_for_nothing_more(&self) -> bool {
        self.waiting() >= self.waiting_capacity
    }
}

/// The rate that this worker keeps by itself.
fn local_rate(job: &Job) -> Option<f64> {
    job.policy.rate_limit.filter(|_| !job.policy.rate_is_global)
}
