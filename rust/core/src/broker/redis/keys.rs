//! The names of keys: kombu's, and ours beside them (kombu-layouts.md §2.1).
//!
//! # Format
//! ```text
//! celery                      list     messages of priority step 0          (kombu's)
//! celery<SEP>3                list     messages of priority step 3          (kombu's; also 6 and 9)
//! _kombu.binding.<exchange>   set      <routing key><SEP><pattern><SEP><queue>  (kombu's)
//! {celery}:fastq:p:<session>  list     what one worker took from a list, oldest first; "" where it was settled
//! {celery}:fastq:delayed      zset     what must wait before it goes into a list, by the moment in milliseconds
//! {celery}:fastq:dead         list     dead letters of a queue, newest first
//! fastq:workers               zset     sessions by the end of their lease, in milliseconds of the server's clock
//! fastq:w:<session>           hash     who that is; deleted by whoever takes the session for dead
//! fastq:reaping               zset     sessions taken for dead, by the moment until which their reaper may take
//! fastq:d:<session>           hash     who that was
//! fastq:due                   zset     lists with a delayed set, by a moment not later than its first
//! fastq:revoked               zset     what is called off, as JSON (job/revocation.rs), by the moment it is forgotten
//! fastq:notices               string   how many notices have told what is called off
//! fastq:queues                hash     queue → the arguments it was declared with, "" when it was only used
//! fastq:exchanges             hash     exchange → its type
//! fastq:u:<key>               string   the id of the unique task that has this lock; expires
//! fastq:r:<key>               string   lasts until the next turn of a rate limit is free
//! fastq:c:<key>               hash     session → how many tokens of the key it holds
//! fastq:l:<key>               list     sessions in line for tokens of the key
//! fastq:k:<session>           set      keys of which the session holds tokens or is in line for them
//! fastq:locking               set      queues that may hold messages with locks
//! ```
//! In front of each stands `global_keyprefix`. The braces keep a list and what belongs to it in one slot of a cluster.

/// Makes the names of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    prefix: String,
    separator: String,
}

impl Keys {
    /// kombu's separator.
    pub(crate) const SEPARATOR: &'static str = "\u{6}\u{16}";

    pub(crate) fn new(prefix: String, separator: String) -> Self {
        Self { prefix, separator }
    }

    /// A key, or the name of a channel, with the prefix before it.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Between the parts of a name.
    pub(crate) fn separator(&self) -> &str {
        &self.separator
    }

    /// The name of a queue's list of one priority step, without the prefix.
    pub(crate) fn list_name(&self, queue: &str, step: u8) -> String {
        if step == 0 { queue.to_owned() } else { format!("{queue}{}{step}", self.separator) }
    }

    /// What one session took from a list.
    pub(crate) fn in_flight(&self, list: &str, session: &str) -> String {
        self.beside(list, &format!("p:{session}"))
    }

    /// What waits before it goes into a list.
    pub(crate) fn delayed(&self, list: &str) -> String {
        self.beside(list, "delayed")
    }

    /// The dead letters of a queue.
    pub(crate) fn dead(&self, queue: &str) -> String {
        self.beside(queue, "dead")
    }

    /// The bindings of an exchange.
    pub(crate) fn bindings(&self, exchange: &str) -> String {
        format!("{}_kombu.binding.{exchange}", self.prefix)
    }

    /// A worker's session.
    pub(crate) fn worker(&self, session: &str) -> String {
        format!("{}fastq:w:{session}", self.prefix)
    }

    /// The delivery tags of which a session has written records as kombu does.
    pub(crate) fn mirrored(&self, session: &str) -> String {
        format!("{}fastq:m:{session}", self.prefix)
    }

    /// A session that was taken for dead.
    pub(crate) fn dead_worker(&self, session: &str) -> String {
        format!("{}fastq:d:{session}", self.prefix)
    }

    /// The lock of a unique task.
    pub(crate) fn lock(&self, key: &str) -> String {
        format!("{}fastq:u:{key}", self.prefix)
    }

    /// The turns of a rate limit.
    pub(crate) fn turns(&self, key: &str) -> String {
        format!("{}fastq:r:{key}", self.prefix)
    }

    /// Who holds tokens of a key.
    pub(crate) fn holders(&self, key: &str) -> String {
        format!("{}fastq:c:{key}", self.prefix)
    }

    /// Who is in line for tokens of a key.
    pub(crate) fn line(&self, key: &str) -> String {
        format!("{}fastq:l:{key}", self.prefix)
    }

    /// The keys of a session's tokens.
    pub(crate) fn tokens_of(&self, session: &str) -> String {
        format!("{}fastq:k:{session}", self.prefix)
    }

    /// The channel on which a session in line is called.
    pub(crate) fn call(&self, session: &str) -> String {
        format!("{}fastq:freed:{session}", self.prefix)
    }

    fn beside(&self, name: &str, what: &str) -> String {
        let tagged = name.split_once('{').is_some_and(|(_, rest)| rest.find('}').is_some_and(|end| end > 0));
        if tagged {
            format!("{}{name}:fastq:{what}", self.prefix)
        } else {
            format!("{}{{{name}}}:fastq:{what}", self.prefix)
        }
    }
}

/// The priority steps of a broker: several priorities share a list (kombu-layouts.md §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Steps(Vec<u8>);

impl Steps {
    /// Steps in ascending order; kombu's when none are given.
    pub(crate) fn new(mut steps: Vec<u8>) -> Self {
        if steps.is_empty() {
            steps = vec![0, 3, 6, 9];
        }
        steps.sort_unstable();
        steps.dedup();
        Self(steps)
    }

    /// The step of a priority: the largest that is not above it.
    pub(crate) fn of(&self, priority: Option<u8>) -> u8 {
        let priority = priority.unwrap_or(0).min(9);
        let not_above = self.0.iter().rev().find(|step| **step <= priority);
        // kombu's bisect wraps around to the last step when all are above.
        not_above.or(self.0.last()).copied().unwrap_or(0)
    }

    /// All of them, the most urgent first.
    pub(crate) fn all(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kombus_and_ours_stay_in_their_slot() {
        let keys = Keys::new("app:".into(), Keys::SEPARATOR.into());
        assert_eq!(keys.key(&keys.list_name("celery", 0)), "app:celery");
        assert_eq!(keys.key(&keys.list_name("celery", 6)), "app:celery\u{6}\u{16}6");
        assert_eq!(keys.bindings("celery.pidbox"), "app:_kombu.binding.celery.pidbox");
        assert_eq!(keys.in_flight("celery", "w1"), "app:{celery}:fastq:p:w1");
        assert_eq!(keys.delayed("{shop}.mail"), "app:{shop}.mail:fastq:delayed");
        assert_eq!(keys.dead("{}x"), "app:{{}x}:fastq:dead");
    }

    #[test]
    fn a_priority_goes_to_the_largest_step_not_above_it() {
        let steps = Steps::new(vec![]);
        let found: Vec<u8> = [None, Some(0), Some(2), Some(3), Some(8), Some(9), Some(255)]
            .into_iter()
            .map(|priority| steps.of(priority))
            .collect();
        assert_eq!(found, [0, 0, 0, 3, 6, 9, 9]);
        assert_eq!(Steps::new(vec![5, 0]).of(Some(4)), 0);
    }
}
