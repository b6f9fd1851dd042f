//! What the loop hears, turned into inputs of the machine and facts for Python.

use std::sync::PoisonError;
use std::time::Duration;

use super::command::Command;
use super::config::StopHow;
use super::drive::Drive;
use super::stats::Stats;
use crate::broker::Delivery;
use crate::consumer::accept::{Accepted, accept};
use crate::consumer::link::LinkState;
use crate::consumer::{News, Order};
use crate::dispatch::{Input, Now};
use crate::error::Error;
use crate::event::{Event, EventKind};
use crate::ident::SlotId;
use crate::job::ending::Commit;
use crate::pool::link::LinkEvent;
use crate::pool::nursery::NurseryEvent;
use crate::pool::{Departure, SeatId};

impl Drive {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Stop(how) => {
                if let Some(input) = self.stop.begin(how, self.clock.now()) {
                    self.tell.put(Event::new(EventKind::Stopping).with("how", how.name()));
                    self.desk.inputs.push_back(input);
                }
            }
            Command::Adopt(slot, socket) => match self.pool.adopt(slot, socket) {
                Ok(()) => self.desk.inputs.push_back(Input::SlotMade { slot, killable: false, after: None }),
                Err(error) => self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string())),
            },
            // The consumer ends last: who stops needs no other queues.
            Command::Consume(queues) => drop(self.orders.send(Order::Consume(queues))),
            Command::Cancel(queue) => drop(self.orders.send(Order::Cancel(queue))),
            Command::Watch(kinds) => self.machine.tell_received = kinds.contains(&EventKind::Received),
        }
    }

    pub(super) fn link(&mut self, seat: SeatId, events: Vec<LinkEvent>) {
        if !self.pool.has(seat) {
            return; // it was given up: what it had has gone to others
        }
        let slot = seat.slot;
        for event in events {
            match event {
                LinkEvent::Hello => {
                    self.pool.greeted(slot);
                    if !self.succession.stands_by(slot) {
                        self.desk.inputs.push_back(Input::SlotUp(slot));
                    }
                }
                LinkEvent::Started(tag) => self.desk.inputs.push_back(Input::Started(slot, tag)),
                LinkEvent::Finished(tag, outcome) => {
                    self.pool.got_on();
                    Stats::add(&self.stats.finished, 1);
                    self.desk.inputs.push_back(Input::Finished(slot, tag, Box::new(outcome)));
                }
                LinkEvent::Store(records) => self.desk.commits.push(Commit::store(records)),
                LinkEvent::Soon => self.succession.leaves_soon(slot),
                LinkEvent::Bye => self.leaves(slot),
                LinkEvent::LetGo(tag) => self.desk.inputs.push_back(Input::LetGo(slot, tag)),
                LinkEvent::Dropped(tag) => self.desk.inputs.push_back(Input::Dropped(slot, tag)),
                LinkEvent::Gone(error) => self.pipe_ended(slot, error),
            }
        }
    }

    /// The executor takes and tells no more. What it had not begun goes to others at once; what it had, when its process
    /// is known to be gone.
    fn pipe_ended(&mut self, slot: SlotId, error: Option<Error>) {
        if let Some(error) = error {
            self.tell.put(Event::new(EventKind::Bug).with("reason", error.to_string()));
            self.pool.kill(slot);
        }
        let departure = self.pool.pipe_ended(slot, self.clock.now());
        if departure.is_none() && !self.succession.stands_by(slot) {
            self.desk.inputs.push_back(Input::SlotRetires(slot));
            self.reclaim(slot);
        }
        self.departed(departure);
    }

    /// Takes back what a slot has not begun, unless that was done already or it is gone, which tells more.
    pub(super) fn reclaim(&mut self, slot: SlotId) {
        let started = self.pool.close_page(slot);
        self.desk.inputs.extend(started.map(|started| Input::Reclaimed { slot, started }));
    }

    pub(super) fn nursery(&mut self, event: NurseryEvent) {
        match event {
            NurseryEvent::Born { slot, pid } => {
                if self.pool.born(slot, pid) {
                    self.tell.put(Event::new(EventKind::ChildUp).with("slot", slot.0).with("pid", pid));
                }
            }
            NurseryEvent::Gone { pid, status, .. } => {
                let departure = self.pool.reaped(pid, status, self.clock.now());
                self.departed(departure);
            }
            NurseryEvent::Failed { slot, errno } => {
                let reason = format!("no child could be forked (errno {errno})");
                self.tell.put(Event::new(EventKind::Bug).with("reason", reason));
                let departure = self.pool.failed(slot);
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
        self.command(Command::Stop(StopHow::Warm));
    }

    pub(super) fn news(&mut self, news: News) {
        match news {
            News::Taken { deliveries, harvest } => {
                self.desk.harvest = harvest;
                Stats::add(&self.stats.taken, deliveries.len());
                self.accept(deliveries);
            }
            News::Settled(tags) => self.desk.inputs.extend(tags.into_iter().map(Input::Settled)),
            News::Refused(tags) => {
                self.desk.inputs.extend(tags.iter().copied().map(Input::Refused));
                Stats::add(&self.stats.refused, tags.len());
                self.tell.put(Event::new(EventKind::Refused).with("count", tags.len() as u64));
            }
            News::Said(said) => self.said(said),
            News::Granted(answers) => self.desk.inputs.push_back(Input::Granted(answers)),
            News::Freed => self.desk.inputs.push_back(Input::Freed),
            News::Renewed(renewal) => {
                let event = Event::new(EventKind::Recovered).with("recovered", renewal.recovered);
                self.tell.put(event.with("buried", renewal.buried));
            }
            News::Link { state, reason, retry_in } => self.link_changed(state, reason, retry_in),
            News::Queues { names, refused } => self.queues_changed(&names, refused.as_ref()),
            News::Notice(text) => self.tell.put(Event::new(EventKind::Notice).with("text", text)),
            News::Failed(error) => {
                self.stop.fail(&error.to_string());
                match self.opened.take() {
                    Some(opened) => drop(opened.send(Err(error))),
                    None => self.tell.put(
                        Event::new(EventKind::Link).with("state", "failed").with("reason", error.to_string()),
                    ),
                }
                self.command(Command::Stop(StopHow::Warm));
            }
            News::SessionLost => {
                self.desk.inputs.push_back(Input::SessionLost);
                self.desk.told = None; // a new session knows nothing of the credit of the old one
            }
            News::Ended { clean } => self.stop.settled(clean),
        }
    }

    fn queues_changed(&mut self, names: &[String], refused: Option<&Error>) {
        self.queues = names.join(", ");
        let reason = refused.map(ToString::to_string).unwrap_or_default();
        let event = Event::new(EventKind::Queues).with("queues", self.queues.as_str());
        self.tell.put(event.with("reason", reason));
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
                Accepted::Job(job) => self.desk.inputs.push_back(Input::Arrived(job)),
                Accepted::Settled(commit, event) => {
                    self.tell.put(event);
                    self.desk.commits.push(commit);
                }
            }
        }
        // Even when nothing became a job, the consumer must hear that this harvest was counted.
        self.desk.inputs.push_back(Input::Tick);
    }

    pub(super) fn departed(&mut self, departure: Option<Departure>) {
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
        if self.succession.has(departure.slot) {
            self.follow(&departure);
        } else {
            self.free_slots.lock().unwrap_or_else(PoisonError::into_inner).push(departure.slot);
        }
        self.desk.inputs.push_back(Input::SlotGone {
            slot: departure.slot,
            started: departure.started,
            reason,
        });
    }
}
