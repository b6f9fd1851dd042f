//! What a worker is told at its start.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::Queue;
pub use crate::consumer::credit::Prefetch;
use crate::event::EventKind;
use crate::job::policy::Policies;
use crate::pool::page::{Page, SLOTS};
use crate::store::Patience;

/// The settings of one worker.
pub struct WorkerConfig {
    /// Node name, such as `fastq@host`.
    pub node: String,
    /// Queues to take from.
    pub queues: Vec<Queue>,
    /// What must be known of each task.
    pub policies: Policies,
    /// Children to keep alive; 0 when slots are made by [`super::Worker::port`].
    pub children: u32,
    /// As many may be kept alive when there is work for them; at least `children`.
    pub most_children: u32,
    /// Jobs that a slot runs side by side, where its executor can interrupt and end each; `None`: one at a time.
    pub permits: Option<u32>,
    /// The socket to the nursery; `None` without children.
    pub nursery: Option<OwnedFd>,
    /// How far to take ahead of the slots.
    pub prefetch: Prefetch,
    /// The slot page.
    pub page: SlotPage,
    /// How long the lease lasts without renewal.
    pub lease: Duration,
    /// Deaths after which a message is set aside.
    pub max_deaths: u32,
    /// How long stored results live; `None` for ever.
    pub result_expires: Option<Duration>,
    /// How long what chords are counted with lives; `None` for ever.
    pub chord_expires: Option<Duration>,
    /// The queue of built-in tasks that every worker takes from, beside its own; `None`: there is none.
    pub internal: Option<Queue>,
    /// How long chords are left alone before somebody looks after them; `None`: for ever.
    pub patience: Option<Patience>,
    /// How long a warm stop waits for running jobs before it becomes a cold one; `None`: as long as they take.
    pub stop_within: Option<Duration>,
    /// How long a soft stop waits for them.
    pub soft_stop_within: Duration,
    /// Runs whose session is over are ended: another worker will run them from the beginning.
    pub ends_lost_runs: bool,
    /// A slot in this process whose run passes its limit is given up, and Python makes another.
    pub gives_up_slots: bool,
    /// The exchange of remote commands that are obeyed, such as `celery.pidbox`; `None`: none are.
    pub mailbox: Option<String>,
    /// How long it is remembered what a remote command calls off.
    pub revoke_expires: Duration,
    /// At most so many messages wait in the worker for their time or their turn; `None`: a thousand.
    pub eta_limit: Option<u32>,
    /// Events told only on request that are wanted from the first moment on.
    pub watch: Vec<EventKind>,
}

impl WorkerConfig {
    /// Slots that the nursery fills: one more than children may be in service, where a successor is made.
    pub fn places(&self) -> u32 {
        match self.children.max(self.most_children) {
            0 => 0,
            most => (most + 1).min(SLOTS as u32),
        }
    }
}

/// The slot page, mapped by the bridge.
pub struct SlotPage {
    /// The mapped words.
    pub words: Arc<dyn Page>,
    /// A descriptor of the same memory, for children; `None` in one process.
    pub file: Option<OwnedFd>,
    /// Where it lies, when a reaper on this host may read it.
    pub path: Option<PathBuf>,
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopHow {
    /// Take no more, give back what has not started, finish what runs.
    Warm,
    /// As warm, but what runs has only the given time.
    Soft,
    /// Give back everything at once and end the children.
    Cold,
}

impl StopHow {
    /// The name Python knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Soft => "soft",
            Self::Cold => "cold",
        }
    }
}
