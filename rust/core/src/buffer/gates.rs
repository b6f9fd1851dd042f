//! Jobs that need something of the server before they may run: a turn under a rate that all workers keep together, or a
//! token of a key of which at most so many run. Pure.
//!
//! Behind each *gate*, which is a key and what is asked for under it, jobs wait in order. The server is asked for many
//! gates at once, for no more than slots can take soon, and one ask is under way at a time. A gate that got less than it
//! asked for is shut: until a time, or until tokens are given back. The server has such a worker in its line for the key,
//! and calls it; to ask again now and then is for calls that get lost.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::ident::Tag;
use crate::job::limits::{Ask, Asked, Granted};

/// A gate that waits for tokens is asked for again after so long. Each ask costs the server some commands, and a worker
/// that only waits shall cost next to nothing.
const LOOK: Duration = Duration::from_secs(30);
/// So long after the server could not be asked.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// Turns are asked for so long before the first of them may come.
const LEAD: Duration = Duration::from_millis(10);
/// For each slot so many gates are asked for: most may turn out to be shut.
const GATES_PER_SLOT: usize = 4;
/// A worker without a free slot for so long leaves the server's lines: it would hold up others.
const LEAVE_AFTER: Duration = Duration::from_millis(500);

/// What names a gate: the key, and whether it is one of turns.
type Name = (Arc<str>, bool);

/// All gates behind which jobs wait.
#[derive(Debug, Default)]
pub struct Gates {
    all: HashMap<Name, Gate>,
    /// In which order they are asked for; each goes to the end when it was.
    order: VecDeque<Name>,
    count: usize,
    asking: bool,
    /// Since when no slot was free.
    no_room_since: Option<Instant>,
    /// Nothing to ask for before then, unless something happens.
    quiet_until: Option<Instant>,
}

#[derive(Debug)]
struct Gate {
    what: Asked,
    shelf: VecDeque<Tag>,
    /// Not asked for before then.
    shut_until: Option<Instant>,
    /// The server has this worker in its line.
    in_line: bool,
    /// It is in the ask under way.
    asked: u32,
    /// How long a job waited for the one before it, lately.
    pace: Duration,
    granted_at: Option<Instant>,
}

impl Gates {
    /// Whether no job waits, and no line is to be left.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many jobs wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Has a job wait behind the others of its gate, or before them.
    pub fn put(&mut self, key: &Arc<str>, what: Asked, tag: Tag, first: bool) {
        let name = (Arc::clone(key), is_turns(what));
        let gate = self.all.entry(name.clone()).or_insert_with(|| {
            self.order.push_back(name);
            Gate::new(what)
        });
        gate.what = what;
        if first {
            gate.shelf.push_front(tag);
        } else {
            gate.shelf.push_back(tag);
        }
        self.count += 1;
        // It may be a gate that had no job when it was last looked when the next one opens.
        self.quiet_until = self.quiet_until.min(gate.shut_until);
    }

    /// What to ask the server for now; nothing while an ask is under way. `room`: how many jobs slots can take soon.
    pub fn asks(&mut self, now: Instant, room: usize) -> Vec<Ask> {
        // Without room there are lines to be left, however long no gate opens.
        let is_quiet = room > 0 && self.quiet_until.is_some_and(|until| now < until);
        if self.asking || self.all.is_empty() || is_quiet {
            return Vec::new();
        }
        let asks = if room == 0 { self.leave(now) } else { self.gather(now, room) };
        self.asking = !asks.is_empty();
        if asks.is_empty() && room > 0 {
            self.quiet_until = Some(self.next_open().unwrap_or(Instant(u64::MAX)));
        }
        asks
    }

