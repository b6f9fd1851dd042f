//! Dead letters: what lies in the list of a queue's messages that were set aside.
//!
//! # Format
//! ```text
//! {"id": "<uuid>", "reason": "…", "buried_at": <ms>, "deaths": 1, "step": 0, "message": {<the envelope>}}
//! ```
//! What was no envelope stands as base64 under `raw` in place of `message`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::broker::DeadLetter;
use crate::clock::WallTime;
use crate::ident;
use crate::message::envelope::{Opened, open};
use crate::message::task::Headers;

#[derive(Serialize, Deserialize)]
struct Letter<'a> {
    id: String,
    reason: String,
    buried_at: i64,
    deaths: u32,
    step: u8,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    message: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
}

/// Writes a dead letter.
pub(super) fn letter(raw: &[u8], step: u8, reason: &str, deaths: u32, now: WallTime) -> Vec<u8> {
    let message: Option<&RawValue> = serde_json::from_slice(raw).ok();
    let letter = Letter {
        id: ident::session_id(),
        reason: reason.to_owned(),
        buried_at: now.0,
        deaths,
        step,
        message,
        raw: message.is_none().then(|| STANDARD.encode(raw)),
    };
    // Strings, numbers and JSON that was just read: it can always be written.
    serde_json::to_vec(&letter).unwrap_or_default()
}

/// A dead letter that was read.
pub(super) struct Found {
    /// As it lies in the list.
    pub(super) entry: Vec<u8>,
    /// The message as it lay in its own list.
    pub(super) raw: Bytes,
    pub(super) step: u8,
    pub(super) letter: DeadLetter,
}

/// Reads a dead letter; `None` for what is none.
pub(super) fn read(entry: Vec<u8>, queue: &str) -> Option<Found> {
    let (raw, step, letter) = {
        let letter: Letter<'_> = serde_json::from_slice(&entry).ok()?;
        let raw: Bytes = match (letter.message, letter.raw) {
            (Some(message), _) => Bytes::copy_from_slice(message.get().as_bytes()),
            (None, Some(raw)) => STANDARD.decode(raw).ok()?.into(),
            (None, None) => return None,
        };
        let message = open(&raw).map_or_else(|_| bare(&raw), |opened: Opened| opened.message);
        let headers = Headers::parse(&message.headers).unwrap_or_default();
        let dead = DeadLetter {
            id: letter.id,
            task_id: headers.id.unwrap_or_default().into_owned(),
            task_name: headers.task.unwrap_or_default().into_owned(),
            queue: queue.to_owned(),
            reason: letter.reason,
            buried_at: WallTime(letter.buried_at),
            deaths: letter.deaths,
            message: message.clone(),
        };
        (raw, letter.step, dead)
    };
    Some(Found { entry, raw, step, letter })
}

/// What lay in a list and is no envelope: a body without headers.
pub(super) fn bare(raw: &Bytes) -> crate::message::Message {
    crate::message::Message { body: raw.clone(), ..crate::message::Message::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_keeps_the_bytes_of_its_message() {
        for raw in [
            &br#"{"body": "", "headers": {"id": "1", "task": "t"}, "properties": {}}"#[..],
            b"\xff no JSON",
            b"",
        ] {
            let written = letter(raw, 3, "because", 2, WallTime(5));
            let found = read(written.clone(), "q").unwrap();
            assert_eq!((&found.raw[..], found.step, found.letter.deaths), (raw, 3, 2));
            assert_eq!((found.letter.reason.as_str(), found.letter.buried_at), ("because", WallTime(5)));
            assert_eq!(found.entry, written);
        }
        assert!(read(b"nothing".to_vec(), "q").is_none());
    }
}
