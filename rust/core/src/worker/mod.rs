//! The assembly of the parent: wires, never decides.
//!
//! One thread, one tokio runtime on it, everything of the worker as tasks there. No Python code can block it.

pub mod command;
pub mod config;
mod drive;
mod hear;
pub mod mailbox;
mod obey;
pub mod stats;
pub mod stepper;
mod stop;
mod succeed;
mod tell;

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::SigSet;
use tokio::sync::mpsc;

use crate::broker::{Broker, Subscription};
use crate::clock::Clock;
use crate::consumer::{Consumer, News};
use crate::dispatch::Machine;
use crate::dispatch::scale::Scale;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, EventKind, Value};
use crate::ident::SlotId;
use crate::pool::Pool;
use crate::pool::nursery::Nursery;
use crate::pool::page::SLOTS;
use crate::store::Store;
use command::Command;
use config::{SlotPage, StopHow, WorkerConfig};
use drive::{Control, Desk, Drive, Ears, Succession};
use stats::Stats;
use stop::Stop;
use tell::Tell;

pub use crate::event;

/// Numbers of slots that may be given out again.
type FreeSlots = Arc<Mutex<Vec<SlotId>>>;

/// A running worker. Thread-safe; dropping it stops it at once.
pub struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    tell: Tell,
    stats: Arc<Stats>,
    next_slot: AtomicU32,
    /// Numbers of slots in this process that were given up or have left.
    free_slots: FreeSlots,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// How long the first session may take to begin before the start goes on without it.
    const OPEN_WITHIN: Duration = Duration::from_secs(10);

    /// Starts a worker on a thread of its own; returns when it takes messages, or when the broker is away for now
    /// (it goes on trying, and tells so by Events). `store`: where results go when that is not the broker's own.
    ///
    /// # Errors
    /// Whatever makes it impossible to begin a session at all; nothing runs then.
    pub fn start(
        config: WorkerConfig,
        broker: Arc<dyn Broker>,
        store: Option<Arc<dyn Store>>,
    ) -> Result<Self> {
        if let Some(store) = &store {
            store.clean()?; // a store that cannot be opened is told now, not with the first result
        }
        let tell = Tell::new()?;
        let stats = Arc::new(Stats::default());
        let (commands, commands_heard) = mpsc::unbounded_channel();
        let (opened, open) = sync_channel(1);
        let next_slot = AtomicU32::new(config.places());
        let free_slots = FreeSlots::default();
        let assembly = Assembly {
            free_slots: Arc::clone(&free_slots),
            config,
            broker,
            store,
            tell: tell.clone(),
            stats: stats.clone(),
            commands: commands_heard,
            opened,
        };
        let thread = std::thread::Builder::new()
            .name("fastq-core".into())
            .spawn(move || assembly.run_to_the_end())
            .map_err(|error| {
                Error::new(ErrorKind::Unexpected, "cannot start the core's thread").because(error)
            })?;
        let thread = Mutex::new(Some(thread));
        let worker = Self { commands, tell, stats, next_slot, free_slots, thread };
        match open.recv_timeout(Self::OPEN_WITHIN) {
            Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => Ok(worker),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::new(ErrorKind::Unexpected, "the core ended while it started"))
            }
        }
    }

    /// Makes a slot in this process; the executor's end of its socket.
    ///
    /// # Errors
    /// `Closed` when the worker has ended; `Config` when it has as many slots as its page has room for.
    pub fn port(&self) -> Result<(UnixStream, SlotId)> {
        let slot = self.free_slot().ok_or_else(|| {
            Error::new(ErrorKind::Config, "a worker has room for 1024 slots; start another worker")
        })?;
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| Error::new(ErrorKind::Unexpected, "cannot make a socket pair").because(error))?;
        self.send(Command::Adopt(slot, ours))?;
        Ok((theirs, slot))
    }

    /// A number that no slot has. One that was used before is used again last: who was given up there may not be gone.
    fn free_slot(&self) -> Option<SlotId> {
        let fresh = self.next_slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            ((next as usize) < SLOTS).then(|| next + 1)
        });
        fresh.map(SlotId).ok().or_else(|| {
            let mut free = self.free_slots.lock().unwrap_or_else(PoisonError::into_inner);
            (!free.is_empty()).then(|| free.remove(0))
        })
    }

    /// A descriptor that can be read when [`Worker::attend`] would not wait.
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.tell.ear()
    }

    /// Takes what has happened, waiting up to `timeout` for the first.
    pub fn attend(&self, timeout: Duration) -> Vec<Event> {
        self.tell.take(timeout)
    }

    /// A descriptor that ends [`Worker::attend`] when something is written to it.
    pub fn wakeup_fd(&self) -> BorrowedFd<'_> {
        self.tell.bell()
    }

    /// Asks for Events that are only told on request.
    pub fn watch(&self, kinds: Vec<EventKind>) {
        let _ = self.send(Command::Watch(kinds));
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Vec<(&'static str, Value)> {
        let mut stats = self.stats.read();
        stats.push(("events_dropped", Value::from(self.tell.dropped())));
        stats
    }

    /// Begins to stop, or makes a stop more urgent. The Event *stopped* tells of its end.
    pub fn stop(&self, how: StopHow) {
        let _ = self.send(Command::Stop(how)); // what has ended needs no stop
    }

    fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).map_err(|_| Error::new(ErrorKind::Closed, "the worker has ended"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop(StopHow::Cold);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // its panic was told as an Event
        }
    }
}

