//! The record of tasks that are called off: a sorted set of demands, by the moment at which each is forgotten.
//!
//! Nobody asks it for a task. A worker reads it when a session begins, and hears of what is added on a channel
//! ([`super::ear`]).

use std::sync::Arc;

use redis::Value;

use super::config::RedisConfig;
use super::ear::RedisEar;
use super::heard::Heard;
use super::keeper::Keeper;
use super::open;
use super::routes;
use super::session::RedisSession;
use super::wire::{Batch, Replies, string};
use crate::buffer::revoked::MOST;
use crate::clock::{Clock, WallTime};
use crate::error::Result;
use crate::job::revocation::Revocation;

const REVOKE: &str = include_str!("scripts/revoke.lua");
/// A server does nothing else while it carries out a script.
const AT_ONCE: usize = 500;

/// The channel on which is told what is called off.
pub(super) fn channel(config: &RedisConfig) -> String {
    routes::channel(config, "fastq:revoked", "")
}

fn record(config: &RedisConfig) -> String {
    config.keys.key("fastq:revoked")
}

fn number(config: &RedisConfig) -> String {
    config.keys.key("fastq:notices")
}

/// Adds the question for the number of the last notice ([`super::heard`]).
pub(super) fn ask_number(config: &RedisConfig, batch: &mut Batch) {
    batch.add(&[b"GET", number(config).as_bytes()]);
}

/// Reads the answer to it.
pub(super) fn number_of(value: Value) -> Result<u64> {
    Ok(match value {
        Value::Nil => 0,
        value => string(value)?.parse().unwrap_or(0),
    })
}

/// Adds the commands that write into the record. The times count from now on the server's clock, too. `all`: also what is
/// known already is told.
pub(super) fn revoke(
    config: &RedisConfig,
    revocations: &[Revocation],
    now: WallTime,
    all: bool,
    batch: &mut Batch,
) {
    let (record, number) = (record(config), number(config));
    let (channel, most) = (channel(config), MOST.to_string());
    for some in revocations.chunks(AT_ONCE) {
        let entries: Vec<[String; 2]> = some
            .iter()
            .map(|revocation| {
                let left = revocation.until.from_now(now).as_millis().to_string();
                [left, revocation.to_json().to_string()]
            })
            .collect();
        let mut arguments: Vec<&[u8]> =
            vec![channel.as_bytes(), most.as_bytes(), if all { b"1" } else { b"0" }];
        arguments.extend(entries.iter().flatten().map(String::as_bytes));
        batch.script(REVOKE, &[record.as_bytes(), number.as_bytes()], &arguments);
    }
}

/// Adds the question for all that holds now, and before it that for the number up to which this is all.
pub(super) fn question(config: &RedisConfig, now: WallTime, batch: &mut Batch) {
    ask_number(config, batch);
    let since = format!("({}", now.0);
    let record = record(config);
    batch.add(&[b"ZRANGEBYSCORE", record.as_bytes(), since.as_bytes(), b"+inf", b"WITHSCORES"]);
}

/// Reads the answer to the [`question`]: in the second version of the protocol members and scores in turn, in the third
/// a list of pairs.
pub(super) fn answer(replies: &mut Replies) -> Result<(u64, Vec<Revocation>)> {
    let number = number_of(replies.next()?)?;
    let answered = replies.array()?.into_iter().flat_map(|value| match value {
        Value::Array(pair) => pair,
        value => vec![value],
    });
    let texts: Vec<String> = answered
        .map(|value| match value {
            Value::Double(score) => Ok(score.to_string()),
            value => string(value),
        })
        .collect::<Result<_>>()?;
    Ok((number, texts.chunks_exact(2).filter_map(|pair| read(&pair[1], &pair[0])).collect()))
}

/// Reads what was said on the [`channel`]: the number of the notice, and what is called off.
pub(super) fn told(payload: &[u8]) -> (u64, Vec<Revocation>) {
    let text = String::from_utf8_lossy(payload);
    let lines = || text.lines().filter_map(|line| line.split_once(' '));
    let number = lines().find(|(mark, _)| *mark == "#").and_then(|(_, number)| number.parse().ok());
    let demands = lines().filter_map(|(until, demand)| read(until, demand)).collect();
    (number.unwrap_or(0), demands)
}

/// What another version has written and this one does not know is none of its business.
fn read(until: &str, demand: &str) -> Option<Revocation> {
    let until = WallTime(until.parse::<f64>().ok()? as i64);
    Revocation::of_json(&serde_json::from_str(demand).ok()?, until).ok()
}

/// All that is called off now, for a client.
pub(super) fn all(keeper: &Arc<Keeper>) -> Result<Vec<Revocation>> {
    let mut batch = Batch::new();
    batch.add(&[b"TIME"]);
    let now = open::time(keeper.call("list revoked tasks", &batch)?.array()?);
    let mut batch = Batch::new();
    question(&keeper.config, WallTime(now), &mut batch);
    Ok(answer(&mut keeper.call("list revoked tasks", &batch)?)?.1)
}

/// What a session knows of what is called off.
pub(super) struct Overheard {
    /// The record as it was when the session began; told with the first exchange.
    pub(super) record: Vec<Revocation>,
    /// What hears of the rest, until somebody asks for it.
    pub(super) ear: Option<RedisEar>,
    /// How far it was heard.
    pub(super) heard: Arc<Heard>,
    /// The number of the last notice before something was taken last.
    pub(super) number: u64,
}

impl Overheard {
    pub(super) fn new(config: &Arc<RedisConfig>, clock: &Clock, mailbox: Option<&str>) -> Self {
        let heard = Arc::<Heard>::default();
        let ear = RedisEar::new(Arc::clone(config), clock.clone(), mailbox, Arc::clone(&heard));
        Self { record: Vec::new(), ear: Some(ear), heard, number: 0 }
    }
}

impl RedisSession {
    /// Reads the record when the session begins: what was called off before does not run here.
    pub(super) async fn learn_revoked(&mut self) -> Result<()> {
        let mut batch = Batch::new();
        let now = WallTime(self.link.as_ref().map_or(0, |link| link.welcome.time));
        question(&self.config, now, &mut batch);
        let (number, record) = answer(&mut self.call(&batch).await?)?;
        self.overheard.record = record;
        self.overheard.heard.note(number); // it is told before what is taken next
        Ok(())
    }

    /// What was taken may have been called off before it was sent: sees to it that this has been told, or is with it.
    pub(super) async fn hear_first(&mut self) -> Result<()> {
        if self.overheard.heard.wait_for(self.overheard.number).await {
            return Ok(());
        }
        self.learn_revoked().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_line_by_line_and_nonsense_passed_over() {
        let payload =
            b"1800000000000 {\"id\":\"1\"}\nnonsense\n5 {}\n7 {\"id\":\"2\",\"signal\":\"SIGKILL\"}\n\xff 3";
        let (number, read) = told(payload);
        assert_eq!(number, 0);
        assert_eq!(read.iter().map(|one| one.until.0).collect::<Vec<_>>(), [1_800_000_000_000, 7]);
        let (number, read) = told(b"# 12\n5 {\"id\":\"1\"}");
        assert_eq!((number, read.len()), (12, 1));
    }
}
