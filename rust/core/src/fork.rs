//! Forking beside open databases: nothing of SQLite may cross a fork.
//!
//! Two facts of POSIX and SQLite make this so. Record locks belong to a process and are not inherited, but SQLite
//! remembers per process which files it has locked (its inode list): a forked child would believe it holds locks
//! that only its parent has, and another process could then delete the write-ahead log under it. And closing *any*
//! descriptor of a file drops all locks the process has on it, so the inherited handles cannot simply be closed
//! later. So all connections of this process are closed before it forks, and both sides open new ones when they
//! next need one. Connections are the only thing that is closed: rows that a worker has claimed stay claimed.
//!
//! Whoever uses a connection, or a lock that must not be held while forking, does it inside [`enter`]. The gate is
//! one word and no lock of the operating system, so that a child can set it free whatever other threads were doing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Set while a thread forks; the bits below count who is inside.
const FORKING: u32 = 1 << 31;

static GATE: AtomicU32 = AtomicU32::new(0);
static CLOSE_FIRST: Mutex<Vec<Weak<dyn CloseBeforeFork>>> = Mutex::new(Vec::new());

/// What must be closed before a fork.
pub(crate) trait CloseBeforeFork: Send + Sync {
    /// Closes it. Called while nobody is inside the gate.
    fn close_before_fork(&self);
}

/// The right to be where no fork happens; given back when dropped.
pub(crate) struct Inside(());

impl Drop for Inside {
    fn drop(&mut self) {
        GATE.fetch_sub(1, Ordering::Release);
    }
}

/// Waits until nobody forks, and holds forks off until the guard is dropped. Not to be nested: a fork that waits
/// between the two would wait for ever.
pub(crate) fn enter() -> Inside {
    loop {
        if GATE.fetch_add(1, Ordering::Acquire) & FORKING == 0 {
            return Inside(());
        }
        GATE.fetch_sub(1, Ordering::Release);
        pause();
    }
}

/// Closes `this` before every later fork, as long as it lives. Call it inside the gate.
pub(crate) fn register(this: &Arc<impl CloseBeforeFork + 'static>) {
    let weak: Weak<dyn CloseBeforeFork> = Arc::downgrade(&(Arc::clone(this) as Arc<dyn CloseBeforeFork>));
    let mut registered = CLOSE_FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    registered.retain(|weak| weak.strong_count() > 0);
    registered.push(weak);
}

/// To be called right before `fork`, by the thread that forks. Waits for calls under way, closes every connection,
/// and keeps new calls waiting until [`after_fork_parent`] or [`after_fork_child`].
pub fn before_fork() {
    while GATE.fetch_or(FORKING, Ordering::Acquire) & FORKING != 0 {
        pause();
    }
    while GATE.load(Ordering::Acquire) != FORKING {
        pause();
    }
    // Nobody is inside, and only those inside take this lock: it is free, and stays free while we fork.
    let registered = CLOSE_FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for this in registered.iter().filter_map(Weak::upgrade) {
        this.close_before_fork();
    }
}

/// To be called in the parent right after `fork`, by the thread that forked.
pub fn after_fork_parent() {
    GATE.fetch_and(!FORKING, Ordering::Release);
}

/// To be called in the child right after `fork`. The other threads that stood at the gate do not exist here.
pub fn after_fork_child() {
    GATE.store(0, Ordering::Release);
}

#[expect(clippy::disallowed_methods, reason = "the gate has no queue to wait in: it must survive a fork")]
fn pause() {
    std::thread::sleep(Duration::from_micros(50));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    struct Door(AtomicBool);

    impl CloseBeforeFork for Door {
        fn close_before_fork(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_fork_waits_for_calls_under_way_closes_what_is_open_and_keeps_new_calls_waiting() {
        let door = Arc::new(Door(AtomicBool::new(false)));
        let inside = enter();
        register(&door);
        let done = Arc::new(AtomicBool::new(false));
        let forker = {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                before_fork();
                done.store(true, Ordering::SeqCst);
                let late = std::thread::spawn(|| drop(enter()));
                assert!(!late.is_finished());
                after_fork_parent();
                late.join().unwrap();
            })
        };
        while GATE.load(Ordering::SeqCst) & FORKING == 0 {
            std::thread::yield_now();
        }
        assert!(!done.load(Ordering::SeqCst));
        drop(inside);
        forker.join().unwrap();
        assert!(door.0.load(Ordering::SeqCst));
    }
}