/// What the core's thread is made of.
struct Assembly {
    free_slots: FreeSlots,
    config: WorkerConfig,
    broker: Arc<dyn Broker>,
    store: Option<Arc<dyn Store>>,
    tell: Tell,
    stats: Arc<Stats>,
    commands: mpsc::UnboundedReceiver<Command>,
    opened: SyncSender<Result<()>>,
}

impl Assembly {
    /// The thread: whatever happens, its end is told.
    fn run_to_the_end(self) {
        // Signals are for Python's main thread: one that lands here would not end its wait.
        let _ = SigSet::all().thread_block(); // the set is valid, and else it cannot fail
        let tell = self.tell.clone();
        let opened = self.opened.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
        let event = Event::new(EventKind::Stopped);
        match ended {
            Ok(Ok(clean)) => tell.put(event.with("clean", clean)),
            Ok(Err(error)) => {
                tell.put(event.with("clean", false).with("reason", error.to_string()));
                let _ = opened.try_send(Err(error));
            }
            Err(_) => {
                tell.put(event.with("clean", false).with("reason", "the core panicked: a bug in fastq"));
            }
        }
    }

    fn run(self) -> Result<bool> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
                Error::new(ErrorKind::Unexpected, "cannot start the core's runtime").because(error)
            })?;
        runtime.block_on(self.drive())
    }

    async fn drive(self) -> Result<bool> {
        let Self { free_slots, config, broker, store, tell, stats, commands, opened } = self;
        let clock = Clock::system();
        let (orders, orders_heard) = mpsc::unbounded_channel();
        let (news, news_heard) = mpsc::unbounded_channel();
        let (link_events, links) = mpsc::unbounded_channel();
        let (nursery_events, nursery_heard) = mpsc::unbounded_channel();
        let machine = machine(&config, broker.capabilities().delay);
        let (subscription, places) = (subscription(&config), config.places());
        let SlotPage { words, file, .. } = config.page;
        let nursery =
            config.nursery.zip(file).map(|(socket, page)| Nursery::new(socket, page, nursery_events));
        let queues = config.queues.iter().map(|queue| queue.name.as_str()).collect::<Vec<_>>().join(", ");
        let control = Control { node: config.node, keep: config.revoke_expires };
        consume(Consumer::new(broker, store, subscription, clock.clone(), orders_heard, news.clone()), news);
        let drive = Drive {
            clock,
            machine,
            pool: Pool::new(words, nursery.transpose()?, config.permits, link_events),
            policies: config.policies,
            orders,
            tell,
            stats,
            stop: Stop::new(config.stop_within, config.soft_stop_within),
            succession: Succession::new(places),
            children: config.children,
            scale: Scale::between(config.children, config.most_children),
            queues,
            control,
            free_slots,
            opened: Some(opened),
            desk: Desk::default(),
        };
        Ok(drive.run(Ears { commands, links, nursery: nursery_heard, news: news_heard }).await)
    }
}

fn subscription(config: &WorkerConfig) -> Subscription {
    Subscription {
        queues: config.queues.clone(),
        node: config.node.clone(),
        lease: config.lease,
        max_deaths: config.max_deaths,
        page: config.page.path.clone(),
        result_expires: config.result_expires,
        chord_expires: config.chord_expires,
        internal: config.internal.clone(),
        mailbox: config.mailbox.clone(),
        patience: config.patience,
    }
}

fn machine(config: &WorkerConfig, delay_in_broker: bool) -> Machine {
    let mut machine = Machine::new(config.prefetch, delay_in_broker);
    machine.tell_received = config.watch.contains(&EventKind::Received);
    machine.ends_lost_runs = config.ends_lost_runs;
    machine.gives_up_slots = config.gives_up_slots;
    machine.waiting_capacity = config.eta_limit.map_or(machine.waiting_capacity, |limit| limit as usize);
    machine.permits = config.permits.unwrap_or(1).max(1) as usize;
    machine.side_by_side = config.permits.is_some();
    machine
}

/// Starts the consumer's task and tells when it dies: without it nothing can be taken or settled any more.
fn consume(consumer: Consumer, news: mpsc::UnboundedSender<News>) {
    let consumer = tokio::spawn(consumer.run());
    tokio::spawn(async move {
        if let Err(panic) = consumer.await {
            let sentence = "the broker connection panicked: a bug in fastq";
            let _ = news.send(News::Failed(Error::new(ErrorKind::Unexpected, sentence).because(panic)));
            let _ = news.send(News::Ended { clean: false });
        }
    });
}
