//! Matching jobs with slots: what the machine is told, and what it wants done.

mod beside;
mod bounds;
pub mod deadline;
pub mod estimate;
mod fill;
mod gates;
mod held;
pub mod machine;
mod release;
mod retry;
mod revoke;
pub mod scale;
mod turns;

use nix::sys::signal::Signal;

use crate::clock::{Instant, WallTime};
use crate::event::Event;
use crate::ident::{SlotId, Tag};
use crate::job::Job;
use crate::job::ending::{Commit, Outcome};
use crate::job::limits::Granted;
use crate::job::revocation::Revocation;

pub use machine::Machine;

/// Both times, read once per turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For durations.
    pub monotonic: Instant,
    /// For `eta` and `expires`.
    pub wall: WallTime,
}

/// What can happen.
#[derive(Debug)]
pub enum Input {
    /// A job was taken from the broker.
    Arrived(Box<Job>),
    /// A slot was made; its executor has not said hello. `killable`: a process of its own.
    SlotMade {
        /// Which slot.
        slot: SlotId,
        /// It is a process of its own.
        killable: bool,
        /// Which slot it follows, where something may still run.
        after: Option<SlotId>,
    },
    /// Its executor said hello.
    SlotUp(SlotId),
    /// Its executor takes no more.
    SlotRetires(SlotId),
    /// A Commit that was to be told of was carried out.
    Settled(Tag),
    /// A Commit was not carried out: the delivery is somebody else's now.
    Refused(Tag),
    /// The executor says that a job started.
    Started(SlotId, Tag),
    /// The executor says how a run ended.
    Finished(SlotId, Tag, Box<Outcome>),
    /// The executor has dropped a job that was taken back from it.
    Dropped(SlotId, Tag),
    /// The executor has let go of a run that was to be cancelled.
    LetGo(SlotId, Tag),
    /// The slot was closed, as asked for by [`Effect::Reclaim`]: what came after this number never started.
    Reclaimed {
        /// Which slot.
        slot: SlotId,
        /// Number of the last job that started.
        started: u64,
    },
    /// The executor is gone.
    SlotGone {
        /// Which slot.
        slot: SlotId,
        /// Number of the last job that started.
        started: u64,
        /// How it went, for logs and stored failures.
        reason: String,
    },
    /// Tasks are called off.
    Revoked(Vec<Revocation>),
    /// The server's answers to what was asked for; none when it could not be asked.
    Granted(Vec<Granted>),
    /// The server calls: tokens were given back.
    Freed,
    /// The session is over: what is held belongs to others now.
    SessionLost,
    /// Take no more, give back what has not started. `at_once`: and end what runs.
    Stop {
        /// End what runs.
        at_once: bool,
    },
    /// Time has passed.
    Tick,
}

/// What the machine wants done.
#[derive(Debug)]
pub enum Effect {
    /// Write the job to the slot's pipe under this number.
    Send {
        /// To which slot.
        slot: SlotId,
        /// Its number on the pipe.
        sequence: u64,
        /// Which job.
        tag: Tag,
    },
    /// Carry this out.
    Settle(Commit),
    /// Close the slot's page and say what had started.
    Reclaim(SlotId),
    /// Open the slot's page again at this number.
    Reopen {
        /// Which slot.
        slot: SlotId,
        /// Number of the last job that was sent.
        sequence: u64,
    },
    /// Raise the soft limit in the run of a job.
    Interrupt(SlotId, Tag),
    /// End the run of a job that is settled; its slot runs others.
    Cancel(SlotId, Tag),
    /// End the run that a closed slot began last: the executor is told by a signal, and begins nothing more.
    Terminate {
        /// Which slot.
        slot: SlotId,
        /// Which signal, where the executor is a process of its own.
        signal: Signal,
    },
    /// End the slot's executor.
    Kill(SlotId),
    /// Tell Python.
    Tell(Event),
}

/// What one step wants done, in order. Kept and cleared by the caller, so that steps allocate nothing.
pub type Effects = Vec<Effect>;
