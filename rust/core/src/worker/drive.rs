//! The loop: await an input, step the machine, perform its effects. It wires; the machine decides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant as TokioInstant, sleep_until};

use super::command::Command;
use super::stats::Stats;
use super::stop::Stop;
use super::tell::Tell;
use crate::broker::Delivery;
use crate::clock::{Clock, Instant};
use crate::consumer::accept::{Accepted, accept};
use crate::consumer::link::LinkState;
use crate::consumer::{News, Order};
use crate::dispatch::{Effect, Effects, Input, Machine, Now};
use crate::event::{Event, EventKind};
use crate::ident::SlotId;
use crate::job::ending::Commit;
use crate::job::policy::Policies;
use crate::pool::link::LinkEvent;
use crate::pool::nursery::NurseryEvent;
use crate::pool::{Departure, Pool};

/// What the loop hears.
pub(super) struct Ears {
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) links: mpsc::UnboundedReceiver<(SlotId, Vec<LinkEvent>)>,
    pub(super) nursery: mpsc::UnboundedReceiver<NurseryEvent>,
    pub(super) news: mpsc::UnboundedReceiver<News>,
}

/// Something heard.
enum Heard {
    Command(Command),
    Link(SlotId, Vec<LinkEvent>),
    Nursery(NurseryEvent),
    News(News),
    Time,
}

/// The loop's state.
pub(super) struct Drive {
    pub(super) clock: Clock,
    pub(super) machine: Machine,
    pub(super) pool: Pool,
    pub(super) policies: Policies,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) tell: Tell,
    pub(super) stats: Arc<Stats>,
    pub(super) stop: Stop,
    /// Slots that the nursery fills.
    pub(super) children: u32,
    pub(super) queues: String,
    /// Told once: the first session began, or none ever can.
    pub(super) opened: Option<std::sync::mpsc::SyncSender<crate::error::Result<()>>>,
    effects: Effects,
    inputs: VecDeque<Input>,
    commits: Vec<Commit>,
    harvest: u64,
    /// What the consumer was told last.
    told: (usize, bool, u64),
}

/// Everything a [`Drive`] is made of.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) machine: Machine,
    pub(super) pool: Pool,
    pub(super) policies: Policies,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) tell: Tell,
    pub(super) stats: Arc<Stats>,
    pub(super) stop: Stop,
    pub(super) children: u32,
    pub(super) queues: String,
    pub(super) opened: std::sync::mpsc::SyncSender<crate::error::Result<()>>,
}

impl Drive {
    /// After the first thing heard, so many more are taken before effects are performed.
    const AT_ONCE: usize = 64;

    pub(super) fn new(parts: Parts) -> Self {
        let Parts { clock, machine, pool, policies, orders, tell, stats, stop, children, queues, opened } =
            parts;
        Self {
            clock,
            machine,
            pool,
            policies,
            orders,
            tell,
            stats,
            stop,
            children,
            queues,
            opened: Some(opened),
            effects: Effects::new(),
            inputs: VecDeque::new(),
            commits: Vec::new(),
            harvest: 0,
            told: (0, true, 0),
        }
    }

    /// Turns until the worker has stopped; returns whether everything was settled or given back.
    pub(super) async fn run(mut self, mut ears: Ears) -> bool {
        for slot in 0..self.children {
            self.spawn(SlotId(slot));
        }
        loop {
            self.turn();
            if self.stop.is_over() {
                return self.stop.was_clean();
            }
            let heard = self.listen(&mut ears).await;
            self.take_in(heard);
            for _ in 0..Self::AT_ONCE {
                let Some(heard) = more(&mut ears) else { break };
                self.take_in(heard);
            }
        }
    }

