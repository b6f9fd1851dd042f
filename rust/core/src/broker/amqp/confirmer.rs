//! The thread of a client's process that hears confirmations while nobody calls, and sends again what broke.
//!
//! It is made with the first message that nobody waits for, sleeps while everything is confirmed, and ends with the
//! broker's last owner, after its last message. It never touches Python.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use super::publish::Sender;
use crate::fork;

/// How often it looks while something is unconfirmed. Whoever calls meanwhile looks, too.
const PULSE: Duration = Duration::from_millis(20);
/// How often it tries to send what is adrift.
const RETRY: Duration = Duration::from_millis(500);
/// It is asleep.
const NOBODY: u32 = 0;

/// The thread's name and state, as those who call see it.
#[derive(Default)]
pub(super) struct Confirmer {
    /// The process in which it is awake: in a forked one there is no thread.
    awake_in: AtomicU32,
    /// Taken inside the gate only.
    thread: Mutex<Option<(u32, Thread)>>,
}

impl Confirmer {
    /// Sees to it that somebody looks: called whenever a message was left unconfirmed.
    pub(super) fn wake(&self, sender: &Arc<Sender>) {
        let process = std::process::id();
        if self.awake_in.swap(process, Ordering::AcqRel) == process {
            return;
        }
        let _inside = fork::enter();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*thread {
            Some((of, thread)) if *of == process => thread.unpark(),
            _ => {
                let weak = Arc::downgrade(sender);
                let made = thread::Builder::new().name("fastq-confirms".into()).spawn(move || work(&weak));
                // Without a thread the next call looks, and the end of the process.
                *thread = made.ok().map(|made| (process, made.thread().clone()));
            }
        }
    }

    /// The broker is nobody's any more: the thread may end.
    pub(super) fn leave(&self) {
        let _inside = fork::enter();
        if let Some((_, thread)) = &*self.thread.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }
}

fn work(sender: &Weak<Sender>) {
    while let Some(sender) = sender.upgrade() {
        // What is unconfirmed keeps the sender alive.
        while is_left(&sender) {}
        sender.confirmer.awake_in.store(NOBODY, Ordering::Release);
        // A message that was sent between the two has woken nobody.
        if is_left(&sender) {
            sender.confirmer.awake_in.store(std::process::id(), Ordering::Release);
            continue;
        }
        drop(sender);
        thread::park();
    }
}

/// Whether something is left to do, after a look and a pause.
fn is_left(sender: &Arc<Sender>) -> bool {
    let left = sender.attend();
    if left > 0 {
        thread::park_timeout(if sender.keeper.config.adrift.count() > 0 { RETRY } else { PULSE });
    }
    left > 0
}
