//! Where jobs run: slots by number, the pipe to each, and the page shared with them.

pub mod frame;
pub mod link;
pub mod nursery;
mod outgoing;
pub mod page;
pub mod port;
pub mod replace;
pub mod slot;

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::Instant;
use crate::error::Result;
use crate::ident::SlotId;
use link::{LinkEvents, LinkHandle};
use nursery::Nursery;
use page::{CLAIM, CLOSED, Page, TAG, WORDS_PER_SLOT};
use replace::Replacement;

/// The slots of one worker and what is known of the processes behind them. Wires; the machine decides.
pub struct Pool {
    page: Arc<dyn Page>,
    nursery: Option<Nursery>,
    events: LinkEvents,
    seats: HashMap<SlotId, Seat>,
    replacement: Replacement,
}

/// What is behind one slot.
#[derive(Default)]
struct Seat {
    link: Option<LinkHandle>,
    pid: Option<u32>,
    /// The pipe ended, or the process was reaped, at this time; the other has yet to come.
    leaving_since: Option<Instant>,
    status: Option<i32>,
    expected: bool,
}

/// An executor that is gone.
#[derive(Debug, PartialEq, Eq)]
pub struct Departure {
    /// Its slot.
    pub slot: SlotId,
    /// Its process, when it was one.
    pub pid: Option<u32>,
    /// As `waitpid` tells it; `None` when nobody could say.
    pub status: Option<i32>,
    /// Number of the last job it had started.
    pub started: u64,
    /// It was asked to leave, or said so.
    pub expected: bool,
}

impl Pool {
    /// How long the pipe's end and the exit status wait for each other.
    const STATUS_WITHIN: Duration = Duration::from_millis(500);

    /// A pool without slots.
    pub fn new(page: Arc<dyn Page>, nursery: Option<Nursery>, events: LinkEvents) -> Self {
        Self { page, nursery, events, seats: HashMap::new(), replacement: Replacement::default() }
    }

    /// Asks the nursery for a child on `slot`.
    ///
    /// # Errors
    /// `Unreachable` when there is no nursery any more; `Busy` when it cannot fork now.
    pub fn spawn(&mut self, slot: SlotId) -> Result<()> {
        let Some(nursery) = &self.nursery else { return Ok(()) };
        self.clear(slot);
        let socket = nursery.spawn(slot)?;
        self.seat(slot, socket)
    }

    /// Adds a slot whose executor holds the other end of `socket` in this process.
    ///
    /// # Errors
    /// `Unreachable` when the socket cannot be watched.
    pub fn adopt(&mut self, slot: SlotId, socket: UnixStream) -> Result<()> {
        self.clear(slot);
        self.seat(slot, socket)
    }

    fn seat(&mut self, slot: SlotId, socket: UnixStream) -> Result<()> {
        let link = link::spawn(slot, socket, self.events.clone())?;
        self.seats.insert(slot, Seat { link: Some(link), ..Seat::default() });
        Ok(())
    }

    /// The pipe to a slot's executor.
    pub fn link(&self, slot: SlotId) -> Option<&LinkHandle> {
        self.seats.get(&slot)?.link.as_ref()
    }

    /// The process behind a slot.
    pub fn pid(&self, slot: SlotId) -> Option<u32> {
        self.seats.get(&slot)?.pid
    }

    /// Processes by slot.
    pub fn pids(&self) -> Vec<u32> {
        self.seats.values().filter_map(|seat| seat.pid).collect()
    }

    /// Whether no executor is left.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Notes which process was born for a slot.
    pub fn born(&mut self, slot: SlotId, pid: u32) {
        if let Some(seat) = self.seats.get_mut(&slot) {
            seat.pid = Some(pid);
        }
    }

    /// Notes that a run ended well: what dies later did not die of its start.
    pub fn got_on(&mut self) {
        self.replacement.got_on();
    }

