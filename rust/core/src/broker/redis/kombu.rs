//! Putting back what dead Celery workers held: kombu's own sweep, under kombu's own mutex (kombu-layouts.md §2.5).

use redis::Value;
use serde_json::value::RawValue;

use super::routes::{Routes, Target};
use super::session::RedisSession;
use super::wire::{Batch, string};
use crate::broker::Publication;
use crate::error::Result;
use crate::ident;
use crate::message::Message;
use crate::message::envelope::{open, readdress};

const RESTORE: &str = include_str!("scripts/restore.lua");
const RELEASE: &str = include_str!("scripts/release.lua");

/// A message as kombu keeps it: envelope, exchange, routing key.
type Unacked<'a> = (&'a RawValue, Option<String>, Option<String>);

impl RedisSession {
    /// Puts back what consumers of kombu's have held for longer than the visibility timeout, when it is time to look;
    /// how many that were.
    pub(super) async fn restore(&mut self) -> Result<u64> {
        let now = self.clock.now();
        if self
            .neighbours
            .restored
            .is_some_and(|restored| now.since(restored) < self.config.unacked.restore_every)
        {
            return Ok(0);
        }
        self.neighbours.restored = Some(now);
        let look = self.overdue();
        if self.call(&look).await?.array()?.is_empty() {
            return Ok(0);
        }
        let unacked = &self.config.unacked;
        let (mutex, token) = (self.config.keys.key(&unacked.mutex), ident::session_id());
        let expires = unacked.mutex_expires.as_secs().max(1).to_string();
        let mut batch = Batch::new();
        batch.add(&[b"SET", mutex.as_bytes(), token.as_bytes(), b"NX", b"EX", expires.as_bytes()]);
        if self.call(&batch).await?.next()? == Value::Nil {
            return Ok(0);
        }
        // Another one may have swept between the first look and the mutex.
        let tags = self.call(&look).await?.array()?;
        let mut restored = 0;
        for tag in tags {
            restored += u64::from(self.restore_one(&string(tag)?).await?);
        }
        let mut batch = Batch::new();
        batch.script(RELEASE, &[mutex.as_bytes()], &[token.as_bytes()]);
        self.call(&batch).await?;
        Ok(restored)
    }

    /// Asks for the tags that were held for longer than the visibility timeout.
    fn overdue(&self) -> Batch {
        let unacked = &self.config.unacked;
        let index = self.config.keys.key(&unacked.index);
        let latest = self.now().seconds() - unacked.visibility_timeout.as_secs_f64();
        let (latest, limit) = (format!("{latest:.3}"), unacked.restore_limit.to_string());
        let mut batch = Batch::new();
        let words = [&b"ZRANGEBYSCORE"[..], index.as_bytes(), b"-inf", latest.as_bytes(), b"LIMIT", b"0"];
        batch.add(&[&words[..], &[limit.as_bytes()]].concat());
        batch
    }

    async fn restore_one(&mut self, tag: &str) -> Result<bool> {
        let keys = &self.config.keys;
        let (hash, index) = (keys.key(&self.config.unacked.hash), keys.key(&self.config.unacked.index));
        let mut batch = Batch::new();
        batch.add(&[b"HGET", hash.as_bytes(), tag.as_bytes()]);
        let entry = self.call(&batch).await?.bytes()?;
        let mut batch = Batch::new();
        let Some((envelope, exchange, routing_key)) =
            entry.as_deref().and_then(|entry| serde_json::from_slice::<Unacked<'_>>(entry).ok())
        else {
            // An index entry without a message, or a message of nobody's: kombu leaves it alone, too.
            return Ok(false);
        };
        let envelope = bytes::Bytes::copy_from_slice(envelope.get().as_bytes());
        let opened = open(&envelope).ok();
        let raw = readdress(&envelope, true, opened.as_ref().map_or(0, |opened| opened.deaths));
        let publication = Publication {
            exchange: exchange.unwrap_or_default(),
            routing_key: routing_key.unwrap_or_default(),
            priority: opened.and_then(|opened| opened.priority),
            due: None,
            message: Message::default(),
        };
        let lists = self.lists_of(&publication).await?;
        let mut scripted: Vec<&[u8]> = vec![hash.as_bytes(), index.as_bytes()];
        scripted.extend(lists.iter().map(String::as_bytes));
        batch.script(RESTORE, &scripted, &[tag.as_bytes(), &raw]);
        Ok(!lists.is_empty() && self.call(&batch).await?.int()? == 1)
    }

    async fn lists_of(&mut self, publication: &Publication) -> Result<Vec<String>> {
        let unknown = self.routes.unknown(std::iter::once(publication));
        if !unknown.is_empty() {
            let question = Routes::question(&self.config, &unknown);
            let mut answer = self.call(&question).await?;
            self.routes.learn(&self.config, &unknown, &mut answer)?;
        }
        let step = self.config.steps.of(publication.priority);
        let keys = &self.config.keys;
        Ok(match self.routes.target(&self.config, publication) {
            Ok(Target::Queues(queues)) => {
                queues.iter().map(|queue| keys.key(&keys.list_name(queue, step))).collect()
            }
            // kombu restores to nobody what nobody is bound for; here it stays where it is.
            _ => Vec::new(),
        })
    }
}
