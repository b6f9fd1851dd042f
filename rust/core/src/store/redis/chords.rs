//! Counting the members of chords.

use std::time::Duration;

use super::RedisStore;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{ChordRecord, ChordStore, Chords, Part, Patience, Release};

fn not_here<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "chords are not counted here"))
}

impl ChordStore for RedisStore {
    fn count(&self, _chords: &Chords, _expires: Option<Duration>) -> Result<Vec<Release>> {
        not_here()
    }

    fn chord(&self, _group_id: &str) -> Result<Option<ChordRecord>> {
        not_here()
    }

    fn parts(&self, _group_id: &str) -> Result<Vec<Part>> {
        not_here()
    }

    fn grow(&self, _group_id: &str, _by: u64) -> Result<()> {
        not_here()
    }

    fn overdue(&self, _patience: &Patience) -> Result<Vec<Release>> {
        Ok(Vec::new())
    }
}
