//! A worker without threads, on a clock that is turned by hand: the same decisions as [`super::Worker`]'s, taken when
//! the caller asks for the next job. For tests: what happens depends on the messages and on nothing else.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;

use crate::broker::memory::MemoryBroker;
use crate::broker::{BoxFuture, Session, Subscription};
use crate::clock::{Clock, HandClock, WallTime};
use crate::consumer::accept::{Accepted, accept};
use crate::consumer::credit::Prefetch;
use crate::dispatch::{Effect, Effects, Input, Machine, Now};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::ident::SlotId;
use crate::job::ending::{Commit, Outcome};
use crate::job::policy::Policies;
use crate::pool::frame::{self, JobFrame, OutcomeRef, PublicationRef, RecordRef};
use crate::pool::port::Run;

/// The only slot there is: the caller.
const SLOT: SlotId = SlotId(0);
/// What a run counts as having taken, on a clock that stands still: too long to be handed over together with others,
/// so that each job is chosen when the one before it has ended.
const RUNTIME: Duration = Duration::from_secs(1);

/// Hands out one job at a time, to whoever asks.
pub struct Stepper {
    broker: MemoryBroker,
    hand: Arc<HandClock>,
    clock: Clock,
    session: Box<dyn Session>,
    policies: Policies,
    machine: Machine,
    inputs: VecDeque<Input>,
    effects: Effects,
    commits: Vec<Commit>,
    /// Chosen, not yet handed out.
    chosen: VecDeque<JobFrame>,
    events: Vec<Event>,
}

impl Stepper {
    /// A worker of every queue of the broker, those of the subscription among them.
    ///
    /// # Errors
    /// `Config` when the broker's clock is not turned by hand; whatever subscribing to its queues brings.
    pub fn new(broker: MemoryBroker, subscription: Subscription, policies: Policies) -> Result<Self> {
        let hand = broker.hand().ok_or_else(|| {
            Error::new(ErrorKind::Config, "the clock of these queues cannot be turned by hand")
        })?;
        let session = broker.take_all(subscription)?;
        let made = [Input::SlotMade { slot: SLOT, killable: false, after: None }, Input::SlotUp(SLOT)];
        Ok(Self {
            clock: Clock::Hand(Arc::clone(&hand)),
            session,
            policies,
            machine: Machine::new(Prefetch::PerSlot(1), true),
            inputs: made.into(),
            effects: Vec::new(),
            commits: Vec::new(),
            chosen: VecDeque::new(),
            events: Vec::new(),
            broker,
            hand,
        })
    }

    /// Takes other policies: tasks may have been declared since, or have other options.
    pub fn learn(&mut self, policies: Policies) {
        self.policies = policies;
    }

    /// The time that the clock shows.
    pub fn now(&self) -> WallTime {
        self.clock.wall()
    }

    /// Turns the clock on; to a time that has passed it does nothing. Nothing runs before [`Stepper::take`].
    pub fn turn_to(&mut self, wall: WallTime) {
        self.hand.turn_to(wall);
        self.inputs.push_back(Input::Tick);
    }

    /// When the next message falls due; `None` when none waits for its time.
    pub fn next_due(&self) -> Option<WallTime> {
        let now = self.time();
        let held = self.machine.next_wake(now).filter(|_| !self.machine.is_empty());
        let held = held.map(|wake| now.wall.after(wake.since(now.monotonic) + Duration::from_millis(1)));
        [self.broker.next_due(), held].into_iter().flatten().min()
    }

    /// The next job that may run now; `None` when there is none, or the one before it has not ended.
    ///
    /// # Errors
    /// What the broker says, and `Unexpected` for a fault of this worker's.
    pub fn take(&mut self) -> Result<Option<Run>> {
        loop {
            self.step()?;
            if let Some(job) = self.chosen.pop_front() {
                return Ok(Some(Run::beginning(job)));
            }
            if !self.exchange()? && !self.admit()? {
                return Ok(None);
            }
        }
    }