    fn gather(&mut self, now: Instant, room: usize) -> Vec<Ask> {
        self.no_room_since = None;
        let mut asks = Vec::new();
        let mut left = room.saturating_mul(GATES_PER_SLOT);
        for _ in 0..self.order.len() {
            if left == 0 {
                break;
            }
            let Some(name) = self.order.pop_front() else { break };
            if let Some(gate) = self.all.get_mut(&name) {
                let wanted = if gate.shut_until.is_some_and(|until| now < until) {
                    0
                } else {
                    gate.shelf.len().min(room).min(left)
                };
                let leaves = gate.shelf.is_empty() && gate.in_line;
                left -= wanted;
                if wanted > 0 || leaves {
                    gate.asked = u32::try_from(wanted).unwrap_or(u32::MAX);
                    asks.push(Ask { key: Arc::clone(&name.0), what: gate.what, wanted: gate.asked });
                }
            }
            self.order.push_back(name);
        }
        asks
    }

    /// Leaves all lines, after a while without room.
    fn leave(&mut self, now: Instant) -> Vec<Ask> {
        let since = *self.no_room_since.get_or_insert(now);
        if now < since.after(LEAVE_AFTER) {
            return Vec::new();
        }
        let in_line = self.all.iter_mut().filter(|(_, gate)| gate.in_line);
        let asks = in_line.map(|((key, _), gate)| {
            (gate.shut_until, gate.asked) = (None, 0);
            Ask { key: Arc::clone(key), what: gate.what, wanted: 0 }
        });
        asks.collect()
    }

    /// Takes the server's answers in. `pass`: is given each job that may go on, and of a turn how long until it comes.
    /// Tokens for which no job waits any more are returned.
    pub fn granted(
        &mut self,
        now: Instant,
        answers: &[Granted],
        mut pass: impl FnMut(Tag, &Arc<str>, Option<Duration>),
    ) -> Vec<Arc<str>> {
        (self.asking, self.quiet_until) = (false, None);
        let mut unwanted = Vec::new();
        for answer in answers {
            let Some(gate) = self.all.get_mut(&(Arc::clone(&answer.key), answer.turns)) else {
                let tokens = if answer.turns { 0 } else { answer.count as usize };
                unwanted.extend(std::iter::repeat_n(Arc::clone(&answer.key), tokens));
                continue;
            };
            let mut turn = answer.after;
            for _ in 0..answer.count {
                match (gate.shelf.pop_front(), gate.what) {
                    (Some(tag), Asked::Turns { every, .. }) => {
                        pass(tag, &answer.key, Some(turn));
                        turn = turn.saturating_add(every);
                    }
                    (Some(tag), Asked::Tokens { .. }) => pass(tag, &answer.key, None),
                    (None, Asked::Turns { .. }) => continue,
                    (None, Asked::Tokens { .. }) => {
                        unwanted.push(Arc::clone(&answer.key));
                        continue;
                    }
                }
                self.count -= 1;
            }
            gate.answered(now, answer);
        }
        self.shut_unanswered(now);
        self.tidy();
        unwanted
    }

    /// A gate that was asked for and had no answer waits a moment: the server could not be asked.
    fn shut_unanswered(&mut self, now: Instant) {
        for gate in self.all.values_mut().filter(|gate| gate.asked > 0) {
            (gate.asked, gate.shut_until) = (0, Some(now.after(TRY_AGAIN)));
        }
    }

    /// Forgets gates that nothing waits for. The answer to an ask may be that this worker is in the line now.
    fn tidy(&mut self) {
        let all = &mut self.all;
        all.retain(|_, gate| !gate.shelf.is_empty() || gate.in_line || gate.asked > 0);
        if self.order.len() != all.len() {
            self.order.retain(|name| all.contains_key(name));
        }
    }

    /// Takes the next job that waits for a token of a key: one of this worker's is passed on to it.
    pub fn pass_on(&mut self, key: &Arc<str>) -> Option<Tag> {
        let gate = self.all.get_mut(&(Arc::clone(key), false))?;
        let tag = gate.shelf.pop_front()?;
        self.count -= 1;
        if gate.shelf.is_empty() {
            self.quiet_until = None; // nobody waits any more, so the line is to be left: it holds up others
        }
        self.tidy();
        Some(tag)
    }

    /// This worker gives a token of a key back: another job may have it.
    pub fn gave_back(&mut self, key: &Arc<str>) {
        if let Some(gate) = self.all.get_mut(&(Arc::clone(key), false)) {
            (gate.shut_until, self.quiet_until) = (None, None);
        }
    }

