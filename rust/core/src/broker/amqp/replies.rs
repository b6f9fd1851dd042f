//! Results as messages to those who called: to the queue that a task's message names (protocol.md §7.7). Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::publisher::Parcel;
use super::wire::properties;
use crate::error::Result;
use crate::message::Message;
use crate::message::properties::Properties;
use crate::message::task::Headers;
use crate::store::Record;

/// Callers of so many tasks are remembered: of tasks that run, and of those acknowledged before they ran.
const REMEMBERED: usize = 65_536;
const PERSISTENT: u8 = 2;

/// Who waits for which task.
pub(super) struct Replies {
    /// Results outlive the server's restart.
    persist: bool,
    queues: HashMap<String, Arc<str>>,
    /// In the order in which they came.
    order: VecDeque<String>,
}

impl Replies {
    pub(super) fn new(persist: bool) -> Self {
        Self { persist, queues: HashMap::new(), order: VecDeque::new() }
    }

    /// Remembers where the results of a task are wanted.
    pub(super) fn note(&mut self, message: &Message) {
        let queue = Properties::parse(&message.properties).ok().and_then(|properties| properties.reply_to);
        let Some(queue) = queue.filter(|queue| !queue.is_empty()) else { return };
        let Some(id) = Headers::parse(&message.headers).ok().and_then(|headers| headers.id) else { return };
        if self.queues.insert(id.clone().into_owned(), queue.as_ref().into()).is_none() {
            self.order.push_back(id.into_owned());
        }
        while self.order.len() > REMEMBERED {
            let oldest = self.order.pop_front().unwrap_or_default();
            self.queues.remove(&oldest);
        }
    }

    /// A record on its way to whoever waits for it; `None` when nobody said so.
    ///
    /// # Errors
    /// `Encode` when the id of the task is too long for a property.
    pub(super) fn parcel(&self, record: &Record) -> Result<Option<Parcel>> {
        let Some(queue) = self.queues.get(&record.task_id) else { return Ok(None) };
        let is_text = !matches!(
            record.content_type.as_str(),
            "application/x-python-serialize" | "application/x-msgpack"
        );
        let said: Value = json!({
            "content_type": record.content_type,
            "content_encoding": if is_text { "utf-8" } else { "binary" },
            "correlation_id": record.task_id,
            "delivery_mode": if self.persist { PERSISTENT } else { properties::TRANSIENT },
        });
        let mut written = Vec::new();
        properties::write(b"{}", said.to_string().as_bytes(), Some(0), &mut written)?;
        Ok(Some(Parcel {
            exchange: String::new(),
            routing_key: queue.to_string(),
            // A caller that is gone wants nothing.
            mandatory: false,
            properties: written,
            body: Bytes::copy_from_slice(&record.body),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, reply_to: &str) -> Message {
        Message {
            headers: format!(r#"{{"task":"a","id":"{id}"}}"#).into(),
            properties: format!(r#"{{"reply_to":"{reply_to}"}}"#).into(),
            body: Bytes::new(),
        }
    }

    fn record(id: &str) -> Record {
        Record {
            task_id: id.into(),
            state: "SUCCESS".into(),
            content_type: "application/json".into(),
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn a_record_goes_to_the_queue_that_its_task_named() {
        let mut replies = Replies::new(false);
        replies.note(&message("1", "me"));
        replies.note(&message("2", ""));
        let parcel = replies.parcel(&record("1")).unwrap().unwrap();
        assert_eq!((&*parcel.exchange, &*parcel.routing_key, parcel.mandatory), ("", "me", false));
        assert!(replies.parcel(&record("2")).unwrap().is_none());
        assert!(replies.parcel(&record("3")).unwrap().is_none());
    }

    #[test]
    fn no_more_callers_are_remembered_than_there_is_room_for() {
        let mut replies = Replies::new(false);
        for number in 0..=REMEMBERED {
            replies.note(&message(&number.to_string(), "me"));
        }
        assert_eq!((replies.queues.len(), replies.order.len()), (REMEMBERED, REMEMBERED));
        assert!(replies.parcel(&record("0")).unwrap().is_none());
    }
}
