//! Turns and tokens: what a session asks the server for, holds, and gives back.
//!
//! Key | Type | Content
//! --- | --- | ---
//! `fastq:r:KEY` | string | lasts until the next turn of a rate limit is free
//! `fastq:c:KEY` | hash | session → how many tokens of the key it holds
//! `fastq:l:KEY` | list | sessions in line for tokens of the key, the first of them first
//! `fastq:k:SESSION` | set | the keys of which a session holds tokens, or in whose lines it is
//! `fastq:freed:SESSION` | channel | calls to a session in line
//!
//! Tokens are the session's as its messages are: whoever takes it for dead takes them back. They are given back in the
//! Commit that ends the run, so a run whose Commit was refused gives back nothing twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::config::RedisConfig;
use super::keys::Keys;
use super::lease::lost;
use super::link::Link;
use super::session::RedisSession;
use super::waiter::Landing;
use super::wire::{Batch, Replies, int};
use crate::error::Result;
use crate::job::limits::{Ask, Asked, Granted};

/// How long after its connection broke an ear calls.
const PAUSE: Duration = Duration::from_secs(1);

const TURNS: &str = include_str!("scripts/turns.lua");
const TOKENS: &str = include_str!("scripts/tokens.lua");
const GIVE_TOKENS: &str = include_str!("scripts/give_tokens.lua");
const END_TOKENS: &str = include_str!("scripts/end_tokens.lua");
const SYNC_TOKENS: &str = include_str!("scripts/sync_tokens.lua");

/// What a session has of tokens.
#[derive(Default)]
pub(super) struct Tokens {
    /// How many of each key.
    held: BTreeMap<Arc<str>, u32>,
    /// The server called.
    pub(super) is_called: bool,
    /// It ever asked for any: only then there is something to give back in the end.
    has_asked: bool,
    ear: Option<Ear>,
}

/// Tokens that a Commit gives back: keys, and how many.
pub(super) type Returned = Vec<(Arc<str>, u32)>;

impl Tokens {
    /// Those that were given back.
    pub(super) fn returned(&mut self, returned: &[(Arc<str>, u32)]) {
        for (key, count) in returned {
            if let Some(held) = self.held.get_mut(key) {
                *held = held.saturating_sub(*count);
            }
        }
        self.held.retain(|_, held| *held > 0);
    }

    /// Adds the command that makes the server's account of a session's tokens ours, after it was in doubt.
    pub(super) fn sync(&self, keys: &Keys, session: &str, batch: &mut Batch) {
        if !self.has_asked {
            return;
        }
        let counts: Vec<String> = self.held.values().map(u32::to_string).collect();
        let prefix = keys.holders("");
        let mut words: Vec<&[u8]> = vec![session.as_bytes(), prefix.as_bytes()];
        for (key, count) in self.held.keys().zip(&counts) {
            words.extend([key.as_bytes(), count.as_bytes()]);
        }
        batch.script(SYNC_TOKENS, &[keys.tokens_of(session).as_bytes()], &words);
    }

    /// Adds the command that gives everything back when a session ends by itself.
    pub(super) fn end(&self, keys: &Keys, session: &str, batch: &mut Batch) {
        if self.has_asked {
            end(keys, session, batch);
        }
    }
}

/// Adds the command that takes back what a session holds.
pub(super) fn end(keys: &Keys, session: &str, batch: &mut Batch) {
    let (holders, line, channel) = (keys.holders(""), keys.line(""), keys.call(""));
    let words: [&[u8]; 4] = [session.as_bytes(), holders.as_bytes(), line.as_bytes(), channel.as_bytes()];
    batch.script(END_TOKENS, &[keys.tokens_of(session).as_bytes()], &words);
}

/// Adds the commands that give tokens back.
pub(super) fn give_back(keys: &Keys, session: &str, returned: &Returned, batch: &mut Batch) {
    for (key, count) in returned {
        let (holders, line, own) = (keys.holders(key), keys.line(key), keys.tokens_of(session));
        let (count, channel) = (count.to_string(), keys.call(""));
        batch.script(
            GIVE_TOKENS,
            &[holders.as_bytes(), line.as_bytes(), own.as_bytes()],
            &[session.as_bytes(), key.as_bytes(), count.as_bytes(), channel.as_bytes()],
        );
    }
}

