//! Counting the members of chords, for clients and for workers whose broker is elsewhere.

use std::time::Duration;

use super::RedisStore;
use crate::broker::redis::{Batch, chords};
use crate::error::Result;
use crate::store::{ChordRecord, ChordStore, Chords, Part, Patience, Release};

impl ChordStore for RedisStore {
    fn count(&self, work: &Chords, expires: Option<Duration>) -> Result<Vec<Release>> {
        let (config, now) = (&self.keeper.config, self.clock.wall());
        let mut batch = Batch::new();
        for chord in &work.begun {
            chords::begin(config, chord, expires, now, &mut batch);
        }
        let before = batch.len();
        let counted = chords::by_chord(&work.parts);
        for parts in &counted {
            chords::parts(config, parts, expires, now, None, &mut batch)?;
        }
        if let Some(group_id) = &work.ended {
            chords::end(config, group_id, &Batch::new(), "", now, &mut batch);
        }
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let mut replies = self.keeper.call("count a chord", &batch)?;
        replies.skip(before)?;
        let mut complete = Vec::new();
        for parts in &counted {
            if replies.int()? == 1 {
                complete.extend(chords::complete(parts));
            }
        }
        Ok(complete)
    }

    fn chord(&self, group_id: &str) -> Result<Option<ChordRecord>> {
        let mut batch = Batch::new();
        chords::describe(&self.keeper.config, group_id, &mut batch);
        chords::described(&mut self.keeper.call("read a chord", &batch)?)
    }

    fn parts(&self, group_id: &str) -> Result<Vec<Part>> {
        let config = &self.keeper.config;
        let mut batch = Batch::new();
        chords::list(config, group_id, &mut batch);
        chords::listed(config, group_id, &mut self.keeper.call("read a chord's parts", &batch)?)
    }

    fn grow(&self, group_id: &str, by: u32) -> Result<()> {
        let mut batch = Batch::new();
        chords::grow(&self.keeper.config, group_id, by, &mut batch);
        self.keeper.call("add to a chord", &batch)?.skip(1)
    }

    fn overdue(&self, patience: &Patience) -> Result<Vec<Release>> {
        let mut batch = Batch::new();
        chords::overdue(&self.keeper.config, patience, self.clock.wall(), &mut batch);
        chords::late(&mut self.keeper.call("look for chords", &batch)?)
    }
}
