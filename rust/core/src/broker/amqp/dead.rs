//! Messages set aside: in the durable queue `{queue}.dead`, with the reason in their headers. Pure.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use crate::broker::DeadLetter;
use crate::clock::WallTime;
use crate::message::Message;
use crate::message::envelope::{DEATHS_HEADER, REDELIVERED_HEADER};
use crate::message::object::{RawObject, quote};
use crate::message::task::Headers;

const REASON: &str = "x-fastq-reason";
const QUEUE: &str = "x-fastq-queue";
const BURIED_AT: &str = "x-fastq-buried-at";
const LETTER: &str = "x-fastq-letter";
/// What is ours, and goes when a message goes back.
const OURS: [&str; 6] = [REASON, QUEUE, BURIED_AT, LETTER, DEATHS_HEADER, REDELIVERED_HEADER];

/// What the server writes about a message's way.
const THEIRS: [&str; 8] = [
    "x-acquired-count",
    "x-death",
    "x-delivery-count",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-queue",
    "x-last-death-reason",
];

/// The queue for what was set aside from a queue.
pub(super) fn queue_of(queue: &str) -> String {
    format!("{queue}.dead")
}

/// The headers of a message that is set aside.
pub(super) fn headers(headers: &[u8], queue: &str, reason: &str, deaths: u32, now: WallTime) -> Vec<u8> {
    let (mut reason_text, mut queue_text) = (Vec::new(), Vec::new());
    quote(reason, &mut reason_text);
    quote(queue, &mut queue_text);
    let texts = [
        (REASON, String::from_utf8_lossy(&reason_text).into_owned()),
        (QUEUE, String::from_utf8_lossy(&queue_text).into_owned()),
        (BURIED_AT, now.0.to_string()),
        (LETTER, format!("\"{}\"", Uuid::new_v4().simple())),
    ];
    let deaths = deaths.to_string();
    let pairs = texts.iter().map(|(key, text)| (*key, text.as_str()));
    changed(headers, &pairs.chain([(DEATHS_HEADER, deaths.as_str())]).collect::<Vec<_>>())
}

/// The headers of a message whose run ended with its process: marked, and with so many deaths counted.
pub(super) fn died(headers: &[u8], deaths: u32) -> Vec<u8> {
    changed(headers, &[(REDELIVERED_HEADER, "true"), (DEATHS_HEADER, &deaths.to_string())])
}

/// The headers of a message that is sent once more: what the server has written into them about its way so far goes, for it
/// would take the new way for a circle, and drop the message.
pub(super) fn fresh(headers: &[u8]) -> Cow<'_, [u8]> {
    let is_marked = |mark: &str| memchr::memmem::find(headers, mark.as_bytes()).is_some();
    if !(is_marked("-death") || is_marked("x-delivery-count")) {
        return Cow::Borrowed(headers);
    }
    let text = std::str::from_utf8(headers).unwrap_or("{}");
    let Ok(mut object) = RawObject::parse(text) else { return Cow::Borrowed(headers) };
    for key in THEIRS {
        object.set(key, None);
    }
    Cow::Owned(object.to_json().into_bytes())
}

fn changed(headers: &[u8], pairs: &[(&str, &str)]) -> Vec<u8> {
    let headers = fresh(headers);
    let text = std::str::from_utf8(&headers).unwrap_or("{}");
    let mut object = RawObject::parse(text).unwrap_or_default();
    for (key, value) in pairs {
        object.set(key, Some(value));
    }
    object.to_json().into_bytes()
}

/// What the headers of a delivery say of earlier ones: whether there were some, and deaths.
pub(super) fn marks(headers: &[u8]) -> (bool, u32) {
    if memchr::memmem::find(headers, b"x-fastq-deaths").is_none()
        && memchr::memmem::find(headers, b"redelivered").is_none()
    {
        return (false, 0);
    }
    let headers: Value = serde_json::from_slice(headers).unwrap_or_default();
    let deaths = headers[DEATHS_HEADER].as_u64().and_then(|deaths| u32::try_from(deaths).ok());
    (headers[REDELIVERED_HEADER] == Value::Bool(true), deaths.unwrap_or(0))
}

/// A message as it was before it was set aside.
pub(super) fn restored(headers: &[u8]) -> Vec<u8> {
    let headers = fresh(headers);
    let Some(mut object) = std::str::from_utf8(&headers).ok().and_then(|text| RawObject::parse(text).ok())
    else {
        return headers.to_vec();
    };
    for key in OURS {
        object.set(key, None);
    }
    object.to_json().into_bytes()
}

