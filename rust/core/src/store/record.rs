//! The stored form of a result (protocol.md §7.1).
//!
//! Children encode the records of the runs they finish. This file writes those of endings that no child lives to
//! tell: lost, out of time, expired, unknown.

#[cfg(feature = "redis")]
use std::borrow::Cow;

use serde_json::{Value, json};

use crate::clock::WallTime;
use crate::message::time;

/// The content type of what the core writes.
#[cfg(feature = "redis")]
pub(super) const JSON: &str = "application/json";

/// One stored state of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The task it belongs to.
    pub task_id: String,
    /// `SUCCESS`, `FAILURE`, `STARTED`, or whatever the task calls it.
    pub state: String,
    /// Such as `application/json`.
    pub content_type: String,
    /// The encoded document.
    pub body: Vec<u8>,
}

impl Record {
    /// Whether a task in `state` has ended and will not change any more.
    pub fn is_final(state: &str) -> bool {
        matches!(state, "SUCCESS" | "FAILURE" | "REVOKED")
    }

    /// The document in the format of `content_type`, for stores whose documents do not say what they are in. What the
    /// core writes is JSON, and YAML reads that, too; a format that is not known here leaves it as it is.
    #[cfg(feature = "redis")]
    pub(crate) fn body_as(&self, content_type: &str) -> Cow<'_, [u8]> {
        if self.content_type == JSON {
            rewritten(&self.body, content_type)
        } else {
            Cow::Borrowed(&self.body)
        }
    }

    /// The record of a run that ended with an exception nobody was left to store.
    pub fn of_exception(task_id: &str, state: &str, exception: &Exception, now: WallTime) -> Self {
        let document = json!({
            "status": state,
            "result": exception.stored(),
            "traceback": Value::Null,
            "children": [],
            "date_done": time::format(now),
            "task_id": task_id,
        });
        Self {
            task_id: task_id.to_owned(),
            state: state.to_owned(),
            content_type: "application/json".to_owned(),
            body: document.to_string().into_bytes(),
        }
    }
}

/// A JSON document in another format; one that is not known here, or that cannot be written in it, leaves it as it is.
#[cfg(feature = "redis")]
pub(super) fn rewritten<'a>(body: &'a [u8], content_type: &str) -> Cow<'a, [u8]> {
    let document = || serde_json::from_slice::<Value>(body).ok();
    let found = match content_type {
        "application/x-msgpack" => document().and_then(|document| rmp_serde::to_vec(&document).ok()),
        "application/x-python-serialize" => document().and_then(|document| {
            serde_pickle::to_vec(&document, serde_pickle::SerOptions::new().proto_v2()).ok()
        }),
        _ => None,
    };
    found.map_or(Cow::Borrowed(body), Cow::Owned)
}

/// An exception as it is stored (protocol.md §7.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Exception {
    /// Class name.
    pub class: &'static str,
    /// Module of the class, as a Celery client would import it.
    pub module: &'static str,
    /// Its arguments.
    pub arguments: Vec<Value>,
}

impl Exception {
    /// As it is stored.
    pub(super) fn stored(&self) -> Value {
        json!({ "exc_type": self.class, "exc_message": self.arguments, "exc_module": self.module })
    }

    /// The child that ran the task died.
    pub fn worker_lost(reason: &str) -> Self {
        Self { class: "WorkerLostError", module: "celery.exceptions", arguments: vec![json!(reason)] }
    }

    /// The task ran past its hard limit of `seconds`.
    pub fn time_limit(seconds: f64) -> Self {
        Self { class: "TimeLimitExceeded", module: "celery.exceptions", arguments: vec![json!(seconds)] }
    }

    /// No task of this name is registered here.
    pub fn not_registered(name: &str) -> Self {
        Self { class: "NotRegistered", module: "celery.exceptions", arguments: vec![json!(name)] }
    }

    /// The task's message cannot be read.
    pub fn invalid(reason: &str) -> Self {
        Self { class: "InvalidTaskError", module: "celery.exceptions", arguments: vec![json!(reason)] }
    }

    /// Another task has the lock that this one needs.
    pub fn already_queued(name: &str, key: &str) -> Self {
        let sentence = format!("another call of {name} is under way (unique key {key})");
        Self { class: "TaskAlreadyQueued", module: "fastq.exceptions", arguments: vec![json!(sentence)] }
    }

    /// The task refused its message for good.
    pub fn rejected(reason: &str) -> Self {
        Self { class: "Reject", module: "celery.exceptions", arguments: vec![json!(reason)] }
    }

    /// The task was revoked, or expired before it ran.
    pub fn revoked(reason: &str) -> Self {
        Self { class: "TaskRevokedError", module: "celery.exceptions", arguments: vec![json!(reason)] }
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_in_the_format_that_the_store_has() {
        let record = Record::of_exception("1", "FAILURE", &Exception::worker_lost("killed"), WallTime(1_000));
        let document: Value = serde_json::from_slice(&record.body).unwrap();
        let packed: Value = rmp_serde::from_slice(&record.body_as("application/x-msgpack")).unwrap();
        assert_eq!(packed, document);
        let pickled = record.body_as("application/x-python-serialize");
        let read: Value = serde_pickle::from_slice(&pickled, serde_pickle::DeOptions::new()).unwrap();
        assert_eq!(read, document);
        for other in ["application/json", "application/x-yaml", "application/data"] {
            assert_eq!(record.body_as(other), record.body, "{other}");
        }
    }
}
