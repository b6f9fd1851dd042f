//! Who sits in a slot: one executor's time there. A slot has many, one after the other.

use super::link::LinkHandle;
use crate::clock::Instant;
use crate::ident::SlotId;

/// Names one seat: what is heard late about an executor must not hit its successor in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeatId {
    /// The slot.
    pub slot: SlotId,
    /// Which of the worker's seats, counted over all slots.
    pub number: u64,
}

/// What is known of the executor.
pub(super) struct Seat {
    pub(super) id: SeatId,
    pub(super) process: Process,
    pub(super) link: Option<LinkHandle>,
    /// The pipe ended, or the process was reaped, at this time; the other has yet to come.
    pub(super) leaving_since: Option<Instant>,
    pub(super) status: Option<i32>,
    /// It was asked to leave, or said so.
    pub(super) expected: bool,
    /// It was sent away for want of work.
    pub(super) dismissed: bool,
    /// It has said hello.
    pub(super) greeted: bool,
    /// A child that has not said hello was asked for at this time.
    pub(super) starting_since: Option<Instant>,
    /// Why it is being ended, when that is not plain from how it ends.
    pub(super) note: Option<&'static str>,
}

/// Where an executor lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// In the worker's own process.
    Here,
    /// In a child that the nursery was asked for and has not told of. `doomed`: to be killed as soon as it has.
    Unborn { doomed: bool },
    /// In this child.
    Child(u32),
}

impl Seat {
    /// The seat of an executor in this process.
    pub(super) fn here(id: SeatId, link: LinkHandle) -> Self {
        Self {
            id,
            process: Process::Here,
            link: Some(link),
            leaving_since: None,
            status: None,
            expected: false,
            dismissed: false,
            greeted: false,
            starting_since: None,
            note: None,
        }
    }

    /// The seat of a child that was asked for now.
    pub(super) fn asked_for(id: SeatId, link: LinkHandle, now: Instant) -> Self {
        let process = Process::Unborn { doomed: false };
        Self { process, starting_since: Some(now), ..Self::here(id, link) }
    }

    /// Its process, when it has one of its own.
    pub(super) fn pid(&self) -> Option<u32> {
        match self.process {
            Process::Child(pid) => Some(pid),
            Process::Here | Process::Unborn { .. } => None,
        }
    }
}
