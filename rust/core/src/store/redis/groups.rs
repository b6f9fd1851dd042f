//! Which results a group has, under the key that Celery has for it (protocol.md §7.5).

use std::time::Duration;

use super::RedisStore;
use crate::broker::redis::Batch;
use crate::error::Result;
use crate::store::GroupStore;

impl GroupStore for RedisStore {
    fn save_group(&self, group_id: &str, document: &[u8], expires: Option<Duration>) -> Result<()> {
        let key = self.keeper.config.results.group(group_id);
        let seconds = expires.map(|expires| expires.as_secs().max(1).to_string());
        let mut words: Vec<&[u8]> = vec![b"SET", key.as_bytes(), document];
        if let Some(seconds) = &seconds {
            words.extend([b"EX", seconds.as_bytes()]);
        }
        let mut batch = Batch::new();
        batch.add(&words);
        self.keeper.call("save a group", &batch)?.skip(1)
    }

    fn load_group(&self, group_id: &str) -> Result<Option<Vec<u8>>> {
        let key = self.keeper.config.results.group(group_id);
        let mut batch = Batch::new();
        batch.add(&[b"GET", key.as_bytes()]);
        self.keeper.call("read a group", &batch)?.bytes()
    }

    fn forget_group(&self, group_id: &str) -> Result<()> {
        let key = self.keeper.config.results.group(group_id);
        let mut batch = Batch::new();
        batch.add(&[b"DEL", key.as_bytes()]);
        self.keeper.call("forget a group", &batch)?.skip(1)
    }
}
