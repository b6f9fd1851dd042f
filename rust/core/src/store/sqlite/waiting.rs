//! Where threads wait for results: one bell for all of them, heard by one and passed on.
//!
//! Workers send the ids of the tasks that have ended to the bell of every process that waits. The thread that finds
//! nobody listening becomes the *listener*: it receives for all, and when it has what it came for, the next one
//! takes over. So any number of threads wait with one socket and without a thread of our own, which would not
//! survive a fork.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;

use crate::alarm::Alarm;
use crate::broker::sqlite::{Bell, Keeper, LONGEST_DATAGRAM};
use crate::fork;

/// Room for the longest message.
const BUFFER: usize = LONGEST_DATAGRAM + 1024;

/// Makes the names of this process's bells differ.
static NEXT_BELL: AtomicU64 = AtomicU64::new(1);

/// The room of one store, opened when first needed and anew in a forked process.
#[derive(Default)]
pub(super) struct WaitingRoom {
    /// Taken inside the gate only, so it is free in a forked child.
    open: Mutex<Option<Arc<Room>>>,
}

impl WaitingRoom {
    /// The room of this process.
    pub(super) fn open(&self, keeper: &Keeper) -> Arc<Room> {
        let _inside = fork::enter();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = open.as_ref().filter(|room| room.pid == std::process::id()) {
            return Arc::clone(room);
        }
        let room = Arc::new(Room::new(keeper));
        // The parent's room is left alone: its lock may have been held when we were forked.
        std::mem::forget(open.replace(Arc::clone(&room)));
        room
    }

    /// Tells those who wait in this process which tasks have ended.
    pub(super) fn pass_on<'a>(&self, ended: impl Iterator<Item = &'a str>) {
        let _inside = fork::enter();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = open.as_ref().filter(|room| room.pid == std::process::id()) {
            room.lock().pass_on(ended);
            room.wake();
        }
    }

    /// Takes the bell away. Threads that still wait keep it until they leave.
    pub(super) fn close(&self) {
        let _inside = fork::enter();
        let room = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(room) = room.filter(|room| room.pid != std::process::id()) {
            std::mem::forget(room);
        }
    }
}

/// Threads that wait, and the bell they share.
pub(super) struct Room {
    /// `None` where no socket can be bound: then everybody looks at the file now and then.
    bell: Option<Bell>,
    /// Wakes the listener from within this process.
    alarm: Option<Alarm>,
    pid: u32,
    /// Held for a moment, never while receiving.
    waiting: Mutex<Tickets>,
    changed: Condvar,
}

#[derive(Default)]
struct Tickets {
    last: u64,
    /// Who waits for a task.
    by_task: HashMap<String, Vec<u64>>,
    tasks: HashMap<u64, HashSet<String>>,
    /// Tasks that were named to a ticket and not yet looked at.
    named: HashMap<u64, Vec<String>>,
    listener: bool,
}

/// Why a pause ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// These tasks have ended.
    Named(Vec<String>),
    /// The time was up.
    Late,
}

impl Room {
    fn new(keeper: &Keeper) -> Self {
        let bell = Bell::of_waiter(&keeper.run_directory(), NEXT_BELL.fetch_add(1, Ordering::Relaxed)).ok();
        let (alarm, pid) = (Alarm::new().ok(), std::process::id());
        Self { bell, alarm, pid, waiting: Mutex::default(), changed: Condvar::new() }
    }

    /// Whether it was opened by this process.
    pub(super) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Begins to wait for tasks. Look at the file afterwards: what is said from now on is heard.
    pub(super) fn enter(&self, wanted: &HashSet<&str>) -> u64 {
        let mut tickets = self.lock();
        tickets.last += 1;
        let ticket = tickets.last;
        tickets.tasks.insert(ticket, HashSet::new());
        tickets.add(ticket, wanted.iter().copied());
        drop(tickets);
        self.clear();
        ticket
    }

    /// Waits for more tasks, and has the file looked at for them.
    pub(super) fn add(&self, ticket: u64, wanted: &[String]) {
        let mut tickets = self.lock();
        let added = tickets.add(ticket, wanted.iter().map(String::as_str));
        tickets.named.entry(ticket).or_default().extend(added);
        drop(tickets);
        self.wake();
    }

    /// Waits for some tasks no more.
    pub(super) fn remove(&self, ticket: u64, unwanted: &[String]) {
        let mut tickets = self.lock();
        for id in unwanted {
            if tickets.tasks.get_mut(&ticket).is_some_and(|tasks| tasks.remove(id)) {
                tickets.give_up(ticket, id);
            }
            if let Some(named) = tickets.named.get_mut(&ticket) {
                named.retain(|named| named != id);
            }
        }
    }