    /// Notes that a slot's executor says it leaves.
    pub fn leaves(&mut self, slot: SlotId) {
        if let Some(seat) = self.seats.get_mut(&slot) {
            seat.expected = true;
        }
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

    /// The pipe ended. The slot is gone for good when its exit status is known or not to be had.
    pub fn pipe_ended(&mut self, slot: SlotId, now: Instant) -> Option<Departure> {
        let seat = self.seats.get_mut(&slot)?;
        seat.leaving_since = Some(now);
        seat.link = None;
        if seat.pid.is_none() || seat.status.is_some() || self.nursery.is_none() {
            return self.depart(slot);
        }
        None
    }

    /// The nursery reaped a child. Its pipe may still hold what it said last, so it is gone when that ended too; or
    /// after a while, for a process that it forked may keep the pipe open.
    pub fn reaped(&mut self, slot: SlotId, pid: u32, status: i32, now: Instant) -> Option<Departure> {
        let seat = self.seats.get_mut(&slot).filter(|seat| seat.pid == Some(pid))?;
        seat.status = Some(status);
        if seat.link.is_none() {
            return self.depart(slot);
        }
        seat.leaving_since = Some(now);
        None
    }

    /// Slots whose pipe ended, or whose process was reaped, and where the other did not follow in time: the process is
    /// killed to be sure.
    pub fn overdue(&mut self, now: Instant) -> Vec<Departure> {
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

    /// When [`Pool::overdue`] or a replacement is due.
    pub fn next_wake(&self) -> Option<Instant> {
        let leaving = self.seats.values().filter_map(|seat| seat.leaving_since);
        leaving.map(|since| since.after(Self::STATUS_WITHIN)).chain(self.replacement.next_due()).min()
    }

    /// Plans a replacement for a slot whose child is gone.
    pub fn replace(&mut self, departure: &Departure, now: Instant) {
        // Whatever ended it, a child that had begun a job had got through its start.
        let of_its_start = !departure.expected && departure.started == 0;
        self.replacement.plan(departure.slot, of_its_start, now);
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

    /// Ends the executor at once, if it is a process.
    pub fn kill(&self, slot: SlotId) {
        self.signal(slot, Signal::KILL);
    }

    /// Ends all executors that are processes.
    pub fn kill_all(&self) {
        for slot in self.seats.keys() {
            self.kill(*slot);
        }
    }

    /// Raises the soft limit in the executor, if it is a process.
    pub fn interrupt(&self, slot: SlotId) {
        self.signal(slot, Signal::USR1);
    }

    fn signal(&self, slot: SlotId, signal: Signal) {
        let Some(seat) = self.seats.get(&slot) else { return };
        // A reaped child's number may be another process by now.
        let living = seat.pid.filter(|_| seat.status.is_none());
        if let Some(pid) = living.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _ = kill_process(pid, signal); // it may have died by itself meanwhile: that was the aim
        }
    }

    /// Closes a slot's page; returns the number of the last job it started.
    pub fn close_page(&self, slot: SlotId) -> u64 {
        let word = slot.0 as usize * WORDS_PER_SLOT + CLAIM;
        let mut current = self.page.load(word);
        while current & CLOSED == 0 {
            match self.page.compare_exchange(word, current, current | CLOSED) {
                Ok(_) => break,
                Err(now) => current = now,
            }
        }
        current & !CLOSED
    }

    /// Opens a slot's page for jobs above `sequence`.
    pub fn open_page(&self, slot: SlotId, sequence: u64) {
        self.page.store(slot.0 as usize * WORDS_PER_SLOT + CLAIM, sequence);
    }

    fn clear(&self, slot: SlotId) {
        let first = slot.0 as usize * WORDS_PER_SLOT;
        self.page.store(first + TAG, 0);
        self.page.store(first + CLAIM, 0);
    }

    fn depart(&mut self, slot: SlotId) -> Option<Departure> {
        let seat = self.seats.remove(&slot)?;
        let started = self.close_page(slot);
        Some(Departure { slot, pid: seat.pid, status: seat.status, started, expected: seat.expected })
    }
}

impl Departure {
    /// How it ended, for people.
    pub fn reason(&self) -> String {
        let who = self.pid.map_or_else(|| "the executor".to_owned(), |pid| format!("child {pid}"));
        match self.status {
            None => format!("{who} is gone"),
            // The wait status: the signal in the low seven bits, else the exit code in the next eight.
            Some(status) => match status & 0x7f {
                0 => format!("{who} exited with code {}", (status >> 8) & 0xff),
                signal => format!("{who} was ended by signal {}", signal_name(signal)),
            },
        }
    }
}

fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return number.to_string(),
    };
    format!("{number} ({name})")
}
