//! What falls due: out of the sets beside the lists, into the lists.

use redis::Value;

use super::session::RedisSession;
use super::wire::{self, Batch, string};
use crate::clock::WallTime;
use crate::error::Result;

const PROMOTE: &str = include_str!("scripts/promote.lua");
/// Messages that fall due at once are moved so many at a time.
const PROMOTED: &[u8] = b"100";

impl RedisSession {
    /// Puts messages that are due into their lists.
    pub(super) async fn promote(&mut self) -> Result<()> {
        let now = self.now();
        while self.next_due.is_some_and(|due| due <= now) {
            let keys = &self.config.keys;
            let (due_key, until) = (keys.key("fastq:due"), now.0.to_string());
            let mut batch = Batch::new();
            batch.add(&[
                b"ZRANGEBYSCORE",
                due_key.as_bytes(),
                b"-inf",
                until.as_bytes(),
                b"LIMIT",
                b"0",
                b"16",
            ]);
            let lists: Vec<String> =
                self.call(&batch).await?.array()?.into_iter().map(string).collect::<Result<_>>()?;
            let mut batch = Batch::new();
            let keys = &self.config.keys;
            for list in &lists {
                let (delayed, key) = (keys.delayed(list), keys.key(list));
                let scripted: [&[u8]; 3] = [due_key.as_bytes(), delayed.as_bytes(), key.as_bytes()];
                batch.script(PROMOTE, &scripted, &[until.as_bytes(), PROMOTED, list.as_bytes()]);
            }
            self.ask_for_lengths(&mut batch);
            let mut replies = self.call(&batch).await?;
            replies.skip(lists.len())?;
            self.learn_lengths(&mut replies)?;
        }
        Ok(())
    }
}

/// The moment of the first delayed message, from the head of the set of lists.
pub(super) fn due(value: Value) -> Result<Option<WallTime>> {
    let head = wire::pairs(value)?;
    Ok(head.first().and_then(|(_, score)| score.parse::<f64>().ok()).map(|score| WallTime(score as i64)))
}
