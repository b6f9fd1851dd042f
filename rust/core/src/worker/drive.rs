//! The loop: await an input, step the machine, perform its effects. It wires; the machine decides.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant as TokioInstant, sleep_until};

use super::FreeSlots;
use super::command::Command;
use super::config::StopHow;
use super::stats::Stats;
use super::stop::Stop;
use super::tell::Tell;
use crate::clock::{Clock, Instant};
use crate::consumer::{News, Order};
use crate::dispatch::scale::{Change, Scale};
use crate::dispatch::{Effect, Effects, Input, Machine, Now};
use crate::event::{Event, EventKind};
use crate::ident::SlotId;
use crate::job::ending::Commit;
use crate::job::policy::Policies;
use crate::pool::link::LinkEvent;
use crate::pool::nursery::NurseryEvent;
use crate::pool::{Pool, SeatId};

pub(super) use crate::pool::succession::Succession;

/// What the loop hears.
pub(super) struct Ears {
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) links: mpsc::UnboundedReceiver<(SeatId, Vec<LinkEvent>)>,
    pub(super) nursery: mpsc::UnboundedReceiver<NurseryEvent>,
    pub(super) news: mpsc::UnboundedReceiver<News>,
}

/// Something heard.
enum Heard {
    Command(Command),
    Link(SeatId, Vec<LinkEvent>),
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
    /// Children in service, at the beginning.
    pub(super) children: u32,
    /// Who follows whom, and the slots that the nursery fills.
    pub(super) succession: Succession,
    /// Decides how many; `None`: always the same.
    pub(super) scale: Option<Scale>,
    pub(super) queues: String,
    pub(super) control: Control,
    pub(super) free_slots: FreeSlots,
    /// Told once: the first session began, or none ever can.
    pub(super) opened: Option<std::sync::mpsc::SyncSender<crate::error::Result<()>>>,
    pub(super) desk: Desk,
}

/// What remote commands need to know.
pub(super) struct Control {
    /// Who this is.
    pub(super) node: String,
    /// How long it is remembered what they call off.
    pub(super) keep: Duration,
}

/// What lies on the desk between two things heard.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) effects: Effects,
    pub(super) inputs: VecDeque<Input>,
    pub(super) commits: Vec<Commit>,
    /// The last harvest that was counted.
    pub(super) harvest: u64,
    /// What the consumer was told last: credit, hurry and the harvest it takes into account.
    pub(super) told: Option<(usize, bool, u64)>,
}

impl Drive {
    /// After the first thing heard, so many more are taken before effects are performed.
    const AT_ONCE: usize = 64;
    const LOOK_AGAIN: Duration = Duration::from_millis(50);

    /// Turns until the worker has stopped; returns whether everything was settled or given back.
    pub(super) async fn run(mut self, mut ears: Ears) -> bool {
        for slot in 0..self.children {
            self.spawn(SlotId(slot), None);
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
        let scale = self.scale.as_ref().and_then(|scale| scale.next_wake(self.machine.load().slots));
        // Nobody tells when Python has caught up.
        let catching_up = self.tell.is_full().then(|| now.monotonic.after(Self::LOOK_AGAIN));
        let wakes =
            [self.machine.next_wake(now), self.pool.next_wake(), self.stop.next_wake(), scale, catching_up];
        let wake = wakes.into_iter().flatten().min();
        tokio::select! {
            biased;
            Some(command) = ears.commands.recv() => Heard::Command(command),
            Some((seat, events)) = ears.links.recv() => Heard::Link(seat, events),
            Some(news) = ears.news.recv() => Heard::News(news),
            Some(event) = ears.nursery.recv() => Heard::Nursery(event),
            () = until(wake, now.monotonic) => Heard::Time,
        }
    }

    fn take_in(&mut self, heard: Heard) {
        match heard {
            Heard::Command(command) => self.command(command),
            Heard::Link(seat, events) => self.link(seat, events),
            Heard::Nursery(event) => self.nursery(event),
            Heard::News(news) => self.news(news),
            Heard::Time => self.desk.inputs.push_back(Input::Tick),
        }
    }

    /// Steps the machine through what came in, performs what it wants, and tells the consumer how much to take.
    fn turn(&mut self) {
        let now = self.now();
        for departure in self.pool.overdue(now.monotonic) {
            self.departed(Some(departure));
        }
        self.step_all(now);
        // Not before: what was heard earlier is meant for the executor that was there then, and what it brings about
        // must not be sent to its successor.
        for slot in self.pool.replacements(now.monotonic) {
            self.refill(slot);
        }
        self.prepare_successor();
        self.step_all(now);
        self.stats.gauge(self.machine.counts());
        self.scale(now);
        self.order(now);
        self.end(now);
    }

    fn step_all(&mut self, now: Now) {
        while let Some(input) = self.desk.inputs.pop_front() {
            if let Err(error) = self.machine.step(now, input, &mut self.desk.effects) {
                self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
            }
            self.perform();
        }
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.desk.effects) {
            match effect {
                Effect::Send { slot, sequence, tag } => {
                    if let (Some(link), Some(job)) = (self.pool.link(slot), self.machine.job(tag))
                        && let Err(error) = link.send_job(sequence, job)
                    {
                        self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
                    }
                }
                Effect::Settle(commit) => self.desk.commits.push(commit),
                Effect::Reclaim(slot) => self.reclaim(slot),
                Effect::Reopen { slot, sequence } => self.pool.open_page(slot, sequence),
                Effect::Interrupt(slot, tag) => self.pool.interrupt(slot, tag),
                Effect::Cancel(slot, tag) => self.pool.cancel(slot, tag),
                Effect::Terminate { slot, signal } => self.pool.terminate(slot, signal),
                Effect::Kill(slot) => {
                    self.pool.kill(slot);
                    let departure = self.pool.give_up(slot);
                    self.departed(departure);
                }
                Effect::Tell(event) => self.tell.put(event),
            }
        }
    }

