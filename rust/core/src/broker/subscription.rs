//! What a worker's session is given, and what it brings.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(doc)]
use super::Session;
use super::{Delivery, Queue};
use crate::ident::Tag;
use crate::job::revocation::Revocation;
use crate::store::Patience;

/// What a worker wants of a broker.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Queues to take from, in no order of preference.
    pub queues: Vec<Queue>,
    /// Node name, such as `fastq@host`.
    pub node: String,
    /// How long the lease lasts without renewal.
    pub lease: Duration,
    /// Deaths after which a message is set aside.
    pub max_deaths: u32,
    /// The worker's slot page (see [`crate::pool::page`]), so that a reaper on this host learns what had started.
    pub page: Option<PathBuf>,
    /// How long stored results live; `None` for ever.
    pub result_expires: Option<Duration>,
    /// The exchange of remote commands to listen at, such as `celery.pidbox`; `None`: at none.
    pub mailbox: Option<String>,
    /// How long what chords are counted with lives; `None` for ever.
    pub chord_expires: Option<Duration>,
    /// The queue of built-in tasks that every worker of an app takes from, beside its own: the release of chords. It is
    /// looked at when this worker has put something there, and now and then.
    pub internal: Option<Queue>,
    /// How long chords are left alone before somebody looks after them; `None`: for ever.
    pub patience: Option<Patience>,
}

impl Subscription {
    /// Where release messages go.
    pub fn internal_queue(&self) -> &str {
        let queue = self.internal.as_ref().or(self.queues.first());
        queue.map_or("", |queue| &queue.name)
    }
}

/// What one [`Session::exchange`] brought.
#[derive(Debug, Default)]
pub struct Harvest {
    /// Messages taken.
    pub deliveries: Vec<Delivery>,
    /// Commits that were not carried out because their Receipt is no longer ours.
    pub refused: Vec<Tag>,
    /// The queue had more than was asked for.
    pub more: bool,
    /// Tasks that were called off since the last one, the deliveries above perhaps among them.
    pub revoked: Vec<Revocation>,
    /// What was taken before is the broker's again, without the session being over: what has not started is to be
    /// forgotten. What runs goes on, and settles what comes back.
    pub lost: bool,
    /// What users should know, a sentence each.
    pub notices: Vec<String>,
}

/// What one [`Session::renew`] did.
#[derive(Debug, Default)]
pub struct Renewal {
    /// The server or file answered: false when nothing was due, and so nobody was asked.
    pub asked: bool,
    /// Messages of dead workers put back.
    pub recovered: u64,
    /// Messages of dead workers set aside because they died too often.
    pub buried: u64,
}
