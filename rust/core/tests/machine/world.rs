//! A world for the machine: a broker, executors and a slot page made of plain data, moved by hand.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastq_core::broker::{Delivery, Publication, Receipt};
use fastq_core::clock::{Instant, WallTime};
use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::{Effect, Effects, Input, Machine, Now};
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::Job;
use fastq_core::job::ending::{Ending, Outcome, Verdict};
use fastq_core::job::limits::{Ask, Asked, Granted, Limits, turns};
use fastq_core::job::policy::Policy;
use fastq_core::job::revocation::{Revocation, Target};
use fastq_core::message::Message;
use nix::sys::signal::Signal;

/// What an executor has: jobs in its pipe, those it runs, and its word of the page.
#[derive(Default)]
pub(crate) struct Child {
    pub(crate) pipe: VecDeque<(u64, Tag)>,
    pub(crate) running: Vec<Tag>,
    /// It was asked to end these.
    pub(crate) cancelled: Vec<Tag>,
    /// Ended, not yet told.
    pub(crate) ended: Vec<Tag>,
    pub(crate) started: u64,
    pub(crate) closed: bool,
    /// It was told by a signal to end the run it began last.
    pub(crate) signalled: bool,
}

/// Everything around one machine.
pub(crate) struct World {
    pub(crate) machine: Machine,
    pub(crate) now: Now,
    pub(crate) children: BTreeMap<SlotId, Child>,
    /// Whom executors follow that may finish what they have.
    pub(crate) before: BTreeMap<SlotId, SlotId>,
    /// Verdicts by delivery: session and tag.
    pub(crate) verdicts: HashMap<(u64, Tag), Verdict>,
    pub(crate) delivered: HashSet<(u64, Tag)>,
    /// Deliveries whose session ended before their verdict.
    pub(crate) void: HashSet<(u64, Tag)>,
    pub(crate) runs: HashMap<Tag, u32>,
    pub(crate) records: Vec<(String, String)>,
    /// Parts of chords: the member and its state.
    pub(crate) parts: Vec<(String, String)>,
    pub(crate) published: usize,
    pub(crate) sent: Vec<Publication>,
    pub(crate) killed: Vec<SlotId>,
    /// Tasks that were called off, a run included.
    pub(crate) to_end: HashSet<Tag>,
    pub(crate) interrupted: Vec<SlotId>,
    pub(crate) epoch: u64,
    pub(crate) next_tag: u64,
    /// Commits whose end is to be told, and was not yet.
    pub(crate) noted: VecDeque<(u64, Tag)>,
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Tokens that the server says are held.
    pub(crate) held: HashMap<Arc<str>, u32>,
    /// When the server has the next turn of a key.
    pub(crate) free_at: HashMap<Arc<str>, Instant>,
    /// Keys of tokens that were given back.
    pub(crate) tokens: Vec<String>,
    /// Locks that were given back: their keys, and the tasks.
    pub(crate) unlocked: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new(prefetch: Prefetch, slots: u32) -> Self {
        Self::with_permits(prefetch, slots, 1)
    }

    /// A world whose executors run several jobs at the same time.
    pub(crate) fn with_permits(prefetch: Prefetch, slots: u32, permits: usize) -> Self {
        let policies = vec![Arc::new(Policy::named("plain"))];
        let mut world = Self {
            machine: Machine::new(prefetch, true),
            now: Now { monotonic: Instant(0), wall: WallTime(1_000_000) },
            children: BTreeMap::new(),
            before: BTreeMap::new(),
            verdicts: HashMap::new(),
            delivered: HashSet::new(),
            void: HashSet::new(),
            runs: HashMap::new(),
            records: Vec::new(),
            parts: Vec::new(),
            published: 0,
            sent: Vec::new(),
            killed: Vec::new(),
            to_end: HashSet::new(),
            interrupted: Vec::new(),
            epoch: 1,
            next_tag: 0,
            noted: VecDeque::new(),
            policies,
            held: HashMap::new(),
            free_at: HashMap::new(),
            tokens: Vec::new(),
            unlocked: Vec::new(),
        };
        world.machine.permits = permits;
        world.machine.side_by_side = permits > 1;
        for slot in 0..slots {
            world.birth(SlotId(slot));
        }
        world
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.monotonic = self.now.monotonic.after(time);
        self.now.wall = self.now.wall.after(time);
        self.step(Input::Tick);
    }

    /// Delivers a job, changed as wanted.
    pub(crate) fn deliver(&mut self, change: impl FnOnce(&mut Job)) -> Tag {
        self.next_tag += 1;
        let tag = Tag(self.next_tag);
        self.deliver_as(tag, change);
        tag
    }

