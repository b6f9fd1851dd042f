//! Where threads wait for answers: over one connection for all of them, heard by one thread and passed on.
//!
//! The thread that finds nobody listening becomes the *listener*: it hears for all, and when it has what it came for,
//! the next one takes over. So no thread of our own is needed, which would not survive a fork.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alarm::Alarm;
use crate::broker::amqp::{AmqpConfig, Mailbox};
use crate::error::Result;
use crate::store::Record;

/// The pause before a lost connection is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// So many answers are kept for callers who have not asked for them yet; then the oldest go.
const MOST: usize = 1_000_000;
/// How long one looks for what has come already.
const LOOK: Duration = Duration::from_millis(20);

/// Whether a record is of an end; what cannot be looked into may be.
pub(super) fn has_ended(record: &Record) -> bool {
    record.state.is_empty() || Record::is_final(&record.state)
}

/// Answers that have come.
#[derive(Default)]
pub(super) struct Records {
    latest: HashMap<String, Record>,
    order: VecDeque<String>,
}

impl Records {
    fn put(&mut self, record: Record) {
        match self.latest.get_mut(&record.task_id) {
            // Messages may overtake each other; an end stands.
            Some(known) if has_ended(known) && !has_ended(&record) => {}
            Some(known) => *known = record,
            None => {
                self.order.push_back(record.task_id.clone());
                self.latest.insert(record.task_id.clone(), record);
            }
        }
        while self.order.len() > MOST {
            let oldest = self.order.pop_front().unwrap_or_default();
            self.latest.remove(&oldest);
        }
    }

    /// Those of the tasks that have ended.
    pub(super) fn ended<'a>(&self, task_ids: impl Iterator<Item = &'a str>) -> Vec<Record> {
        task_ids.filter_map(|id| self.latest.get(id)).filter(|record| has_ended(record)).cloned().collect()
    }
}

/// Threads that wait, and the connection they share.
pub(super) struct Room {
    config: Arc<AmqpConfig>,
    /// Wakes the listener.
    alarm: Alarm,
    pid: u32,
    /// Held for a moment, never while hearing.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: Records,
    /// A thread hears for all.
    is_heard: bool,
    /// The connection, while nobody hears.
    idle: Option<Mailbox>,
}

impl Room {
    pub(super) fn new(config: Arc<AmqpConfig>) -> io::Result<Self> {
        let (alarm, pid) = (Alarm::new()?, std::process::id());
        Ok(Self { config, alarm, pid, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Whether it was opened by this process.
    pub(super) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// What has come for some tasks by now.
    pub(super) fn look(&self, task_ids: &[String]) -> Result<Vec<Option<Record>>> {
        let found = |records: &Records| task_ids.iter().map(|id| records.latest.get(id).cloned()).collect();
        let known: Vec<Option<Record>> = found(&self.lock().records);
        if known.iter().flatten().filter(|record| has_ended(record)).count() < task_ids.len() {
            self.wait(Instant::now() + LOOK, &|| false, &mut |_| Vec::new())?;
        }
        Ok(found(&self.lock().records))
    }

    pub(super) fn forget(&self, task_ids: &[String]) {
        let mut state = self.lock();
        for id in task_ids {
            state.records.latest.remove(id);
        }
        state.records.order.retain(|id| !task_ids.contains(id));
    }

    /// Makes all threads that wait look whether they still want to.
    pub(super) fn wake(&self) {
        if self.lock().is_heard {
            self.alarm.ring();
        }
        self.changed.notify_all();
    }

    /// Waits until `want` finds something, at most until `deadline` or until `stop` says so.
    pub(super) fn wait(
        &self,
        deadline: Instant,
        stop: &dyn Fn() -> bool,
        want: &mut dyn FnMut(&Records) -> Vec<Record>,
    ) -> Result<Vec<Record>> {
        let mut state = self.lock();
        loop {
            let found = want(&state.records);
            if !found.is_empty() || stop() || Instant::now() >= deadline {
                return Ok(found);
            }
            if state.is_heard {
                let left = deadline.saturating_duration_since(Instant::now());
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.is_heard = true;
            let mailbox = state.idle.take();
            drop(state);
            self.hear(mailbox, deadline)?;
            state = self.lock();
        }
    }

    /// Hears for all until something has come, the alarm rings or the time is up.
    fn hear(&self, mailbox: Option<Mailbox>, deadline: Instant) -> Result<()> {
        let mut turn = Turn { room: self, mailbox };
        let heard = turn.hear(deadline);
        match heard {
            Ok(()) => Ok(()),
            Err(error) if error.is_temporary() => {
                turn.mailbox = None;
                // Nothing but the alarm is heard meanwhile: who waits is told when that is over.
                let until = deadline.min(Instant::now() + PAUSE);
                turn.pause(until);
                Ok(())
            }
            Err(error) => {
                turn.mailbox = None;
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's turn to hear; gives the connection back when dropped.
struct Turn<'a> {
    room: &'a Room,
    mailbox: Option<Mailbox>,
}

impl Turn<'_> {
    fn hear(&mut self, deadline: Instant) -> Result<()> {
        let mailbox = match &mut self.mailbox {
            Some(mailbox) => mailbox,
            empty => empty.insert(Mailbox::open(&self.room.config)?),
        };
        let Some(letter) = mailbox.next(self.room.alarm.as_fd(), deadline)? else {
            self.room.alarm.silence();
            return Ok(());
        };
        let mut came = vec![record(letter)];
        // What has come together is passed on together.
        while mailbox.has_more() {
            let Some(letter) = mailbox.next(self.room.alarm.as_fd(), Instant::now())? else { break };
            came.push(record(letter));
        }
        let mut state = self.room.lock();
        for record in came {
            state.records.put(record);
        }
        Ok(())
    }

    fn pause(&self, until: Instant) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut place = [PollFd::new(&self.room.alarm, PollFlags::IN)];
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        // An interruption by a signal only ends the pause.
        let _ = poll(&mut place, left.as_ref());
        self.room.alarm.silence();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.is_heard = false;
        state.idle = self.mailbox.take();
        drop(state);
        self.room.changed.notify_all();
    }
}

/// An answer as a record: JSON says its state itself, anything else is read by whoever asked.
fn record(letter: crate::broker::amqp::Letter) -> Record {
    let document: Value = match letter.content_type.as_str() {
        "application/json" => serde_json::from_slice(&letter.body).unwrap_or_default(),
        _ => Value::Null,
    };
    Record {
        task_id: letter.correlation_id,
        state: document["status"].as_str().unwrap_or_default().to_owned(),
        content_type: letter.content_type,
        body: letter.body.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, state: &str) -> Record {
        Record { task_id: id.into(), state: state.into(), content_type: String::new(), body: Vec::new() }
    }

    #[test]
    fn the_last_answer_stands_except_after_an_end() {
        let mut records = Records::default();
        for state in ["STARTED", "SUCCESS", "STARTED"] {
            records.put(record("1", state));
        }
        records.put(record("2", "STARTED"));
        assert_eq!(records.ended(["1", "2", "3"].into_iter()), [record("1", "SUCCESS")]);
        records.put(record("2", "RETRY"));
        records.put(record("2", "FAILURE"));
        assert_eq!(records.ended(["2"].into_iter()), [record("2", "FAILURE")]);
    }
}
