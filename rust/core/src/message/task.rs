//! The headers of task protocol 2 that the core needs to decide (protocol.md §1.1).

use std::borrow::Cow;

use serde::Deserialize;

use super::time;
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};

/// Deepest nesting of arrays and objects that headers may have; `serde_json` refuses more than 128.
pub const HEADERS_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// The headers a decision needs, borrowed from the message.
#[derive(Debug, Default, Deserialize)]
pub struct Headers<'a> {
    /// Registered task name. Its presence marks protocol 2.
    #[serde(borrow, default)]
    pub task: Option<Cow<'a, str>>,
    /// Task id.
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    /// Not before: ISO 8601.
    #[serde(borrow, default)]
    pub eta: Option<Cow<'a, str>>,
    /// Not after: ISO 8601.
    #[serde(borrow, default)]
    pub expires: Option<Cow<'a, str>>,
    /// Retries so far.
    #[serde(default)]
    pub retries: Option<u32>,
    /// `[hard, soft]` in seconds.
    #[serde(default)]
    pub timelimit: Option<(Option<f64>, Option<f64>)>,
    /// Whether the caller wants no result; null means: as the task says.
    #[serde(default)]
    pub ignore_result: Option<bool>,
    /// Group id, also the chord's.
    #[serde(borrow, default)]
    pub group: Option<Cow<'a, str>>,
    /// The id of the task that sent this one.
    #[serde(borrow, default)]
    pub parent_id: Option<Cow<'a, str>>,
    /// Its lock, when the task is unique.
    #[serde(borrow, default, rename = "x-fastq-unique-key")]
    pub unique_key: Option<Cow<'a, str>>,
    /// Counted under this key by a rate limit that all workers keep together.
    #[serde(borrow, default, rename = "x-fastq-rate-key")]
    pub rate_key: Option<Cow<'a, str>>,
    /// Counted under this key while it runs.
    #[serde(borrow, default, rename = "x-fastq-concurrency-key")]
    pub concurrency_key: Option<Cow<'a, str>>,
}

impl<'a> Headers<'a> {
    /// Reads headers from their JSON object.
    ///
    /// # Errors
    /// `Decode` when the bytes are no JSON object, or a header the core needs has the wrong type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > HEADERS_LIMIT_BYTES {
            return Err(
                Error::new(ErrorKind::Decode, "headers are larger than 4 MiB").with("bytes", bytes.len())
            );
        }
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            // serde would take an array for an object without names.
            return Err(Error::new(ErrorKind::Decode, "headers are not a JSON object"));
        }
        // Looked at as a whole it costs less than text by text.
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Error::new(ErrorKind::Decode, "headers are not UTF-8").because(error))?;
        serde_json::from_str(text).map_err(|error| {
            let what =
                if error.is_data() { "a header has the wrong type" } else { "headers are not valid JSON" };
            Error::new(ErrorKind::Decode, what).because(error)
        })
    }

    /// Task name and id of headers that [`Headers::parse`] refuses, as far as they can be told.
    pub fn names(bytes: &[u8]) -> (Option<String>, Option<String>) {
        let headers = Some(bytes).filter(|bytes| bytes.len() <= HEADERS_LIMIT_BYTES);
        let headers = headers
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok())
            .unwrap_or_default();
        let text = |name: &str| match &headers[name] {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        (text("task"), text("id"))
    }

    /// The moment before which the task must not run.
    ///
    /// # Errors
    /// `Decode` when the text is no ISO 8601 date and time.
    pub fn eta(&self) -> Result<Option<WallTime>> {
        self.eta.as_deref().map(time::parse).transpose()
    }

    /// The moment after which the task must not run.
    ///
    /// # Errors
    /// `Decode` when the text is no ISO 8601 date and time.
    pub fn expires(&self) -> Result<Option<WallTime>> {
        self.expires.as_deref().map(time::parse).transpose()
    }

    /// Hard and soft time limits in seconds.
    pub fn time_limits(&self) -> (Option<f64>, Option<f64>) {
        self.timelimit.unwrap_or((None, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_celery_message_are_read_and_unknown_ones_skipped() {
        let json = br#"{"lang":"py","task":"shop.add","id":"1","eta":null,"expires":"2026-11-22T11:42:22.216546+00:00",
            "retries":2,"timelimit":[10,null],"ignore_result":null,"stamps":{"a":[1]},"group":null}"#;
        let headers = Headers::parse(json).unwrap();
        assert_eq!(headers.task.as_deref(), Some("shop.add"));
        assert_eq!(headers.time_limits(), (Some(10.0), None));
        assert_eq!(headers.retries, Some(2));
        assert_eq!(headers.eta().unwrap(), None);
        assert_eq!(headers.expires().unwrap(), Some(WallTime(1_795_347_742_216)));
    }

    #[test]
    fn a_header_of_the_wrong_type_leaves_name_and_id_to_be_told() {
        let json = br#"{"task":"add","id":"1","timelimit":["x",null]}"#;
        assert!(Headers::parse(json).unwrap_err().to_string().contains("a header has the wrong type"));
        assert_eq!(Headers::names(json), (Some("add".into()), Some("1".into())));
        assert_eq!(Headers::names(b"nonsense"), (None, None));
    }

    #[test]
    fn headers_that_are_no_object_are_a_decode_error() {
        for bytes in [&b""[..], b"[]", b"{\"task\":", b"\xff"] {
            assert_eq!(Headers::parse(bytes).unwrap_err().kind(), ErrorKind::Decode);
        }
    }
}
