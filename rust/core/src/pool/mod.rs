//! Where jobs run: slots by number, the pipe to each, and the page shared with them.

mod births;
mod claims;
mod departure;
pub mod frame;
pub mod link;
pub mod nursery;
mod outgoing;
pub mod page;
pub mod port;
pub mod replace;
mod seat;
pub mod slot;
pub mod succession;

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Instant;
use crate::error::Result;
use crate::ident::{SlotId, Tag};
use births::Births;
use link::{LinkEvents, LinkHandle};
use nursery::Nursery;
use page::{CLAIM, Page, WORDS_PER_SLOT};
use replace::Replacement;
use seat::{Process, Seat};

pub use departure::Departure;
pub use seat::SeatId;

/// The slots of one worker and what is known of the processes behind them. Wires; the machine decides.
pub struct Pool {
    page: Arc<dyn Page>,
    nursery: Option<Nursery>,
    events: LinkEvents,
    seats: HashMap<SlotId, Seat>,
    /// Seats made so far.
    seated: u64,
    /// How many jobs a slot runs side by side; `None`: one, and nothing is asked of it over the pipe.
    permits: Option<u32>,
    births: Births,
    replacement: Replacement,
}

impl Pool {
    /// How long the pipe's end and the exit status wait for each other.
    const STATUS_WITHIN: Duration = Duration::from_millis(500);
    /// How long a child may take from its birth to its hello.
    const READY_WITHIN: Duration = Duration::from_secs(60);

    /// A pool without slots. `permits`: how many jobs each of them will run side by side; `None`: one, and nothing is
    /// asked of it over the pipe.
    pub fn new(
        page: Arc<dyn Page>,
        nursery: Option<Nursery>,
        permits: Option<u32>,
        events: LinkEvents,
    ) -> Self {
        Self {
            page,
            nursery,
            events,
            seats: HashMap::new(),
            seated: 0,
            permits,
            births: Births::default(),
            replacement: Replacement::default(),
        }
    }

    /// Asks the nursery for a child on `slot`.
    ///
    /// # Errors
    /// `Unreachable` when there is no nursery any more; `Busy` when it cannot fork now.
    pub fn spawn(&mut self, slot: SlotId, now: Instant) -> Result<()> {
        let Some(nursery) = &self.nursery else { return Ok(()) };
        self.clear(slot);
        let socket = nursery.spawn(slot)?;
        let id = self.next_seat(slot);
        self.births.asked_for(id);
        let link = link::spawn(id, socket, self.events.clone())?;
        self.seats.insert(slot, Seat::asked_for(id, link, now));
        Ok(())
    }

    /// Adds a slot whose executor holds the other end of `socket` in this process.
    ///
    /// # Errors
    /// `Unreachable` when the socket cannot be watched.
    pub fn adopt(&mut self, slot: SlotId, socket: UnixStream) -> Result<()> {
        self.clear(slot);
        let id = self.next_seat(slot);
        let link = link::spawn(id, socket, self.events.clone())?;
        self.seats.insert(slot, Seat::here(id, link));
        Ok(())
    }

    fn next_seat(&mut self, slot: SlotId) -> SeatId {
        self.seated += 1;
        SeatId { slot, number: self.seated }
    }

    /// Whether this executor is still there: what is heard of another is too late to matter.
    pub fn has(&self, seat: SeatId) -> bool {
        self.seats.get(&seat.slot).is_some_and(|taken| taken.id == seat)
    }

    /// The pipe to a slot's executor.
    pub fn link(&self, slot: SlotId) -> Option<&LinkHandle> {
        self.seats.get(&slot)?.link.as_ref()
    }

    /// The process behind a slot.
    pub fn pid(&self, slot: SlotId) -> Option<u32> {
        self.seats.get(&slot)?.pid()
    }

    /// Processes by slot.
    pub fn pids(&self) -> Vec<u32> {
        self.seats.values().filter_map(Seat::pid).collect()
    }

