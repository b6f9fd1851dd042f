//! The record of tasks that are called off, and who hears of it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Shared;
use crate::broker::{BoxFuture, Ear, Said, Word};
use crate::buffer::revoked::MOST;
use crate::clock::WallTime;
use crate::error::Result;
use crate::fork;
use crate::job::revocation::Revocation;

/// The record of one hub, in the order in which it was written.
#[derive(Default)]
pub(super) struct Recorded {
    entries: VecDeque<(u64, Revocation)>,
    last: u64,
}

impl Recorded {
    /// Writes some into the record, in place of the same ones; forgets what is over.
    fn add(&mut self, revocations: &[Revocation], now: WallTime) {
        self.entries
            .retain(|(_, known)| known.until > now && !revocations.iter().any(|new| new.is_like(known)));
        for revocation in revocations {
            self.last += 1;
            self.entries.push_back((self.last, revocation.clone()));
        }
        while self.entries.len() > MOST {
            let first = self.entries.iter().enumerate().min_by_key(|(_, (_, known))| known.until);
            if let Some(place) = first.map(|(place, _)| place) {
                self.entries.remove(place);
            }
        }
    }

    /// What was written after a number; that moves on.
    pub(super) fn after(&self, seen: &mut u64) -> Vec<Revocation> {
        let since = std::mem::replace(seen, self.last);
        if since == self.last {
            return Vec::new();
        }
        self.entries.iter().filter(|(number, _)| *number > since).map(|(_, entry)| entry.clone()).collect()
    }
}

impl Shared {
    pub(super) fn revoke(&self, revocations: &[Revocation]) {
        let _inside = fork::enter();
        let now = self.now();
        self.lock().recorded.add(revocations, now);
        self.revoked.notify_waiters();
    }

    pub(super) fn recorded(&self) -> Vec<Revocation> {
        let _inside = fork::enter();
        let now = self.now();
        self.lock().recorded.after(&mut 0).into_iter().filter(|entry| entry.until > now).collect()
    }
}

/// Hears what is written into the record of a hub.
pub(super) struct MemoryEar {
    shared: Arc<Shared>,
    seen: u64,
}

impl MemoryEar {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, seen: 0 }
    }
}

impl Ear for MemoryEar {
    fn next<'a>(&'a mut self) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            loop {
                // Listen before looking: what is written between the two is heard.
                let mut revoked = std::pin::pin!(self.shared.revoked.notified());
                revoked.as_mut().enable();
                let new = {
                    let _inside = fork::enter();
                    self.shared.lock().recorded.after(&mut self.seen)
                };
                if !new.is_empty() {
                    return Said::Revoked(new);
                }
                revoked.await;
            }
        })
    }

    fn say<'a>(&'a mut self, word: Word) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if let Word::Keep(revocations) = word {
                self.shared.revoke(&revocations);
            }
            Ok(()) // nobody sends remote commands here
        })
    }
}
