//! Names for things: task ids, worker identities, delivery tags.

use std::collections::HashMap;

use uuid::Uuid;

/// What is known of each tag. Looked up several times a task; the hash is seeded at random in each process, for tags
/// may come from what senders wrote.
pub type ByTag<V> = HashMap<Tag, V, foldhash::fast::RandomState>;

/// Names one delivery within one session of one worker; never zero, never reused while unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// Names a slot of a pool. A slot that dies is replaced under the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

/// A new task id: 36 characters, a UUID whose first part is the time (version 7, RFC 9562 §5.7).
///
/// Celery takes any text; ids that grow with time keep the result table's index in cache.
pub fn task_id() -> String {
    Uuid::now_v7().to_string()
}

/// A new identity for a worker's session: never used twice, so a fenced worker cannot be mistaken.
pub fn session_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// A number that nobody can foresee.
pub(crate) fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}