    /// The server called: tokens were given back.
    pub fn freed(&mut self) {
        for ((_, is_turns), gate) in &mut self.all {
            if !is_turns {
                gate.shut_until = None;
            }
        }
        self.quiet_until = None;
    }

    /// How long a job would wait for its turn behind the others.
    pub fn wait(&self, key: &Arc<str>, every: Duration, now: Instant) -> Duration {
        self.all.get(&(Arc::clone(key), true)).map_or(Duration::ZERO, |gate| {
            let count = u32::try_from(gate.shelf.len()).unwrap_or(u32::MAX);
            let shut = gate.shut_until.map_or(Duration::ZERO, |until| until.since(now));
            shut.saturating_add(every.saturating_mul(count))
        })
    }

    /// How long a job would wait for a token behind the others, going by those before it.
    pub fn pace(&self, key: &Arc<str>) -> Duration {
        self.all.get(&(Arc::clone(key), false)).map_or(Duration::ZERO, |gate| {
            gate.pace.saturating_mul(u32::try_from(gate.shelf.len()).unwrap_or(u32::MAX))
        })
    }

    fn next_open(&self) -> Option<Instant> {
        let waiting = self.all.values().filter(|gate| !gate.shelf.is_empty());
        waiting.filter_map(|gate| gate.shut_until).min()
    }

    /// When something may be asked for next. `room`: as in [`Gates::asks`].
    pub fn next_wake(&self, room: usize) -> Option<Instant> {
        if self.asking || self.all.is_empty() {
            None
        } else if room > 0 {
            self.next_open()
        } else {
            let in_line = self.all.values().any(|gate| gate.in_line);
            self.no_room_since.filter(|_| in_line).map(|since| since.after(LEAVE_AFTER))
        }
    }

    /// The session is over: nothing is asked, and no line is stood in.
    pub fn forget_session(&mut self) {
        (self.asking, self.quiet_until) = (false, None);
        for gate in self.all.values_mut() {
            (gate.in_line, gate.asked, gate.shut_until) = (false, 0, None);
        }
        self.tidy();
    }

    /// Takes jobs off their shelves unless they are to stay. What comes for them all the same is given back.
    pub fn retain(&mut self, mut stays: impl FnMut(Tag) -> bool) {
        for gate in self.all.values_mut() {
            gate.shelf.retain(|tag| stays(*tag));
        }
        (self.count, self.quiet_until) = (self.all.values().map(|gate| gate.shelf.len()).sum(), None);
        self.tidy();
    }

    /// Empties all shelves.
    pub fn drain(&mut self) -> Vec<Tag> {
        (self.count, self.quiet_until) = (0, None);
        self.all.values_mut().flat_map(|gate| gate.shelf.drain(..)).collect()
    }
}

impl Gate {
    fn new(what: Asked) -> Self {
        let (shelf, pace) = (VecDeque::new(), Duration::ZERO);
        Self { what, shelf, shut_until: None, in_line: false, asked: 0, pace, granted_at: None }
    }

    fn answered(&mut self, now: Instant, answer: &Granted) {
        let wanted = std::mem::take(&mut self.asked);
        let got_all = answer.count >= wanted;
        if answer.count > 0 {
            let before = self.granted_at.replace(now);
            let each = before.map_or(Duration::ZERO, |before| now.since(before) / answer.count);
            self.pace = (self.pace * 3 + each) / 4;
        }
        match self.what {
            Asked::Turns { every, .. } => {
                let next = answer.after.saturating_add(every.saturating_mul(answer.count));
                self.shut_until = Some(now.after(next.saturating_sub(LEAD)));
            }
            Asked::Tokens { .. } => {
                self.in_line = wanted > 0 && !got_all;
                self.shut_until = self.in_line.then(|| now.after(LOOK));
            }
        }
    }
}

fn is_turns(what: Asked) -> bool {
    matches!(what, Asked::Turns { .. })
}
