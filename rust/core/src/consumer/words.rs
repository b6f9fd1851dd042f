//! What the consumer is told, and what it says.

use std::time::Duration;

use super::link::LinkState;
use crate::broker::{Delivery, Queue, Renewal, Said, Word};
use crate::error::Error;
use crate::ident::Tag;
use crate::job::ending::Commit;
use crate::job::limits::{Ask, Granted};

/// What the consumer is told.
#[derive(Debug)]
pub enum Order {
    /// Carry these out.
    Settle(Vec<Commit>),
    /// So many more may be taken. `seen`: the number of the last harvest this takes into account.
    Take {
        /// How many.
        credit: usize,
        /// Harvests taken into account.
        seen: u64,
        /// Somebody waits: hold nothing back.
        hurry: bool,
    },
    /// Take from these queues too.
    Consume(Vec<Queue>),
    /// Take nothing more from this queue.
    Cancel(String),
    /// Say this to whoever listens beside the queues.
    Say(Word),
    /// Ask for these turns and tokens, once what is to be settled is.
    Ask(Vec<Ask>),
    /// Settle what is known, give the rest back, end.
    Drain,
}

/// What the consumer says.
#[derive(Debug)]
pub enum News {
    /// Messages taken; harvests are numbered from 1.
    Taken {
        /// The messages.
        deliveries: Vec<Delivery>,
        /// The harvest's number.
        harvest: u64,
    },
    /// Commits were carried out whose settling somebody waits for.
    Settled(Vec<Tag>),
    /// Commits that were not carried out, because their Receipt is no longer ours.
    Refused(Vec<Tag>),
    /// What was heard beside the messages.
    Said(Said),
    /// What was given for what was asked; nothing when it could not be asked.
    Granted(Vec<Granted>),
    /// The server called: tokens were given back.
    Freed,
    /// The lease was renewed and the dead were reaped.
    Renewed(Renewal),
    /// The connection changed.
    Link {
        /// To what.
        state: LinkState,
        /// Why, when it is a fault.
        reason: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// The queues that are taken from are others now, or a change was refused.
    Queues {
        /// All of them.
        names: Vec<String>,
        /// Why a change was refused.
        refused: Option<Error>,
    },
    /// Something about the broker that users should know.
    Notice(String),
    /// No session can ever begin.
    Failed(Error),
    /// The session is over, or its connection broke; what it gave belongs to others.
    SessionLost,
    /// It has ended; nothing comes after this. `clean`: everything was settled or given back.
    Ended {
        /// Everything was settled or given back.
        clean: bool,
    },
}