/// Reads a message from the queue of those set aside from `queue`. One that the server has put there, by the queue's own
/// arguments, says so in its headers, and goes by its task's id.
pub(super) fn letter(queue: &str, message: Message) -> DeadLetter {
    let (task_name, task_id) = Headers::names(&message.headers);
    let headers: Value = serde_json::from_slice(&message.headers).unwrap_or_default();
    let text = |key: &str| headers[key].as_str().map(str::to_owned);
    let task_id = task_id.unwrap_or_default();
    let last = &headers["x-death"][0];
    let moved_at = last["time"].as_i64().map(|seconds| 1000 * seconds);
    DeadLetter {
        id: text(LETTER).unwrap_or_else(|| task_id.clone()),
        task_id,
        task_name: task_name.unwrap_or_default(),
        queue: queue.to_owned(),
        reason: text(REASON).or_else(|| moved(last)).unwrap_or_default(),
        buried_at: WallTime(headers[BURIED_AT].as_i64().or(moved_at).unwrap_or(0)),
        deaths: headers[DEATHS_HEADER].as_u64().and_then(|deaths| u32::try_from(deaths).ok()).unwrap_or(0),
        message: Message { headers: restored(&message.headers).into(), ..message },
    }
}

/// Why the server has moved a message, from its own account.
fn moved(death: &Value) -> Option<String> {
    let queue = death["queue"].as_str()?;
    let why = match death["reason"].as_str()? {
        "rejected" => "it was rejected",
        "expired" => "it had expired (x-message-ttl, or its own expiration)",
        "maxlen" => "the queue was full (x-max-length)",
        "delivery_limit" => "it had been delivered too often (x-delivery-limit)",
        other => {
            return Some(format!("the RabbitMQ server has moved it out of the queue {queue:?}: {other}"));
        }
    };
    Some(format!("the RabbitMQ server has moved it out of the queue {queue:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_the_server_has_moved_says_why_and_is_itself_again_without_that() {
        for (reason, hint) in [
            ("rejected", "rejected"),
            ("expired", "x-message-ttl"),
            ("maxlen", "x-max-length"),
            ("delivery_limit", "x-delivery-limit"),
            ("new", "\"q\": new"),
        ] {
            let death = format!(r#"[{{"count":1,"reason":"{reason}","queue":"q","time":1800000000}}]"#);
            let headers = format!(r#"{{"task":"shop.add","id":"1","x-death":{death},"x-delivery-count":3}}"#);
            let letter = letter("q", Message { headers: headers.into(), ..Message::default() });
            assert!(letter.reason.contains(hint), "{}", letter.reason);
            assert_eq!((&*letter.id, letter.buried_at), ("1", WallTime(1_800_000_000_000)));
            assert_eq!(&letter.message.headers[..], br#"{"task":"shop.add","id":"1"}"#);
        }
    }

    #[test]
    fn a_message_that_was_set_aside_says_why_and_is_itself_again_without_that() {
        let before = br#"{"task":"shop.add","id":"1"}"#;
        let headers = headers(before, "q", "because \"x\"", 2, WallTime(5_000));
        let message = Message { headers: headers.into(), ..Message::default() };
        let letter = letter("q", message);
        assert_eq!((&*letter.task_id, &*letter.task_name, &*letter.queue), ("1", "shop.add", "q"));
        assert_eq!((&*letter.reason, letter.deaths, letter.buried_at), ("because \"x\"", 2, WallTime(5_000)));
        assert_eq!((letter.id.len(), &letter.message.headers[..]), (32, &before[..]));
    }

    #[test]
    fn what_the_server_wrote_about_the_way_is_not_sent_again() {
        let headers = br#"{"task":"a","x-death":[{"count":1}],"x-first-death-queue":"celery_delayed_3","x-delivery-count":2}"#;
        assert_eq!(&*fresh(headers), br#"{"task":"a"}"#);
        assert_eq!(died(headers, 1), br#"{"task":"a","redelivered":true,"x-fastq-deaths":1}"#);
        assert_eq!(&*fresh(br#"{"task":"a"}"#), br#"{"task":"a"}"#);
    }

    #[test]
    fn deaths_and_redelivery_are_read_from_headers() {
        let headers = died(br#"{"task":"a"}"#, 3);
        assert_eq!(marks(&headers), (true, 3));
        assert_eq!(marks(br#"{"redelivered":false}"#), (false, 0));
        assert_eq!(marks(b"nonsense"), (false, 0));
        assert_eq!(restored(&headers), br#"{"task":"a"}"#);
    }
}