    pub(crate) fn deliver_as(&mut self, tag: Tag, change: impl FnOnce(&mut Job)) {
        let delivery = Delivery {
            receipt: Receipt::new(tag, self.epoch),
            queue: "celery".into(),
            exchange: "".into(),
            routing_key: "celery".into(),
            priority: None,
            rank: 0,
            redelivered: false,
            deaths: 0,
            message: Message::default(),
        };
        let mut job = Job {
            delivery,
            id: format!("id-{}", tag.0),
            name: "plain".into(),
            policy: self.policies[0].clone(),
            due: None,
            expires: None,
            time_limit: None,
            soft_time_limit: None,
            ignore_result: None,
            has_family: false,
            received_at: self.now.monotonic,
            keys: None,
        };
        change(&mut job);
        self.delivered.insert((self.epoch, tag));
        self.step(Input::Arrived(Box::new(job)));
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Effects::new();
            self.machine.step(self.now, input, &mut effects).expect("an input did not fit");
            for effect in effects {
                self.perform(effect, &mut inputs);
            }
        }
    }

    fn perform(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Send { slot, sequence, tag } => {
                self.children.get_mut(&slot).expect("sent to nobody").pipe.push_back((sequence, tag));
            }
            Effect::Settle(commit) => {
                let noted = commit.noted();
                self.records.extend(commit.records.into_iter().map(|record| (record.task_id, record.state)));
                self.published += commit.publications.len();
                self.sent.extend(commit.publications);
                let parts = commit.chords.map(|chords| chords.parts).unwrap_or_default();
                self.parts.extend(parts.into_iter().map(|part| (part.task_id, part.state)));
                if let Some((receipt, verdict)) = commit.settle {
                    let key = (receipt.epoch(), receipt.tag());
                    self.noted.extend(noted.map(|tag| (key.0, tag)));
                    if key.0 != self.epoch {
                        assert!(self.void.contains(&key), "{key:?} is of a session that never was");
                        return; // the broker refuses it
                    }
                    let before = self.verdicts.insert(key, verdict);
                    assert_eq!(before, None, "two verdicts for {key:?}");
                }
                if let Some(limits) = commit.limits {
                    self.give_back(*limits);
                }
            }
            Effect::Reclaim(slot) => {
                let child = self.children.get_mut(&slot).expect("reclaimed from nobody");
                child.closed = true;
                inputs.push_back(Input::Reclaimed { slot, started: child.started });
            }
            Effect::Reopen { slot, sequence } => {
                let child = self.children.get_mut(&slot).expect("reopened nobody");
                assert!(!child.signalled, "an executor was opened that is to be ended");
                child.closed = false;
                child.started = sequence;
            }
            Effect::Interrupt(slot, _) => self.interrupted.push(slot),
            Effect::Cancel(slot, tag) => {
                self.children.get_mut(&slot).expect("cancelled in nobody").cancelled.push(tag);
            }
            Effect::Kill(slot) => self.killed.push(slot),
            Effect::Terminate { slot, .. } => {
                let child = self.children.get_mut(&slot).expect("ended nobody");
                assert!(child.closed, "an executor is ended that may begin another run");
                child.signalled = true;
                // The signal comes when it comes: whatever there is that it could hit must be what is called off.
                let there = child.running.iter().chain(&child.ended);
                assert!(there.clone().all(|tag| self.to_end.contains(tag)), "{there:?} would be hit");
            }
            Effect::Tell(_) => {}
        }
    }

    fn give_back(&mut self, limits: Limits) {
        if let Some(key) = limits.token {
            if let Some(held) = self.held.get_mut(&key) {
                *held = held.checked_sub(1).expect("a token was given back twice");
            }
            self.tokens.push(key.to_string());
        }
        self.unlocked.extend(limits.unlock);
    }

    /// The server answers what the machine asks; whether it asked.
    pub(crate) fn serve(&mut self) -> bool {
        let asks = self.machine.asks(self.now);
        let granted: Vec<Granted> = asks.iter().map(|ask| self.grant(ask)).collect();
        if !asks.is_empty() {
            self.step(Input::Granted(granted));
        }
        !asks.is_empty()
    }

    fn grant(&mut self, ask: &Ask) -> Granted {
        match ask.what {
            Asked::Tokens { most } => {
                let held = self.held.entry(ask.key.clone()).or_default();
                let count = most.saturating_sub(*held).min(ask.wanted);
                *held += count;
                Granted::of(ask, count, Duration::ZERO)
            }
            Asked::Turns { every, within } => {
                let free_at = self.free_at.entry(ask.key.clone()).or_default();
                let left = free_at.since(self.now.monotonic);
                let count = turns(left, every, within, ask.wanted);
                if count > 0 {
                    *free_at = self.now.monotonic.after(left + every * count);
                }
                Granted::of(ask, count, left)
            }
        }
    }

    /// The broker's answers reach the machine.
    pub(crate) fn answer(&mut self) {
        while let Some((epoch, tag)) = self.noted.pop_front() {
            self.step(if epoch == self.epoch { Input::Settled(tag) } else { Input::Refused(tag) });
        }
    }

    /// The executor begins its next job, if it has one and may; whether it did something.
    pub(crate) fn begin(&mut self, slot: SlotId) -> bool {
        let Some(child) = self.children.get_mut(&slot) else { return false };
        if child.running.len() >= self.machine.permits {
            return false;
        }
        let Some((sequence, tag)) = child.pipe.pop_front() else { return false };
        if child.closed || child.started != sequence - 1 {
            self.step(Input::Dropped(slot, tag)); // taken back
            return true;
        }
        child.started = sequence;
        child.running.push(tag);
        *self.runs.entry(tag).or_default() += 1;
        let elsewhere =
            self.children.values().flat_map(|child| &child.running).filter(|other| **other == tag).count();
        assert_eq!(elsewhere, 1, "{tag:?} runs in two places");
        let together = self.running_in_line(slot);
        assert!(together <= self.machine.permits, "{together} run in one place");
        let reports = self.machine.job(tag).is_some_and(Job::must_report_start);
        if reports {
            self.step(Input::Started(slot, tag));
        }
        true
    }

    /// The executor lets go of what it was to end.
    pub(crate) fn heed(&mut self, slot: SlotId) {
        let Some(child) = self.children.get_mut(&slot) else { return };
        let mut cancelled = std::mem::take(&mut child.cancelled);
        cancelled.retain(|tag| child.running.contains(tag));
        child.running.retain(|tag| !cancelled.contains(tag));
        for tag in cancelled {
            self.step(Input::LetGo(slot, tag));
        }
    }

    /// Calls a task off; `terminate`: and ends its run.
    pub(crate) fn revoke(&mut self, tag: Tag, terminate: bool) {
        if terminate {
            self.to_end.insert(tag);
        }
        let until = self.now.wall.after(Duration::from_secs(3600));
        let terminate = terminate.then_some(Signal::SIGTERM);
        let revocation = Revocation { target: Target::Id(format!("id-{}", tag.0)), terminate, until };
        self.step(Input::Revoked(vec![revocation]));
    }

    /// The executor ends its jobs; it tells so later.
    pub(crate) fn end(&mut self, slot: SlotId) {
        let Some(child) = self.children.get_mut(&slot) else { return };
        child.ended.append(&mut child.running);
    }

    /// The executor tells what has ended.
    pub(crate) fn tell(&mut self, slot: SlotId, runtime: Duration) {
        let ended =
            self.children.get_mut(&slot).map(|child| std::mem::take(&mut child.ended)).unwrap_or_default();
        for tag in ended {
            self.step(Input::Finished(slot, tag, Box::new(outcome(Ending::Done, runtime))));
        }
    }

    pub(crate) fn run_one(&mut self, slot: SlotId, runtime: Duration) -> bool {
        let did = self.begin(slot);
        self.end(slot);
        self.tell(slot, runtime);
        did
    }

    pub(crate) fn die(&mut self, slot: SlotId) {
        if let Some(child) = self.children.remove(&slot) {
            self.leave_line(slot);
            self.step(Input::SlotGone {
                slot,
                started: child.started,
                reason: "child 1 was ended by signal 9".into(),
            });
        }
    }

    pub(crate) fn lose_session(&mut self) {
        let open = self.delivered.iter().filter(|key| !self.verdicts.contains_key(key)).copied();
        self.void.extend(open.collect::<Vec<_>>());
        self.epoch += 1;
        self.held.clear();
        self.step(Input::SessionLost);
    }

    /// Runs everything to its end.
    pub(crate) fn finish(&mut self) {
        for _ in 0..10_000 {
            let slots: Vec<SlotId> = self.children.keys().copied().collect();
            let mut busy = self.serve();
            self.answer();
            for slot in slots {
                if self.children.get(&slot).is_some_and(|child| child.signalled) {
                    self.die(slot);
                    self.birth(slot);
                    continue;
                }
                self.heed(slot);
                while self.run_one(slot, Duration::from_micros(10)) {
                    busy = true;
                }
            }
            if !busy && self.machine.is_empty() {
                return;
            }
            let wake = self.machine.next_wake(self.now).map(|wake| wake.since(self.now.monotonic));
            let longest = Duration::from_millis(100);
            self.pass(wake.unwrap_or(longest).clamp(Duration::from_millis(1), longest));
        }
        panic!("jobs are stuck: {:?}", self.machine);
    }

    pub(crate) fn verdict(&self, tag: Tag) -> Option<&Verdict> {
        self.verdicts.get(&(self.epoch, tag))
    }
}

pub(crate) fn outcome(ending: Ending, runtime: Duration) -> Outcome {
    Outcome {
        ending,
        records: Vec::new(),
        publications: Vec::new(),
        chords: None,
        reason: String::new(),
        runtime,
    }
}
