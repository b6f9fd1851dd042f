//! Fanout queues: what is published on a channel goes to everybody who listens, and is stored nowhere.
//!
//! As with kombu such a message is not redelivered: it is gone with the worker that took it.

use std::sync::Arc;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::config::RedisConfig;
use super::link::Link;
use super::queues::is_fanout;
use super::routes::listening;
use super::waiter::Landing;
use super::wire::Batch;
use crate::broker::Queue;
use crate::error::Result;

/// A task that listens for some queues; it ends when this is dropped.
pub(super) struct Broadcasts(Option<JoinHandle<()>>);

impl Drop for Broadcasts {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Broadcasts {
    /// Listens for those of `queues` that are bound to a fanout exchange; when it returns nothing is missed.
    ///
    /// # Errors
    /// Those of opening a connection.
    pub(super) async fn listen(
        config: &Arc<RedisConfig>,
        queues: &[Queue],
        landed: UnboundedSender<Landing>,
    ) -> Result<Self> {
        let patterns: Vec<(String, Arc<str>)> = queues
            .iter()
            .filter(|queue| is_fanout(queue))
            .map(|queue| (listening(config, queue), queue.name.as_str().into()))
            .collect();
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        let (ear, mut heard) = unbounded_channel();
        let mut link = Link::listen(config, ear).await?;
        let mut words: Vec<&[u8]> = vec![b"PSUBSCRIBE"];
        words.extend(patterns.iter().map(|(pattern, _)| pattern.as_bytes()));
        let mut batch = Batch::new();
        batch.add(&words);
        link.call(&batch).await?;
        let task = tokio::spawn(async move {
            let _link = link;
            while let Some(info) = heard.recv().await {
                if info.kind == PushKind::Disconnection {
                    break;
                }
                if let Some(landing) = landing(info, &patterns)
                    && landed.send(landing).is_err()
                {
                    return;
                }
            }
            drop(landed.send(Landing::Broken));
        });
        Ok(Self(Some(task)))
    }
}

/// What was said on a channel: pattern, channel, envelope.
fn landing(info: PushInfo, patterns: &[(String, Arc<str>)]) -> Option<Landing> {
    if info.kind != PushKind::PMessage {
        return None;
    }
    let mut data = info.data.into_iter();
    let (Some(Value::BulkString(pattern)), Some(_), Some(Value::BulkString(raw))) =
        (data.next(), data.next(), data.next())
    else {
        return None;
    };
    let (_, queue) = patterns.iter().find(|(known, _)| known.as_bytes() == pattern)?;
    Some(Landing::Broadcast(Arc::clone(queue), raw))
}