    /// Whether no executor is left.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The nursery told of a birth; whether the child is wanted. One that comes too late for its seat is ended.
    pub fn born(&mut self, slot: SlotId, pid: u32) -> bool {
        let wanted = self.births.born(slot, pid).is_some_and(|seat| self.has(seat));
        let Some(seat) = self.seats.get_mut(&slot).filter(|_| wanted) else {
            signal(pid, Signal::KILL);
            return false;
        };
        let doomed = seat.process == Process::Unborn { doomed: true };
        seat.process = Process::Child(pid);
        if doomed {
            self.kill(slot);
        }
        true
    }

    /// The nursery could not fork.
    pub fn failed(&mut self, slot: SlotId) -> Option<Departure> {
        let seat = self.births.failed(slot)?;
        self.has(seat).then(|| self.depart(slot)).flatten()
    }

    /// Notes that a slot's executor is ready.
    pub fn greeted(&mut self, slot: SlotId) {
        if let Some(seat) = self.seats.get_mut(&slot) {
            (seat.greeted, seat.starting_since) = (true, None);
        }
    }

    /// Notes that a run ended well: what dies later did not die of its start.
    pub fn got_on(&mut self) {
        self.replacement.got_on();
    }

    /// Whether a slot's executor has said that it is ready.
    pub fn is_ready(&self, slot: SlotId) -> bool {
        self.seats.get(&slot).is_some_and(|seat| seat.greeted)
    }

    /// Notes that a slot's executor says it leaves; whether somebody is to follow it.
    pub fn leaves(&mut self, slot: SlotId) -> bool {
        let Some(seat) = self.seats.get_mut(&slot) else { return false };
        seat.expected = true;
        !seat.dismissed
    }

    /// Sends a slot's executor away; nobody is to follow it.
    pub fn dismiss(&mut self, slot: SlotId) {
        let Some(seat) = self.seats.get_mut(&slot) else { return };
        (seat.expected, seat.dismissed) = (true, true);
        if let Some(link) = &seat.link {
            link.retire();
        }
    }

    /// Whether nobody sits in a slot, and nobody is to come.
    pub fn is_vacant(&self, slot: SlotId) -> bool {
        !self.seats.contains_key(&slot) && !self.replacement.is_planned(slot)
    }

    /// Asks all executors to leave when they have run what they have.
    pub fn retire(&mut self) {
        for seat in self.seats.values_mut() {
            seat.expected = true;
            if let Some(link) = &seat.link {
                link.retire();
            }
        }
    }

    /// The pipe ended. The slot is gone for good when its exit status is known or not to be had: until then what it
    /// had started may go on.
    pub fn pipe_ended(&mut self, slot: SlotId, now: Instant) -> Option<Departure> {
        let seat = self.seats.get_mut(&slot)?;
        seat.leaving_since = Some(now);
        seat.link = None;
        if seat.process == Process::Here || seat.status.is_some() || self.nursery.is_none() {
            return self.depart(slot);
        }
        None
    }

    /// The nursery reaped a child. Its pipe may still hold what it said last, so it is gone when the link has read
    /// that: the end of the file is not waited for, because a process that it forked may keep the pipe open.
    pub fn reaped(&mut self, pid: u32, status: i32, now: Instant) -> Option<Departure> {
        let id = self.births.reaped(pid)?;
        let seat = self.seats.get_mut(&id.slot).filter(|seat| seat.id == id)?;
        seat.status = Some(status);
        seat.leaving_since = Some(now);
        let Some(link) = &seat.link else { return self.depart(id.slot) };
        link.finish();
        None
    }

    /// Slots whose pipe ended, or whose process was reaped, and where the other did not follow in time: the process is
    /// killed to be sure. Children that do not get ready are killed, too, and will depart as others do.
    pub fn overdue(&mut self, now: Instant) -> Vec<Departure> {
        self.end_those_that_hang(now);
        let late: Vec<SlotId> = self
            .seats
            .iter()
            .filter(|(_, seat)| {
                seat.leaving_since.is_some_and(|since| now >= since.after(Self::STATUS_WITHIN))
            })
            .map(|(slot, _)| *slot)
            .collect();
        late.into_iter()
            .filter_map(|slot| {
                self.kill(slot);
                self.depart(slot)
            })
            .collect()
    }

