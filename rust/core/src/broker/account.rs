//! What a broker tells of its queues and workers, for whoever looks.

use crate::clock::WallTime;
use crate::message::Message;

/// How many messages a queue holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// The queue's name.
    pub queue: String,
    /// Waiting, due now.
    pub ready: u64,
    /// Taken by a worker, not settled.
    pub in_flight: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// Set aside.
    pub dead: u64,
}

/// A message set aside, and why.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Names it to [`super::Broker::requeue_dead`] and [`super::Broker::drop_dead`].
    pub id: String,
    /// Task id, as far as the headers could be read.
    pub task_id: String,
    /// Task name, as far as the headers could be read.
    pub task_name: String,
    /// The queue it came from.
    pub queue: String,
    /// One sentence.
    pub reason: String,
    /// When it was set aside.
    pub buried_at: WallTime,
    /// Workers or children that died running it.
    pub deaths: u32,
    /// What was sent.
    pub message: Message,
}

/// A worker that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerEntry {
    /// Node name.
    pub node: String,
    /// Process id on its host.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// When it began.
    pub started_at: WallTime,
    /// When its lease ends unless renewed.
    pub lease_until: WallTime,
    /// Messages it holds.
    pub in_flight: u64,
    /// Queues it takes from.
    pub queues: Vec<String>,
}