    /// Takes how a run ended, and carries out what it wants done.
    ///
    /// # Errors
    /// As [`Stepper::take`].
    pub fn finish(&mut self, run: &Run, outcome: &OutcomeRef<'_>) -> Result<()> {
        let outcome = Outcome {
            ending: outcome.ending,
            records: outcome.records.iter().map(RecordRef::to_record).collect(),
            publications: outcome.publications.iter().map(PublicationRef::to_publication).collect(),
            chords: outcome.chords.cloned().map(Box::new),
            reason: outcome.reason.to_owned(),
            runtime: RUNTIME,
        };
        self.inputs.push_back(Input::Finished(SLOT, run.job.tag, Box::new(outcome)));
        self.step()?;
        self.settle()
    }

    /// Stores states of a run that goes on.
    ///
    /// # Errors
    /// As [`Stepper::take`].
    pub fn store(&mut self, records: &[RecordRef<'_>]) -> Result<()> {
        self.commits.push(Commit::store(records.iter().map(RecordRef::to_record).collect()));
        self.settle()
    }

    /// What has happened since this was last asked.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn time(&self) -> Now {
        Now { monotonic: self.clock.now(), wall: self.clock.wall() }
    }

    fn step(&mut self) -> Result<()> {
        let now = self.time();
        while let Some(input) = self.inputs.pop_front() {
            self.machine.step(now, input, &mut self.effects)?;
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    Effect::Send { sequence, tag, .. } => {
                        if let Some(job) = self.machine.job(tag) {
                            let mut pipe = BytesMut::new();
                            frame::encode_job(&mut pipe, sequence, job)?;
                            let sent = frame::take(&mut pipe)?;
                            let parsed =
                                sent.map(|sent| JobFrame::parse(sent.tag, sent.payload)).transpose()?;
                            self.chosen.extend(parsed);
                        }
                    }
                    Effect::Settle(commit) => self.keep(commit),
                    Effect::Tell(event) => self.events.push(event),
                    // A job that was handed out has started, and nobody but its caller can end it.
                    Effect::Reclaim(_)
                    | Effect::Reopen { .. }
                    | Effect::Interrupt(..)
                    | Effect::Cancel(..)
                    | Effect::Terminate { .. }
                    | Effect::Kill(_) => {}
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, mut commit: Commit) {
        self.events.extend(commit.handed_on.drain(..).map(Event::unstored));
        self.commits.push(commit);
    }

    /// Carries out what is to be, and takes what may be taken; returns whether there was anything.
    fn exchange(&mut self) -> Result<bool> {
        let now = self.time();
        let credit = self.machine.credit(now);
        let had = !self.commits.is_empty();
        let noted: Vec<_> = self.commits.iter().filter_map(Commit::noted).collect();
        let harvest = at_once(self.session.exchange(&mut self.commits, credit))?;
        let settled = noted.into_iter().filter(|tag| !harvest.refused.contains(tag));
        self.inputs.extend(settled.map(Input::Settled));
        self.inputs.extend(harvest.refused.iter().copied().map(Input::Refused));
        let took = !harvest.deliveries.is_empty();
        if !harvest.revoked.is_empty() {
            self.inputs.push_back(Input::Revoked(harvest.revoked));
        }
        for delivery in harvest.deliveries {
            match accept(delivery, &self.policies, now.monotonic, now.wall) {
                Accepted::Job(job) => self.inputs.push_back(Input::Arrived(job)),
                Accepted::Settled(commit, event) => {
                    self.events.push(event);
                    self.keep(commit);
                }
            }
        }
        Ok(had || took)
    }

    /// Asks for turns and tokens; returns whether there was anything to ask.
    fn admit(&mut self) -> Result<bool> {
        let asks = self.machine.asks(self.time());
        if asks.is_empty() {
            return Ok(false);
        }
        let answers = at_once(self.session.admit(&asks))?;
        self.inputs.push_back(Input::Granted(answers));
        Ok(true)
    }

    /// Carries out what is to be, and takes nothing.
    fn settle(&mut self) -> Result<()> {
        if self.commits.is_empty() {
            return Ok(());
        }
        // An early acknowledgement is asked for by `take` alone, so nobody waits to hear of these.
        at_once(self.session.exchange(&mut self.commits, 0)).map(drop)
    }
}

impl Drop for Stepper {
    fn drop(&mut self) {
        // Its clock stands still from now on, so nobody should find these queues by their name.
        self.broker.retire();
    }
}

/// What a future brings that never waits: the memory broker's do not.
fn at_once<T>(future: BoxFuture<'_, Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::new(ErrorKind::Unexpected, "the memory broker waits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::connect::connect_by_hand;
    use crate::broker::{Broker, Publication, Queue};
    use crate::job::ending::Ending;
    use crate::job::policy::Policy;
    use crate::message::Message;

    fn stepper(name: &str, change: impl FnOnce(&mut Policy)) -> Stepper {
        let broker = connect_by_hand(&format!("memory://{name}?clock=hand"), "").ok().unwrap();
        let subscription = Subscription {
            queues: vec![Queue::named("celery")],
            node: "test@here".into(),
            lease: Duration::from_secs(10),
            max_deaths: 3,
            page: None,
            result_expires: None,
            mailbox: None,
            chord_expires: None,
            internal: None,
            patience: None,
        };
        let mut policy = Policy::named("add");
        change(&mut policy);
        Stepper::new(broker, subscription, Policies::new([policy])).unwrap()
    }

    fn send(stepper: &Stepper, id: &str, queue: &str, after: Option<u64>, expires: &str) {
        let at = |seconds: u64| stepper.now().after(Duration::from_secs(seconds));
        let headers = format!(r#"{{"task":"add","id":"{id}","expires":{expires}}}"#);
        let publication = Publication {
            exchange: String::new(),
            routing_key: queue.into(),
            priority: None,
            due: after.map(at),
            message: Message { headers: headers.into(), ..Message::default() },
        };
        stepper.broker.publish(&[publication]).unwrap();
    }

    fn ids(stepper: &mut Stepper) -> Vec<String> {
        let mut ran = Vec::new();
        while let Some(run) = stepper.take().unwrap() {
            assert!(stepper.take().unwrap().is_none(), "one at a time");
            ran.push(run.job.id().to_owned());
            let outcome = OutcomeRef {
                ending: Ending::Done,
                records: &[],
                publications: &[],
                chords: None,
                reason: "",
            };
            stepper.finish(&run, &outcome).unwrap();
        }
        ran
    }

    #[test]
    fn what_is_due_is_handed_out_and_what_is_not_waits_for_the_clock() {
        for acks_late in [true, false] {
            let mut stepper = stepper("stepper-due", |policy| policy.acks_late = acks_late);
            send(&stepper, "later", "celery", Some(7200), "null");
            send(&stepper, "soon", "elsewhere", Some(5), "null");
            send(&stepper, "now", "celery", None, "null");
            assert_eq!(ids(&mut stepper), ["now"]);
            let due = stepper.next_due().unwrap();
            assert_eq!(due, stepper.now().after(Duration::from_secs(5)));
            stepper.turn_to(due);
            assert_eq!(ids(&mut stepper), ["soon"]);
            stepper.turn_to(stepper.now().after(Duration::from_secs(10_000)));
            assert_eq!(ids(&mut stepper), ["later"]);
            assert_eq!(stepper.next_due(), None);
            assert!(stepper.broker.depths().unwrap().iter().all(|depth| depth.ready + depth.in_flight == 0));
        }
    }

    #[test]
    fn what_has_expired_or_is_unknown_is_told_and_not_handed_out() {
        let mut stepper = stepper("stepper-expired", |_| {});
        send(&stepper, "old", "celery", Some(20), r#""2000-01-01T00:00:00+00:00""#);
        stepper.turn_to(stepper.now().after(Duration::from_secs(30)));
        assert!(ids(&mut stepper).is_empty());
        stepper.learn(Policies::new([]));
        send(&stepper, "stranger", "celery", None, "null");
        assert!(ids(&mut stepper).is_empty());
        let kinds: Vec<_> = stepper.events().into_iter().map(|event| event.kind.name()).collect();
        assert_eq!(kinds, ["expired", "unknown"]);
    }
}
