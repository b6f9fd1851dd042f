//! The prefetch buffer: jobs taken from the broker that no slot has yet. One facade over its shelves.

pub mod gates;
pub mod limited;
pub mod ready;
pub mod revoked;
pub mod waiting;

use std::collections::HashSet;

use crate::clock::WallTime;
use crate::ident::Tag;
use gates::Gates;
use limited::Limited;
use ready::Ready;
use waiting::Waiting;

/// Which jobs may run now, and which later. Holds tags; the jobs are the machine's.
#[derive(Debug, Default)]
pub struct Buffer {
    ready: Ready,
    waiting: Waiting,
    /// Those that wait for their turn.
    pub limited: Limited,
    /// Those that wait for something of the server.
    pub gates: Gates,
}

impl Buffer {
    /// Adds a job that may run now, behind those of its rank.
    pub fn put(&mut self, tag: Tag, rank: u8) {
        self.ready.push_back(tag, rank);
    }

    /// Adds a job that was taken out and has not run, before those of its rank.
    pub fn put_back(&mut self, tag: Tag, rank: u8) {
        self.ready.push_front(tag, rank);
    }

    /// Adds a job that may run from `due` on.
    pub fn wait(&mut self, tag: Tag, due: WallTime) {
        self.waiting.push(tag, due);
    }

    /// The job to run next.
    pub fn peek(&self) -> Option<Tag> {
        self.ready.peek()
    }

    /// Takes the job to run next.
    pub fn take(&mut self) -> Option<Tag> {
        self.ready.pop()
    }

    /// Takes the next job whose time has come off the waiting shelf.
    pub fn take_due(&mut self, now: WallTime) -> Option<Tag> {
        self.waiting.pop_due(now)
    }

    /// When the next waiting job falls due.
    pub fn next_due(&self) -> Option<WallTime> {
        self.waiting.next_due()
    }

    /// Jobs that may run now.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Jobs that wait for their time.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the job that would run last.
    pub fn take_last(&mut self) -> Option<Tag> {
        self.ready.pop_last()
    }

    /// Takes some jobs off whatever shelf they are on.
    pub fn remove(&mut self, tags: &HashSet<Tag>) {
        self.ready.retain(|tag| !tags.contains(tag));
        self.waiting.retain(|tag| !tags.contains(tag));
        self.limited.retain(|tag| !tags.contains(tag));
        if self.gates.count() > 0 {
            self.gates.retain(|tag| !tags.contains(&tag));
        }
    }

    /// Empties all shelves.
    pub fn drain(&mut self) -> Vec<Tag> {
        let mut all: Vec<Tag> = std::iter::from_fn(|| self.ready.pop()).collect();
        all.extend(self.limited.drain());
        all.extend(self.gates.drain());
        all.extend(self.waiting.drain());
        all
    }
}
