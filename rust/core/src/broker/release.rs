//! The message that has the body of a chord called. Pure.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use super::Publication;
use crate::ident;
use crate::message::Message;
use crate::store::Release;

/// The built-in task that calls the body of a chord, or fails it.
const TASK: &str = "fastq.chord_release";

/// The message for the release of a chord, to `queue`. `why`: what a sweeper found; empty: all members have ended.
pub(crate) fn release(release: &Release, queue: &str, why: &str) -> Publication {
    let id = ident::task_id();
    let parent = (!release.last.is_empty()).then_some(release.last.as_str());
    let headers = json!({
        "lang": "py", "task": TASK, "id": id, "shadow": null, "eta": null, "expires": null, "group": null,
        "group_index": null, "retries": 0, "timelimit": [null, null], "root_id": parent.unwrap_or(&id),
        "parent_id": parent, "argsrepr": format!("('{}',)", release.group_id), "kwargsrepr": "{}",
        "origin": "fastq", "ignore_result": true, "replaced_task_nesting": 0, "stamped_headers": null, "stamps": {},
    });
    let properties = json!({
        "correlation_id": id, "reply_to": "", "content_type": "application/json", "content_encoding": "utf-8",
        "delivery_mode": 2,
    });
    let group_id = json!([release.group_id]).to_string();
    // The signature goes as it came: it may be large.
    let callback: &RawValue = serde_json::from_slice(&release.callback).unwrap_or(RawValue::NULL);
    let why: Cow<'_, str> = json!(why).to_string().into();
    let body = format!(
        r#"[{group_id},{{"callback":{callback},"why":{why}}},{{"callbacks":null,"errbacks":null,"chain":null,"chord":null}}]"#
    );
    Publication {
        exchange: String::new(),
        routing_key: queue.to_owned(),
        priority: None,
        due: None,
        message: Message {
            headers: headers.to_string().into(),
            properties: properties.to_string().into(),
            body: body.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_a_message_of_task_protocol_2() {
        let callback = br#"{"task":"sum","args":[]}"#.to_vec();
        let wanted = Release { group_id: "g\"1".into(), last: "m".into(), callback };
        let sent = release(&wanted, "celery.fastq", "");
        let body: serde_json::Value = serde_json::from_slice(&sent.message.body).unwrap();
        assert_eq!(body[0], json!(["g\"1"]));
        assert_eq!(body[1], json!({"callback": {"task": "sum", "args": []}, "why": ""}));
        let headers = crate::message::task::Headers::parse(&sent.message.headers).unwrap();
        assert_eq!((headers.task.as_deref(), headers.parent_id.as_deref()), (Some(TASK), Some("m")));
        assert_eq!(sent.routing_key, "celery.fastq");
        let bare = release(
            &Release { last: String::new(), callback: Vec::new(), ..wanted },
            "q",
            "members vanished",
        );
        let body: serde_json::Value = serde_json::from_slice(&bare.message.body).unwrap();
        assert_eq!(body[1], json!({"callback": null, "why": "members vanished"}));
    }
}
