//! Messages of a client whose connection ended, or was refused, before the server had confirmed them: they are sent
//! again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::broker::Publication;
use crate::fork;

/// What is adrift in this process.
#[derive(Default)]
pub(super) struct Adrift {
    /// Taken inside the gate, or by the last owner of a connection; held for a moment.
    messages: Mutex<Messages>,
}

#[derive(Default)]
struct Messages {
    /// Whose they are: a forked process leaves them to its parent.
    process: u32,
    list: Vec<Publication>,
}

impl Adrift {
    /// Adds what a connection could not bring to an end. Inside the gate, where connections are used.
    pub(super) fn add(&self, messages: impl IntoIterator<Item = Publication>) {
        self.ours().list.extend(messages);
    }

    /// Takes all of them, to be sent.
    pub(super) fn take(&self) -> Vec<Publication> {
        let _inside = fork::enter();
        std::mem::take(&mut self.ours().list)
    }

    /// Adds what was taken and could not be sent.
    pub(super) fn give_back(&self, messages: impl IntoIterator<Item = Publication>) {
        let _inside = fork::enter();
        self.add(messages);
    }

    /// Tells how many there are.
    pub(super) fn count(&self) -> usize {
        let _inside = fork::enter();
        self.ours().list.len()
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