    /// What a ticket waits for.
    pub(super) fn tasks(&self, ticket: u64) -> Vec<String> {
        self.lock().tasks.get(&ticket).into_iter().flatten().cloned().collect()
    }

    /// Ends the pause of a ticket, or the one to come.
    pub(super) fn nudge(&self, ticket: u64) {
        self.lock().named.entry(ticket).or_default();
        self.wake();
    }

    fn wake(&self) {
        if let Some(alarm) = &self.alarm {
            alarm.ring();
        }
        self.changed.notify_all();
    }

    /// Takes away what came while nobody listened: a queue full of it (ten messages, on many systems) takes no more.
    fn clear(&self) {
        let Some(bell) = &self.bell else { return };
        let mut buffer = vec![0; BUFFER];
        while let Ok((length, _)) = rustix::net::recv(&bell.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
            self.hear(&buffer[..length]);
        }
    }

    /// Passes a message on. Those who are named look at the file; one of the others becomes the listener.
    fn hear(&self, message: &[u8]) {
        let ids = message.split(|byte| *byte == b'\n').filter_map(|id| std::str::from_utf8(id).ok());
        self.lock().pass_on(ids);
        self.changed.notify_all();
    }

    /// Ends waiting.
    pub(super) fn leave(&self, ticket: u64) {
        let mut tickets = self.lock();
        tickets.named.remove(&ticket);
        for id in tickets.tasks.remove(&ticket).unwrap_or_default() {
            tickets.give_up(ticket, &id);
        }
    }

    /// Waits until tasks of this ticket are named, at most until `until`.
    pub(super) fn pause(&self, ticket: u64, until: Instant) -> Woken {
        let mut tickets = self.lock();
        loop {
            if let Some(ids) = tickets.named.remove(&ticket) {
                return Woken::Named(ids);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Woken::Late;
            }
            tickets = match &self.bell {
                Some(bell) if !tickets.listener => {
                    tickets.listener = true;
                    drop(tickets);
                    let heard = receive(bell, self.alarm.as_ref(), left);
                    self.lock().listener = false;
                    self.hear(&heard);
                    self.lock()
                }
                _ => self.changed.wait_timeout(tickets, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tickets> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tickets {
    /// Those of `wanted` that the ticket did not wait for.
    fn add<'a>(&mut self, ticket: u64, wanted: impl Iterator<Item = &'a str>) -> Vec<String> {
        let Some(tasks) = self.tasks.get_mut(&ticket) else { return Vec::new() };
        let added: Vec<String> =
            wanted.filter(|id| tasks.insert((*id).to_owned())).map(str::to_owned).collect();
        for id in &added {
            self.by_task.entry(id.clone()).or_default().push(ticket);
        }
        added
    }

    fn give_up(&mut self, ticket: u64, id: &str) {
        if let Some(waiters) = self.by_task.get_mut(id) {
            waiters.retain(|waiter| *waiter != ticket);
            if waiters.is_empty() {
                self.by_task.remove(id);
            }
        }
    }

    fn pass_on<'a>(&mut self, ended: impl Iterator<Item = &'a str>) {
        for id in ended {
            let Some(waiters) = self.by_task.get(id) else { continue };
            for waiter in waiters {
                let named = self.named.entry(*waiter).or_default();
                // Told twice: by the worker's message and by a thread of this process.
                if !named.iter().any(|known| known == id) {
                    named.push(id.to_owned());
                }
            }
        }
    }
}

/// One message; nothing when the time is up, the alarm rang or a signal came.
fn receive(bell: &Bell, alarm: Option<&Alarm>, limit: Duration) -> Vec<u8> {
    let mut places = vec![PollFd::new(&bell.socket, PollFlags::IN)];
    places.extend(alarm.map(|alarm| PollFd::new(alarm, PollFlags::IN)));
    let limit = Timespec::try_from(limit).ok();
    // A wait that failed is one that was short: everybody looks at the file now and then.
    let _ = rustix::event::poll(&mut places, limit.as_ref());
    if let Some(alarm) = alarm {
        alarm.silence();
    }
    let mut buffer = vec![0; BUFFER];
    let received = rustix::net::recv(&bell.socket, &mut buffer[..], RecvFlags::DONTWAIT);
    buffer.truncate(received.map_or(0, |(length, _)| length));
    buffer
}