    /// Waits for the next thing to hear.
    async fn listen(&mut self, ears: &mut Ears) -> Heard {
        let now = self.now();
        let wakes = [self.machine.next_wake(now), self.pool.next_wake(), self.stop.next_wake()];
        let wake = wakes.into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(command) = ears.commands.recv() => Heard::Command(command),
            Some((slot, events)) = ears.links.recv() => Heard::Link(slot, events),
            Some(news) = ears.news.recv() => Heard::News(news),
            Some(event) = ears.nursery.recv() => Heard::Nursery(event),
            () = until(wake, now.monotonic) => Heard::Time,
        }
    }

    fn take_in(&mut self, heard: Heard) {
        match heard {
            Heard::Command(command) => self.command(command),
            Heard::Link(slot, events) => self.link(slot, events),
            Heard::Nursery(event) => self.nursery(event),
            Heard::News(news) => self.news(news),
            Heard::Time => self.inputs.push_back(Input::Tick),
        }
    }

    /// Steps the machine through what came in, performs what it wants, and tells the consumer how much to take.
    fn turn(&mut self) {
        let now = self.now();
        self.tend(now);
        while let Some(input) = self.inputs.pop_front() {
            if let Err(error) = self.machine.step(now, input, &mut self.effects) {
                self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
            }
            self.perform();
        }
        self.stats.gauge(self.machine.counts());
        self.order(now);
        self.end(now);
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Send { slot, sequence, tag } => {
                    if let (Some(link), Some(job)) = (self.pool.link(slot), self.machine.job(tag))
                        && let Err(error) = link.send_job(sequence, job)
                    {
                        self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
                    }
                }
                Effect::Settle(commit) => self.commits.push(commit),
                Effect::Reclaim(slot) => {
                    let started = self.pool.close_page(slot);
                    self.inputs.push_back(Input::Reclaimed { slot, started });
                }
                Effect::Reopen { slot, sequence } => self.pool.open_page(slot, sequence),
                Effect::Interrupt(slot) => self.pool.interrupt(slot),
                Effect::Kill(slot) => self.pool.kill(slot),
                Effect::Tell(event) => self.tell.put(event),
            }
        }
    }

    /// Hands Commits over and says how much may be taken, when that has changed.
    fn order(&mut self, now: Now) {
        if !self.commits.is_empty() {
            Stats::add(&self.stats.committed, self.commits.len());
            let _ = self.orders.send(Order::Settle(std::mem::take(&mut self.commits)));
        }
        let credit = if self.stop.has_begun() { 0 } else { self.machine.credit(now) };
        let told = (credit, self.machine.is_hungry() || self.stop.has_begun(), self.harvest);
        if told != self.told {
            self.told = told;
            let _ = self.orders.send(Order::Take { credit: told.0, hurry: told.1, seen: told.2 });
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Stop(how) => {
                if let Some(input) = self.stop.begin(how, self.clock.now()) {
                    self.tell.put(Event::new(EventKind::Stopping).with("how", how.name()));
                    self.inputs.push_back(input);
                }
            }
            Command::Adopt(slot, socket) => match self.pool.adopt(slot, socket) {
                Ok(()) => self.inputs.push_back(Input::SlotMade { slot, killable: false }),
                Err(error) => self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string())),
            },
            Command::Watch(kinds) => self.machine.tell_received = kinds.contains(&EventKind::Received),
        }
    }

    fn link(&mut self, slot: SlotId, events: Vec<LinkEvent>) {
        for event in events {
            match event {
                LinkEvent::Hello => self.inputs.push_back(Input::SlotUp(slot)),
                LinkEvent::Started(tag) => self.inputs.push_back(Input::Started(slot, tag)),
                LinkEvent::Finished(tag, outcome) => {
                    self.pool.got_on();
                    Stats::add(&self.stats.finished, 1);
                    self.inputs.push_back(Input::Finished(slot, tag, Box::new(outcome)));
                }
                LinkEvent::Store(records) => self.commits.push(Commit::store(records)),
                LinkEvent::Bye => {
                    self.pool.leaves(slot);
                    self.inputs.push_back(Input::SlotRetires(slot));
                }
                LinkEvent::Dropped(tag) => self.inputs.push_back(Input::Dropped(slot, tag)),
                LinkEvent::Gone(error) => {
                    if let Some(error) = error {
                        self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
                        self.pool.kill(slot);
                    }
                    let departure = self.pool.pipe_ended(slot, self.clock.now());
                    self.departed(departure);
                }
            }
        }
    }

    fn nursery(&mut self, event: NurseryEvent) {
        match event {
            NurseryEvent::Born { slot, pid } => {
                self.pool.born(slot, pid);
                self.tell.put(Event::new(EventKind::ChildUp).with("slot", slot.0).with("pid", pid));
            }
            NurseryEvent::Gone { slot, pid, status } => {
                let departure = self.pool.reaped(slot, pid, status);
                self.departed(departure);
            }
            NurseryEvent::Failed { slot, errno } => {
                let reason = format!("no child could be forked (errno {errno})");
                self.tell.put(Event::new(EventKind::Bug).with("reason", reason));
                let departure = self.pool.pipe_ended(slot, self.clock.now());
                self.departed(departure);
            }
            NurseryEvent::Closed => self.nursery_closed(),
        }
    }

    /// Without a nursery no child can be replaced: finish what runs and stop, so that a supervisor starts afresh.
    fn nursery_closed(&mut self) {
        if self.children == 0 || self.stop.has_begun() {
            return;
        }
        self.pool.nursery_gone();
        self.stop.fail("the nursery process is gone");
        self.tell.put(Event::new(EventKind::NurseryGone));
        self.command(Command::Stop(super::config::StopHow::Warm));
    }

    fn news(&mut self, news: News) {
        match news {
            News::Taken { deliveries, harvest } => {
                self.harvest = harvest;
                Stats::add(&self.stats.taken, deliveries.len());
                self.accept(deliveries);
            }
            News::Refused(tags) => {
                Stats::add(&self.stats.refused, tags.len());
                self.tell.put(Event::new(EventKind::Refused).with("count", tags.len() as u64));
            }
            News::Renewed(renewal) => {
                let event = Event::new(EventKind::Recovered).with("recovered", renewal.recovered);
                self.tell.put(event.with("buried", renewal.buried));
            }
            News::Link { state, reason, retry_in } => self.link_changed(state, reason, retry_in),
            News::Failed(error) => {
                self.stop.fail(&error.to_string());
                match self.opened.take() {
                    Some(opened) => drop(opened.send(Err(error))),
                    None => self.tell.put(
                        Event::new(EventKind::Link).with("state", "failed").with("reason", error.to_string()),
                    ),
                }
                self.command(Command::Stop(super::config::StopHow::Warm));
            }
            News::SessionLost => {
                self.inputs.push_back(Input::SessionLost);
                self.told.2 = u64::MAX; // a new session knows nothing of the credit of the old one
            }
            News::Ended { clean } => self.stop.settled(clean),
        }
    }

    fn link_changed(&mut self, state: LinkState, reason: String, retry_in: Duration) {
        if let (Some(opened), LinkState::Open) = (self.opened.take_if(|_| state == LinkState::Open), state) {
            let _ = opened.send(Ok(()));
            self.tell.put(Event::new(EventKind::Ready).with("queues", self.queues.as_str()));
            return;
        }
        let name = if state == LinkState::Open { "open" } else { "backing off" };
        let event = Event::new(EventKind::Link).with("state", name).with("reason", reason);
        self.tell.put(event.with("retry_in", retry_in.as_secs_f64()));
    }

    fn accept(&mut self, deliveries: Vec<Delivery>) {
        let Now { monotonic, wall } = self.now();
        for delivery in deliveries {
            match accept(delivery, &self.policies, monotonic, wall) {
                Accepted::Job(job) => self.inputs.push_back(Input::Arrived(job)),
                Accepted::Settled(commit, event) => {
                    self.tell.put(event);
                    self.commits.push(commit);
                }
            }
        }
        // Even when nothing became a job, the consumer must hear that this harvest was counted.
        self.inputs.push_back(Input::Tick);
    }

    fn departed(&mut self, departure: Option<Departure>) {
        let Some(departure) = departure else { return };
        let reason = departure.reason();
        if let Some(pid) = departure.pid {
            let event = Event::new(EventKind::ChildGone).with("slot", departure.slot.0).with("pid", pid);
            let event = event
                .with("status", i64::from(departure.status.unwrap_or(-1)))
                .with("reason", reason.as_str());
            self.tell.put(event.with("expected", departure.expected || self.stop.has_begun()));
        }
        if !departure.expected && !self.stop.has_begun() {
            Stats::add(&self.stats.lost, 1);
        }
        if departure.slot.0 < self.children && !self.stop.has_begun() {
            self.pool.replace(&departure, self.clock.now());
        }
        self.inputs.push_back(Input::SlotGone { slot: departure.slot, started: departure.started, reason });
    }

    /// What time brings to the pool.
    fn tend(&mut self, now: Now) {
        for departure in self.pool.overdue(now.monotonic) {
            self.departed(Some(departure));
        }
        for slot in self.pool.replacements(now.monotonic) {
            self.spawn(slot);
        }
    }

    fn spawn(&mut self, slot: SlotId) {
        match self.pool.spawn(slot) {
            Ok(()) => self.inputs.push_back(Input::SlotMade { slot, killable: true }),
            Err(error) => {
                self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
                let departure = Departure { slot, pid: None, status: None, started: 0, expected: false };
                self.pool.replace(&departure, self.clock.now());
            }
        }
    }

    /// Goes on with a stop that has begun: see [`Stop`] for the order of closing.
    fn end(&mut self, now: Now) {
        if self.stop.must_hurry(now.monotonic) {
            self.command(Command::Stop(super::config::StopHow::Cold));
            self.turn_once_more(now);
        }
        if self.stop.may_drain(self.machine.is_empty()) {
            self.pool.replace_no_more();
            self.pool.retire();
            let _ = self.orders.send(Order::Drain);
        }
        if self.stop.may_kill(now.monotonic) {
            self.pool.kill_all();
        }
        if self.stop.may_quit(self.pool.is_empty(), now.monotonic) {
            self.pool.quit();
        }
    }

    /// A stop that turned cold in the middle of a turn has its effects performed in the same one.
    fn turn_once_more(&mut self, now: Now) {
        while let Some(input) = self.inputs.pop_front() {
            let _ = self.machine.step(now, input, &mut self.effects);
            self.perform();
        }
        self.order(now);
    }

    fn now(&self) -> Now {
        Now { monotonic: self.clock.now(), wall: self.clock.wall() }
    }
}

/// What else there is to hear, without waiting.
fn more(ears: &mut Ears) -> Option<Heard> {
    if let Ok((slot, events)) = ears.links.try_recv() {
        return Some(Heard::Link(slot, events));
    }
    if let Ok(news) = ears.news.try_recv() {
        return Some(Heard::News(news));
    }
    ears.nursery.try_recv().map(Heard::Nursery).ok()
}

async fn until(wake: Option<Instant>, now: Instant) {
    match wake {
        Some(wake) => sleep_until(TokioInstant::now() + wake.since(now)).await,
        None => std::future::pending().await,
    }
}
