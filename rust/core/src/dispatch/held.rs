//! A job in hand, and what the machine knows of it beside the message.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::broker::Receipt;
use crate::clock::Instant;
use crate::job::{Job, JobState};

/// A job in hand.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) job: Box<Job>,
    pub(super) state: JobState,
    /// Which run this is, so that limits of an earlier one are not applied to it.
    pub(super) run: u64,
    pub(super) doom: Option<Doom>,
    /// Its run is to be ended by this signal, if it has begun. See [`super::revoke`].
    pub(super) to_end: Option<Signal>,
    /// Its session is over: whatever is committed for it is refused.
    pub(super) void: bool,
    pub(super) ack: Ack,
    /// It has taken its turn under the rate limit of its task, or needs none.
    pub(super) had_turn: bool,
    /// The token it holds: its key.
    pub(super) token: Option<Arc<str>>,
    /// When the server gave it to this worker.
    pub(super) token_since: Instant,
    /// Its turn, where all workers keep the rate together.
    pub(super) turn: Option<Instant>,
}

impl Held {
    pub(super) fn new(job: Box<Job>, state: JobState) -> Self {
        let (run, doom, to_end, void, ack) = (0, None, None, false, Ack::Late);
        let (had_turn, token, token_since, turn) = (false, None, Instant(0), None);
        Self { job, state, run, doom, to_end, void, ack, had_turn, token, token_since, turn }
    }

    /// It came back while it is still held here (its lease was lost and won again): running it twice would be wrong, so
    /// the run that goes on will settle the new delivery.
    pub(super) fn adopt(&mut self, receipt: Receipt) {
        (self.void, self.ack) = (false, Ack::Late);
        self.job.delivery.receipt = receipt;
    }
}

/// How far an early acknowledgement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// Not asked for: the delivery is settled when the run has ended.
    Late,
    /// On its way to the broker.
    Asked,
    /// Done: nobody else will ever get this delivery.
    Done,
}

/// Why a slot is being killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Doom {
    TimedOut(Duration),
    Terminated(Signal),
    Stopped,
}