    fn end_those_that_hang(&mut self, now: Instant) {
        let hang = |seat: &&mut Seat| {
            seat.starting_since.is_some_and(|since| now >= since.after(Self::READY_WITHIN))
        };
        let mut hanging = Vec::new();
        for seat in self.seats.values_mut().filter(hang) {
            seat.starting_since = None;
            seat.note = Some("it was not ready within a minute of its start");
            hanging.push(seat.id.slot);
        }
        for slot in hanging {
            self.kill(slot);
        }
    }

    /// When [`Pool::overdue`] or a replacement is due.
    pub fn next_wake(&self) -> Option<Instant> {
        let seats = self.seats.values().flat_map(|seat| {
            let leaving = seat.leaving_since.map(|since| since.after(Self::STATUS_WITHIN));
            [leaving, seat.starting_since.map(|since| since.after(Self::READY_WITHIN))]
        });
        seats.flatten().chain(self.replacement.next_due()).min()
    }

    /// Plans a replacement for a slot whose child is gone.
    pub fn replace(&mut self, departure: &Departure, now: Instant) {
        self.replacement.plan(departure.slot, departure.is_of_its_start(), now);
    }

    /// The slots whose replacement is due.
    pub fn replacements(&mut self, now: Instant) -> Vec<SlotId> {
        self.replacement.take_due(now)
    }

    /// Forgets planned replacements.
    pub fn replace_no_more(&mut self) {
        self.replacement = Replacement::default();
    }

    /// The nursery is gone, and with it whoever could tell an exit status.
    pub fn nursery_gone(&mut self) {
        self.nursery = None;
        self.replace_no_more();
    }

    /// Lets the nursery end.
    pub fn quit(&mut self) {
        if let Some(nursery) = self.nursery.take() {
            // When it is gone already, so are the children.
            let _ = nursery.quit();
        }
    }

    /// Ends the executor at once, or as soon as it is born, if it is a process.
    pub fn kill(&mut self, slot: SlotId) {
        if let Some(Seat { process: Process::Unborn { doomed }, .. }) = self.seats.get_mut(&slot) {
            *doomed = true;
        }
        self.signal(slot, Signal::KILL);
    }

    /// Lets go of an executor in this process, which cannot be ended: what it still does counts for nothing.
    pub fn give_up(&mut self, slot: SlotId) -> Option<Departure> {
        let seat = self.seats.get_mut(&slot).filter(|seat| seat.process == Process::Here)?;
        seat.expected = true;
        self.depart(slot)
    }

    /// Ends all executors that are processes.
    pub fn kill_all(&mut self) {
        let slots: Vec<SlotId> = self.seats.keys().copied().collect();
        for slot in slots {
            self.kill(slot);
        }
    }

    /// Raises the soft limit in the run of a job: by a signal, if the executor is a process that runs nothing else.
    pub fn interrupt(&self, slot: SlotId, tag: Tag) {
        match self.link(slot).filter(|_| self.permits.is_some()) {
            Some(link) => link.interrupt(tag),
            None => self.signal(slot, Signal::USR1),
        }
    }

    /// Ends the run of a job in an executor that runs others beside it.
    pub fn cancel(&self, slot: SlotId, tag: Tag) {
        if let Some(link) = self.link(slot) {
            link.cancel(tag);
        }
    }

    pub(super) fn signal(&self, slot: SlotId, number: Signal) {
        let Some(seat) = self.seats.get(&slot) else { return };
        // A reaped child's number may be another process by now.
        if let Some(pid) = seat.pid().filter(|_| seat.status.is_none()) {
            signal(pid, number);
        }
    }

    fn depart(&mut self, slot: SlotId) -> Option<Departure> {
        self.close_page(slot);
        let seat = self.seats.remove(&slot)?;
        let started = page::started(self.page.load(slot.0 as usize * WORDS_PER_SLOT + CLAIM));
        let Seat { status, expected, dismissed, note, .. } = seat;
        Some(Departure { slot, pid: seat.pid(), status, started, expected, dismissed, note })
    }
}

pub(super) fn signal(pid: u32, number: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, number); // it may have died by itself meanwhile: that was the aim
    }
}

#[cfg(test)]
mod tests;
