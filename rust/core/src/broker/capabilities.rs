//! What a broker can do: callers read this and never ask for a name.

/// What a broker can do, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a list of yes and no is what this is")]
pub struct Capabilities {
    /// A confirmed message survives the end of every process.
    pub durable: bool,
    /// Several processes see the same queues.
    pub shared: bool,
    /// Verdict, results and follow-ups of a Commit are one transaction.
    pub transactional: bool,
    /// A message may wait in the broker until it is due.
    pub delay: bool,
    /// Which end of the priority numbers goes first.
    pub priority: PriorityOrder,
    /// Exchanges of type topic and fanout route.
    pub exchanges: bool,
    /// Messages can be set aside, seen and put back.
    pub dead_letters: bool,
    /// What a killed worker held comes back by lease.
    pub leases: bool,
    /// Its server keeps locks, turns and tokens: unique tasks, and limits that all workers keep together.
    pub limits: bool,
    /// It keeps a record of the tasks that were called off.
    pub revocations: bool,
    /// What was called off before a message was sent is told with it, also to a worker that does not listen.
    pub revokes_ahead: bool,
    /// Workers of other libraries may hear remote commands there.
    pub mailbox: bool,
    /// What goes to everybody goes through channels, which store nothing: Celery's events, too.
    pub channels: bool,
    /// Messages come by themselves, and what a harvest says of more is a guess.
    pub pushes: bool,
    /// It knows by itself who works, and what is in flight or delayed: [`super::Broker::workers`], [`super::Depth`].
    /// Without it workers are asked, and nobody knows what is delayed.
    pub sees_workers: bool,
    /// A message that was given back unstarted looks as if it had never been taken.
    pub releases_unmarked: bool,
    /// A worker does not begin on a queue that exists with other arguments.
    pub insists_on_arguments: bool,
}

/// Which priority goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorityOrder {
    /// Priorities are ignored.
    None,
    /// AMQP's: the higher number first; a message without one counts as 0.
    HighestFirst,
    /// kombu's on Redis: 0 first.
    LowestFirst,
}
