//! Where threads wait for results: one connection for all of them, heard by one thread and passed on.
//!
//! The thread that finds nobody listening becomes the *listener*: it hears for all, and when it has what it came for,
//! the next one takes over. So any number of threads wait over one connection and without a thread of our own, which
//! would not survive a fork. A thread that wants something new while another one listens rings a bell: it publishes on
//! a channel that only this process listens to.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::listening::{Heard, Listening};
use super::tickets::{Next, Tickets};
use super::{has_ended, read};
use crate::broker::redis::{Batch, Keeper, ResultLayout};
use crate::error::Result;
use crate::fork;
use crate::ident;
use crate::store::Record;

/// The pause before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a bell is rung until somebody hears it.
const RINGS: u32 = 20;

/// The room of one store, opened when first needed and anew in a forked process.
#[derive(Default)]
pub(super) struct WaitingRoom {
    /// Taken inside the gate only, so it is free in a forked child.
    open: Mutex<Option<Arc<Room>>>,
}

impl WaitingRoom {
    /// The room of this process.
    pub(super) fn open(&self, keeper: &Arc<Keeper>) -> Arc<Room> {
        let _inside = fork::enter();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = open.as_ref().filter(|room| room.pid == std::process::id()) {
            return Arc::clone(room);
        }
        let room = Arc::new(Room::new(Arc::clone(keeper)));
        // The parent's room is left alone: its lock may have been held when we were forked.
        std::mem::forget(open.replace(Arc::clone(&room)));
        room
    }

    /// Takes the connection away. Threads that still wait keep it until they leave.
    pub(super) fn close(&self) {
        let _inside = fork::enter();
        let room = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(room) = room.filter(|room| room.pid != std::process::id()) {
            std::mem::forget(room);
        }
    }
}

/// Threads that wait, and the connection they share.
pub(super) struct Room {
    keeper: Arc<Keeper>,
    /// The channel that wakes the listener.
    bell: String,
    pid: u32,
    /// Held for a moment, never while hearing.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    tickets: Tickets,
    /// A thread hears for all.
    is_heard: bool,
    /// The connection, while nobody hears.
    idle: Option<Listening>,
    /// No new connection before this moment.
    pause: Option<Instant>,
}

impl Room {
    fn new(keeper: Arc<Keeper>) -> Self {
        let bell = keeper.config.results.key(&format!("fastq-bell-{}", ident::session_id()));
        Self { keeper, bell, pid: std::process::id(), state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until one of some tasks has ended, at most until `deadline`; `look` reads those that have.
    pub(super) fn wait(
        &self,
        task_ids: &[String],
        deadline: Instant,
        look: impl Fn() -> Result<Vec<Record>>,
    ) -> Result<Vec<Record>> {
        let layout = &self.keeper.config.results;
        let keys = task_ids.iter().map(|id| layout.key(id)).collect();
        let ticket = Waiting { room: self, number: self.lock().tickets.enter(keys) };
        self.ring_if_somebody_hears();
        loop {
            let next = self.lock().tickets.next(ticket.number);
            match next {
                Next::Came(documents) => {
                    let records = self.records(layout, task_ids, documents);
                    if !records.is_empty() {
                        return Ok(records);
                    }
                }
                Next::Look => match look() {
                    Ok(records) if records.is_empty() => {}
                    Err(error) if error.is_temporary() => self.lock().tickets.disconnect(),
                    other => return other,
                },
                Next::Wait if Instant::now() >= deadline => return Ok(Vec::new()),
                Next::Wait => self.pause(ticket.number, deadline)?,
            }
        }
    }

    fn records(
        &self,
        layout: &ResultLayout,
        task_ids: &[String],
        documents: Vec<(String, Vec<u8>)>,
    ) -> Vec<Record> {
        let records = documents.into_iter().filter_map(|(key, document)| {
            let id = task_ids.iter().find(|id| layout.key(id) == key)?;
            Some(read(layout, id, document)).filter(has_ended)
        });
        records.collect()
    }

    /// Hears for all until there is something for this ticket, or lets another thread do it.
    fn pause(&self, ticket: u64, deadline: Instant) -> Result<()> {
        let mut state = self.lock();
        if state.is_heard {
            drop(self.changed.wait_timeout(state, left(deadline)));
            return Ok(());
        }
        if let Some(until) = state.pause.take_if(|until| *until > Instant::now()) {
            state.pause = Some(until);
            drop(self.changed.wait_timeout(state, left(deadline.min(until))));
            return Ok(());
        }
        state.is_heard = true;
        let listening = state.idle.take();
        drop(state);
        let mut turn = Turn { room: self, listening };
        turn.listening = match turn.listening.take() {
            Some(listening) => Some(listening),
            None => match Listening::open(&self.keeper.config, &self.bell) {
                Ok(listening) => Some(listening),
                Err(error) if error.is_temporary() => {
                    self.lose();
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        if turn.hear(ticket, deadline).is_err() {
            turn.listening = None;
            self.lose();
        }
        Ok(())
    }

    /// The connection is lost: wait a little, then ask for everything again.
    fn lose(&self) {
        let mut state = self.lock();
        state.tickets.disconnect();
        state.pause = Some(Instant::now() + PAUSE);
    }

    /// Tells the listener, if there is one, that somebody wants something new.
    fn ring_if_somebody_hears(&self) {
        let mut batch = Batch::new();
        batch.add(&[b"PUBLISH", self.bell.as_bytes(), b""]);
        for _ in 0..RINGS {
            let state = self.lock();
            if !state.is_heard || !state.tickets.has_changes() {
                return;
            }
            drop(state);
            // Nobody hears it as long as the listener's own first question is under way.
            if self.keeper.call("wait for results", &batch).and_then(|mut replies| replies.int()).unwrap_or(1)
                > 0
            {
                return;
            }
            let state = self.lock();
            drop(self.changed.wait_timeout(state, Duration::from_millis(1)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's turn to hear; gives the connection back when dropped.
struct Turn<'a> {
    room: &'a Room,
    listening: Option<Listening>,
}

impl Turn<'_> {
    fn hear(&mut self, ticket: u64, deadline: Instant) -> Result<()> {
        let Some(listening) = &mut self.listening else { return Ok(()) };
        loop {
            let (wanted, unwanted) = self.room.lock().tickets.changes();
            listening.change(&wanted, &unwanted)?;
            let heard = listening.hear(deadline)?;
            let mut state = self.room.lock();
            match heard {
                Heard::Confirmed(key) if key == self.room.bell => {}
                Heard::Confirmed(key) => state.tickets.confirm(&key),
                Heard::Announced(key, _) if key == self.room.bell => {}
                Heard::Announced(key, document) => state.tickets.announce(&key, &document),
                Heard::Noise => continue,
                Heard::Nothing => return Ok(()),
            }
            self.room.changed.notify_all();
            if state.tickets.has_news(ticket) {
                return Ok(());
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.is_heard = false;
        state.idle = self.listening.take();
        drop(state);
        self.room.changed.notify_all();
    }
}

/// One call of `wait`; leaves the room when dropped.
struct Waiting<'a> {
    room: &'a Room,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.tickets.leave(self.number);
        // With nobody to hear, what was given up is said at once, or it would pile up unheard.
        let Some(mut listening) = state.idle.take() else { return };
        let (wanted, unwanted) = state.tickets.changes();
        match listening.change(&wanted, &unwanted) {
            Ok(()) => state.idle = Some(listening),
            Err(_) => state.tickets.disconnect(),
        }
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
