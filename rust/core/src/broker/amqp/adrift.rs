//! Messages of a client whose connection ended, or was refused, before the server had confirmed them: they are sent
//! again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::broker::Publication;

/// What is adrift in this process.
#[derive(Default)]
pub(super) struct Adrift {
    /// Taken inside the gate, or by the last owner of a connection; held for a moment.
    messages: Mutex<Messages>,
    /// How many there are, for those who look often.
    count: AtomicUsize,
}

#[derive(Default)]
struct Messages {
    /// Whose they are: a forked process leaves them to its parent.
    process: u32,
    list: Vec<Publication>,
}

impl Adrift {
    pub(super) fn add(&self, messages: impl IntoIterator<Item = Publication>) {
        let mut ours = self.ours();
        ours.list.extend(messages);
        self.count.store(ours.list.len(), Ordering::Release);
    }

    /// Takes all of them, to be sent.
    pub(super) fn take(&self) -> Vec<Publication> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut ours = self.ours();
        self.count.store(0, Ordering::Release);
        std::mem::take(&mut ours.list)
    }

    /// Tells how many there are.
    pub(super) fn count(&self) -> usize {
        if self.count.load(Ordering::Acquire) == 0 { 0 } else { self.ours().list.len() }
    }

    fn ours(&self) -> MutexGuard<'_, Messages> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if messages.process != process {
            *messages = Messages { process, list: Vec::new() };
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    #[test]
    fn what_is_adrift_is_taken_once_and_not_by_another_process() {
        let adrift = Adrift::default();
        let message = Publication {
            exchange: String::new(),
            routing_key: "q".into(),
            priority: None,
            due: None,
            message: Message::default(),
        };
        adrift.add([message.clone(), message.clone()]);
        assert_eq!((adrift.count(), adrift.take().len(), adrift.count()), (2, 2, 0));
        adrift.add([message]);
        adrift.messages.lock().unwrap().process += 1;
        assert_eq!((adrift.count(), adrift.take().len()), (0, 0));
    }
}
