//! Where threads wait for results: one connection for all of them, heard by one thread and passed on.
//!
//! The thread that finds nobody listening becomes the *listener*: it hears for all, and when it has what it came for,
//! the next one takes over. So any number of threads wait over one connection and without a thread of our own, which
//! would not survive a fork. A thread that wants something new while another one listens rings the alarm.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::listening::{Heard, Listening};
use super::tickets::{Next, Tickets};
use super::{has_ended, read};
use crate::alarm::Alarm;
use crate::broker::redis::{Keeper, ResultLayout};
use crate::error::{Error, ErrorKind, Result};
use crate::fork;
use crate::store::Record;

/// The pause before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The room of one store, opened when first needed and anew in a forked process.
#[derive(Default)]
pub(super) struct WaitingRoom {
    /// Taken inside the gate only, so it is free in a forked child.
    open: Mutex<Option<Arc<Room>>>,
}

impl WaitingRoom {
    /// The room of this process.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub(super) fn open(&self, keeper: &Arc<Keeper>) -> Result<Arc<Room>> {
        let _inside = fork::enter();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = open.as_ref().filter(|room| room.is_ours()) {
            return Ok(Arc::clone(room));
        }
        let room = Room::new(Arc::clone(keeper)).map_err(|error| {
            Error::new(ErrorKind::Unreachable, "waiting for results needs two descriptors").because(error)
        })?;
        let room = Arc::new(room);
        // The parent's room is left alone: its lock may have been held when we were forked.
        std::mem::forget(open.replace(Arc::clone(&room)));
        Ok(room)
    }

    /// Takes the connection away. Threads that still wait keep it until they leave.
    pub(super) fn close(&self) {
        let _inside = fork::enter();
        let room = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(room) = room.filter(|room| !room.is_ours()) {
            std::mem::forget(room);
        }
    }
}

/// Threads that wait, and the connection they share.
pub(super) struct Room {
    keeper: Arc<Keeper>,
    /// Wakes the listener.
    alarm: Alarm,
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
    fn new(keeper: Arc<Keeper>) -> io::Result<Self> {
        let (alarm, pid) = (Alarm::new()?, std::process::id());
        Ok(Self { keeper, alarm, pid, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Whether it was opened by this process.
    pub(super) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    fn layout(&self) -> &ResultLayout {
        &self.keeper.config.results
    }

    /// Begins to wait, for nothing yet.
    pub(super) fn enter(&self) -> u64 {
        self.lock().tickets.enter()
    }

    /// Waits for some tasks, too.
    pub(super) fn add(&self, ticket: u64, task_ids: &[String]) {
        let mut state = self.lock();
        state.tickets.add(ticket, task_ids.iter().map(|id| self.layout().key(id)));
        self.tell(state);
    }

    /// Waits for some tasks no more.
    pub(super) fn remove(&self, ticket: u64, task_ids: &[String]) {
        let mut state = self.lock();
        state.tickets.remove(ticket, task_ids.iter().map(|id| self.layout().key(id)));
        self.tell(state);
    }

    /// Ends waiting.
    pub(super) fn leave(&self, ticket: u64) {
        let mut state = self.lock();
        state.tickets.leave(ticket);
        self.tell(state);
    }

    /// Makes all threads that wait look whether they still want to.
    pub(super) fn wake(&self) {
        let state = self.lock();
        if state.is_heard {
            self.alarm.ring();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Has the server told what changed: by the listener, or at once where there is none.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        if !state.tickets.has_changes() {
            return;
        }
        if state.is_heard {
            self.alarm.ring();
            return;
        }
        // Without a connection nothing was asked for yet: who opens it asks.
        let Some(mut listening) = state.idle.take() else { return };
        let (wanted, unwanted) = state.tickets.changes();
        match listening.change(&wanted, &unwanted) {
            Ok(()) => state.idle = Some(listening),
            Err(_) => state.tickets.disconnect(),
        }
    }

    /// Waits until one of the ticket's tasks has ended, at most until `deadline` or until `stop` says so; `look` reads
    /// the records of some keys.
    pub(super) fn wait(
        &self,
        ticket: u64,
        deadline: Instant,
        stop: &dyn Fn() -> bool,
        look: &dyn Fn(&[String]) -> Result<Vec<Record>>,
    ) -> Result<Vec<Record>> {
        loop {
            if stop() {
                return Ok(Vec::new());
            }
            let next = self.lock().tickets.next(ticket);
            match next {
                Next::Came(documents) => {
                    let records = self.records(documents);
                    if !records.is_empty() {
                        return Ok(records);
                    }
                }
                Next::Look(keys) => match look(&self.ids(&keys)) {
                    Ok(records) if records.is_empty() => {}
                    Err(error) if error.is_temporary() => {
                        self.lock().tickets.look_again(ticket, keys);
                        if Instant::now() >= deadline {
                            return Ok(Vec::new());
                        }
                    }
                    other => return other,
                },
                Next::Wait if Instant::now() >= deadline => return Ok(Vec::new()),
                Next::Wait => self.pause(ticket, deadline, stop)?,
            }
        }
    }

    fn ids(&self, keys: &[String]) -> Vec<String> {
        keys.iter().filter_map(|key| Some(self.layout().task_id(key)?.to_owned())).collect()
    }

    fn records(&self, documents: Vec<(String, Vec<u8>)>) -> Vec<Record> {
        let layout = self.layout();
        let records = documents
            .into_iter()
            .filter_map(|(key, document)| Some(read(layout, layout.task_id(&key)?, document)));
        records.filter(has_ended).collect()
    }

    /// Hears for all until there is something for this ticket, or lets another thread do it.
    fn pause(&self, ticket: u64, deadline: Instant, stop: &dyn Fn() -> bool) -> Result<()> {
        let mut state = self.lock();
        if state.tickets.has_news(ticket) || stop() {
            return Ok(());
        }
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
        let was_open = listening.is_some();
        let mut turn = Turn { room: self, listening };
        if !was_open {
            turn.listening = match Listening::open(&self.keeper.config, deadline) {
                Ok(listening) => Some(listening),
                Err(error) if error.is_temporary() => {
                    self.lose(PAUSE);
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
        }
        if turn.hear(ticket, deadline, stop).is_err() {
            turn.listening = None;
            // One that was lost while nobody heard is replaced at once.
            self.lose(if was_open { Duration::ZERO } else { PAUSE });
        }
        Ok(())
    }

    /// The connection is lost: wait a little, then ask for everything again.
    fn lose(&self, pause: Duration) {
        let mut state = self.lock();
        state.tickets.disconnect();
        state.pause = Some(Instant::now() + pause);
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
    fn hear(&mut self, ticket: u64, deadline: Instant, stop: &dyn Fn() -> bool) -> Result<()> {
        let Some(listening) = &mut self.listening else { return Ok(()) };
        loop {
            let (wanted, unwanted) = self.room.lock().tickets.changes();
            listening.change(&wanted, &unwanted)?;
            let heard = listening.hear(self.room.alarm.as_fd(), deadline)?;
            let mut state = self.room.lock();
            match heard {
                Heard::Confirmed(key) => state.tickets.confirm(&key),
                Heard::Announced(key, document) => state.tickets.announce(&key, &document),
                Heard::Noise => {}
                Heard::Nothing => {
                    // The alarm, or the time is up.
                    self.room.alarm.silence();
                    if Instant::now() >= deadline || stop() {
                        return Ok(());
                    }
                    continue;
                }
            }
            // What has come together is passed on together.
            if listening.has_more() {
                continue;
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
        // Rung for this turn, but not heard any more.
        self.room.tell(state);
        self.room.changed.notify_all();
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
