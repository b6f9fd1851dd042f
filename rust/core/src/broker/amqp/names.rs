//! The queues this process has heard of: AMQP cannot list what a server has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Names of queues; shared by a broker and its sessions. Held for a moment, never while the server is asked.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<BTreeSet<String>>>);

impl Names {
    /// Remembers some names.
    pub(super) fn note<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names.filter(|name| !name.is_empty()) {
            if !known.contains(name) {
                known.insert(name.to_owned());
            }
        }
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
