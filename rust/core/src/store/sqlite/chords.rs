//! Counting the members of chords, for clients and for workers whose broker is elsewhere.

use std::time::Duration;

use super::SqliteStore;
use crate::broker::sqlite::chords;
use crate::error::Result;
use crate::store::{ChordRecord, ChordStore, Chords, GroupStore, Part, Patience, Release};

impl GroupStore for SqliteStore {}

impl ChordStore for SqliteStore {
    fn count(&self, work: &Chords, expires: Option<Duration>) -> Result<Vec<Release>> {
        let now = self.clock.wall();
        let expires = expires.map(|after| now.after(after));
        self.with("count a chord", |handle| {
            handle.transaction(|handle| chords::count(handle, work, expires, now, false))
        })
    }

    fn chord(&self, group_id: &str) -> Result<Option<ChordRecord>> {
        let now = self.clock.wall();
        self.with("read a chord", |handle| chords::describe(handle, group_id, now))
    }

    fn parts(&self, group_id: &str) -> Result<Vec<Part>> {
        self.with("read a chord's parts", |handle| chords::parts(handle, group_id))
    }

    fn grow(&self, group_id: &str, by: u32) -> Result<()> {
        let now = self.clock.wall();
        self.with("add to a chord", |handle| {
            handle.transaction(|handle| chords::grow(handle, group_id, by, now))
        })
    }

    fn overdue(&self, patience: &Patience) -> Result<Vec<Release>> {
        let now = self.clock.wall();
        self.with("look for chords", |handle| {
            handle.transaction(|handle| chords::overdue(handle, patience, now))
        })
    }
}