impl RedisSession {
    /// Asks for turns and tokens in one round trip.
    pub(super) async fn ask(&mut self, asks: &[Ask]) -> Result<Vec<Granted>> {
        if self.link.is_none() {
            self.reconnect().await?;
        }
        let mut batch = Batch::new();
        for ask in asks {
            match ask.what {
                Asked::Turns { every, within } => {
                    let key = self.config.keys.turns(&ask.key);
                    let wanted = ask.wanted.to_string();
                    let (every, within) =
                        (microseconds(every).max(1).to_string(), microseconds(within).to_string());
                    let words: [&[u8]; 3] = [every.as_bytes(), within.as_bytes(), wanted.as_bytes()];
                    batch.script(TURNS, &[key.as_bytes()], &words);
                }
                Asked::Tokens { most } => self.ask_for_tokens(ask, most, &mut batch),
            }
        }
        self.tokens.has_asked |= asks.iter().any(|ask| matches!(ask.what, Asked::Tokens { .. }));
        let mut replies = self.call(&batch).await?;
        let granted: Vec<Granted> =
            asks.iter().map(|ask| self.answer(ask, &mut replies)).collect::<Result<_>>()?;
        let is_in_line = |(ask, granted): (&Ask, &Granted)| !granted.turns && granted.count < ask.wanted;
        if asks.iter().zip(&granted).any(is_in_line) {
            self.listen_for_calls();
        }
        Ok(granted)
    }

    fn ask_for_tokens(&self, ask: &Ask, most: u32, batch: &mut Batch) {
        let (keys, session) = (&self.config.keys, &self.lease.session);
        let (holders, line, own) = (keys.holders(&ask.key), keys.line(&ask.key), keys.tokens_of(session));
        let (most, wanted) = (most.to_string(), ask.wanted.to_string());
        let (prefix, channel) = (keys.worker(""), keys.call(""));
        batch.script(
            TOKENS,
            &[holders.as_bytes(), line.as_bytes(), own.as_bytes(), self.lease.hash.as_bytes()],
            &[
                session.as_bytes(),
                ask.key.as_bytes(),
                most.as_bytes(),
                wanted.as_bytes(),
                prefix.as_bytes(),
                channel.as_bytes(),
            ],
        );
    }

    fn answer(&mut self, ask: &Ask, replies: &mut Replies) -> Result<Granted> {
        if let Asked::Turns { .. } = ask.what {
            let mut values = replies.array()?.into_iter();
            let mut number = || values.next().map_or(Ok(0), int);
            let (count, after) = (number()?, number()?);
            let after = Duration::from_micros(u64::try_from(after).unwrap_or(0));
            return Ok(Granted::of(ask, u32::try_from(count).unwrap_or(0), after));
        }
        let Ok(count) = u32::try_from(replies.int()?) else {
            self.take_for_dead();
            return Err(lost());
        };
        if count > 0 {
            *self.tokens.held.entry(Arc::clone(&ask.key)).or_default() += count;
        }
        Ok(Granted::of(ask, count, Duration::ZERO))
    }

    /// Listens for calls, if nobody does.
    fn listen_for_calls(&mut self) {
        if self.tokens.ear.as_ref().is_some_and(Ear::listens) {
            return;
        }
        let channel = self.config.keys.call(&self.lease.session);
        self.tokens.ear = Some(Ear::listen(Arc::clone(&self.config), channel, self.waiters.landed()));
    }
}

/// A task that listens for calls; it ends when this is dropped, or its connection breaks. Then it calls itself a while
/// later, for calls that were missed: whoever asks listens anew.
struct Ear(JoinHandle<()>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ear {
    fn listen(config: Arc<RedisConfig>, channel: String, landed: UnboundedSender<Landing>) -> Self {
        Self(tokio::spawn(async move {
            let _ = attend(&config, &channel, &landed).await; // that it broke is all that matters
            sleep(PAUSE).await;
            let _ = landed.send(Landing::Call); // nobody listens only when the session is over
        }))
    }

    fn listens(&self) -> bool {
        !self.0.is_finished()
    }
}

/// Listens until the connection breaks.
async fn attend(config: &RedisConfig, channel: &str, landed: &UnboundedSender<Landing>) -> Result<()> {
    let (ear, mut heard) = unbounded_channel();
    let mut link = Link::listen(config, ear).await?;
    let mut batch = Batch::new();
    batch.add(&[b"SUBSCRIBE", channel.as_bytes()]);
    link.call(&batch).await?;
    // What was given back before anybody listened.
    drop(landed.send(Landing::Call));
    while let Some(info) = heard.recv().await {
        if info.kind == PushKind::Disconnection || (is_call(&info) && landed.send(Landing::Call).is_err()) {
            break;
        }
    }
    Ok(())
}

fn is_call(info: &PushInfo) -> bool {
    info.kind == PushKind::Message && matches!(info.data.last(), Some(Value::BulkString(_)))
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(1 << 52)
}