    /// Hands Commits over and says how much may be taken, when that has changed.
    fn order(&mut self, now: Now) {
        if !self.desk.commits.is_empty() {
            Stats::add(&self.stats.committed, self.desk.commits.len());
            self.hand_on();
            let _ = self.orders.send(Order::Settle(std::mem::take(&mut self.desk.commits)));
        }
        let asks = self.machine.asks(now);
        if !asks.is_empty() {
            let _ = self.orders.send(Order::Ask(asks));
        }
        let takes_none = self.stop.has_begun() || self.tell.is_full();
        let credit = if takes_none { 0 } else { self.machine.credit(now) };
        let told = (credit, self.machine.is_hungry() || self.stop.has_begun(), self.desk.harvest);
        if self.desk.told != Some(told) {
            self.desk.told = Some(told);
            let _ = self.orders.send(Order::Take { credit: told.0, hurry: told.1, seen: told.2 });
        }
    }

    /// Tells Python of states that it is to store.
    fn hand_on(&mut self) {
        for handed_on in self.desk.commits.iter_mut().flat_map(|commit| commit.handed_on.drain(..)) {
            self.tell.put(Event::unstored(handed_on));
        }
    }

    /// Makes slots for jobs that wait, and sends away those that nobody needs.
    fn scale(&mut self, now: Now) {
        let Some(scale) = self.scale.as_mut().filter(|_| !self.stop.has_begun()) else { return };
        let load = self.machine.load();
        let change = scale.observe(now.monotonic, load);
        self.machine.probes = usize::from(scale.may_grow(load.slots));
        match change {
            Change::Stay => return,
            Change::Grow(more) => {
                let vacant = self.succession.places().filter(|slot| self.pool.is_vacant(*slot));
                for slot in vacant.take(more).collect::<Vec<_>>() {
                    self.spawn(slot, None);
                }
            }
            Change::Shrink(fewer) => {
                for slot in self.machine.idle_slots().take(fewer).collect::<Vec<_>>() {
                    self.pool.dismiss(slot);
                    self.desk.inputs.push_back(Input::SlotRetires(slot));
                }
            }
        }
        self.step_all(now);
        let slots = self.machine.load().slots as u64;
        self.tell.put(Event::new(EventKind::Scaled).with("from", load.slots as u64).with("to", slots));
    }

    /// Goes on with a stop that has begun: see [`Stop`] for the order of closing.
    fn end(&mut self, now: Now) {
        if self.stop.must_hurry(now.monotonic) {
            self.command(Command::Stop(StopHow::Cold));
            self.turn_once_more(now);
        }
        if self.stop.may_drain(self.machine.is_empty()) {
            let _ = self.orders.send(Order::Drain);
        }
        if self.stop.may_retire() {
            self.pool.replace_no_more();
            self.pool.retire();
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
        self.step_all(now);
        self.order(now);
    }

    pub(super) fn now(&self) -> Now {
        Now { monotonic: self.clock.now(), wall: self.clock.wall() }
    }
}

/// What else there is to hear, without waiting.
fn more(ears: &mut Ears) -> Option<Heard> {
    if let Ok((seat, events)) = ears.links.try_recv() {
        return Some(Heard::Link(seat, events));
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

#[cfg(test)]
mod tests;
