//! The content header of a message: basic properties and headers, as the JSON that travels through the core.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::error::malformed;
use super::read::Reader;
use super::table;
use super::write::Write;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::message::object::{RawObject, quote, text};

/// Transient and persistent.
pub(in super::super) const TRANSIENT: u8 = 1;
const PERSISTENT: u8 = 2;
/// The headers of a task have less than this, mostly: so their JSON is written without moving it.
const ROOM: usize = 768;

/// The properties in the order of their bits, from 15 down, and how each is written.
const KNOWN: [(&str, Kind); 14] = [
    ("content_type", Kind::Text),
    ("content_encoding", Kind::Text),
    ("headers", Kind::Headers),
    ("delivery_mode", Kind::Octet),
    ("priority", Kind::Octet),
    ("correlation_id", Kind::Text),
    ("reply_to", Kind::Text),
    ("expiration", Kind::Text),
    ("message_id", Kind::Text),
    ("timestamp", Kind::Time),
    ("type", Kind::Text),
    ("user_id", Kind::Text),
    ("app_id", Kind::Text),
    ("cluster_id", Kind::Text),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Headers,
    Octet,
    Time,
}

/// What a content header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Properties {
    /// A JSON object.
    pub(in super::super) headers: Vec<u8>,
    /// A JSON object, without headers and priority.
    pub(in super::super) others: Vec<u8>,
    pub(in super::super) priority: Option<u8>,
}

impl Properties {
    /// The message with this body.
    pub(in super::super) fn message(self, body: Bytes) -> Message {
        Message { headers: self.headers.into(), properties: self.others.into(), body }
    }
}

/// Writes flags and properties. A message is persistent unless it says otherwise.
///
/// # Errors
/// `Encode` when headers or properties are no JSON object, or a property is not what it should be.
pub(in super::super) fn write(
    headers: &[u8],
    properties: &[u8],
    priority: Option<u8>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let properties = RawObject::parse(object_text("properties", properties)?).map_err(not_encodable)?;
    let headers = object_text("headers", headers)?;
    let (at, mut flags) = (out.len(), 0_u16);
    out.u16(0);
    for (position, (name, kind)) in KNOWN.into_iter().enumerate() {
        let written = if kind == Kind::Headers {
            table::write(headers, out)?;
            true
        } else {
            let found = properties.find(name).filter(|value| value.get() != "null");
            write_one(name, kind, found, priority, out)?
        };
        flags |= u16::from(written) << (15 - position);
    }
    out[at..at + 2].copy_from_slice(&flags.to_be_bytes());
    Ok(())
}

/// Writes a property, where it has a value; whether it has.
fn write_one(
    name: &str,
    kind: Kind,
    found: Option<&RawValue>,
    priority: Option<u8>,
    out: &mut Vec<u8>,
) -> Result<bool> {
    match (kind, found) {
        (Kind::Octet, _) if name == "priority" => {
            let own = found.and_then(|value| value.get().parse().ok());
            out.u8(priority.or(own).unwrap_or(0)); // as kombu, which never leaves it out
            Ok(true)
        }
        (Kind::Octet, _) => {
            out.u8(found.map_or(Ok(PERSISTENT), |value| parsed(name, value.get()))?);
            Ok(true)
        }
        (Kind::Time, Some(value)) => {
            out.u64(parsed(name, value.get())?);
            Ok(true)
        }
        // RabbitMQ would close the channel. Who takes the message reads in its headers when it expires.
        (Kind::Text, Some(value)) if name == "expiration" && is_too_late(value) => Ok(false),
        (Kind::Text, Some(value)) => {
            out.short(&short_text(name, text_of(value)?)?);
            Ok(true)
        }
        (_, None) | (Kind::Headers, _) => Ok(false),
    }
}

/// Reads flags and properties.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Properties> {
    let flags = reader.u16()?;
    if flags & 0b11 != 0 {
        return Err(malformed("a content header has properties that nobody knows"));
    }
    let mut found = Properties { headers: Vec::with_capacity(ROOM), others: vec![b'{'], priority: None };
    let mut of_content = Vec::new();
    for (position, (name, kind)) in KNOWN.into_iter().enumerate() {
        if flags & (1 << (15 - position)) == 0 {
            continue;
        }
        match (kind, name) {
            (Kind::Headers, _) => {
                table::read(reader, &mut found.headers)?;
                continue;
            }
            (_, "priority") => {
                found.priority = Some(reader.u8()?);
                continue;
            }
            _ => {}
        }
        // At the end, where the envelopes of other brokers give them back.
        let out = if name.starts_with("content_") { &mut of_content } else { &mut found.others };
        read_one(name, kind, reader, out)?;
    }
    if found.others.len() > 1 && !of_content.is_empty() {
        found.others.push(b',');
    }
    found.others.append(&mut of_content);
    found.others.push(b'}');
    Ok(found)
}

fn read_one(name: &str, kind: Kind, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
    if out.last().is_some_and(|last| *last != b'{') {
        out.push(b',');
    }
    quote(name, out);
    out.push(b':');
    match kind {
        Kind::Text => quote(&reader.short()?, out),
        Kind::Octet => out.extend_from_slice(reader.u8()?.to_string().as_bytes()),
        _ => out.extend_from_slice(reader.u64()?.to_string().as_bytes()),
    }
    Ok(())
}

/// Whether a message would expire later than RabbitMQ can count, in 2³² milliseconds.
fn is_too_late(value: &RawValue) -> bool {
    text_of(value).is_ok_and(|digits| digits.parse::<u64>().is_ok_and(|after| after > u64::from(u32::MAX)))
}

fn object_text<'a>(name: &'static str, bytes: &'a [u8]) -> Result<&'a str> {
    if bytes.is_empty() {
        return Ok("{}");
    }
    std::str::from_utf8(bytes)
        .map_err(|error| Error::new(ErrorKind::Encode, format!("{name} are not UTF-8")).because(error))
}

/// The text of a property; a number is taken for its digits, as in `expiration`.
fn text_of(value: &RawValue) -> Result<Cow<'_, str>> {
    if value.get().starts_with('"') { text(value).map_err(not_encodable) } else { Ok(value.get().into()) }
}

fn short_text<'a>(name: &str, text: Cow<'a, str>) -> Result<Cow<'a, str>> {
    if text.len() <= 255 {
        return Ok(text);
    }
    Err(Error::new(ErrorKind::Encode, "a property of a message may have 255 bytes").with("property", name))
}

fn parsed<T: std::str::FromStr>(name: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| {
        Error::new(ErrorKind::Encode, "a property is no number in its range")
            .with("property", name)
            .with("value", text)
    })
}

fn not_encodable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Encode, "headers and properties must be JSON objects").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(headers: &str, properties: &str, priority: Option<u8>) -> Properties {
        let mut bytes = Vec::new();
        write(headers.as_bytes(), properties.as_bytes(), priority, &mut bytes).unwrap();
        let mut reader = Reader::new(&bytes);
        let found = read(&mut reader).unwrap();
        assert!(reader.is_empty());
        found
    }

    #[test]
    fn properties_of_a_celery_message_come_back() {
        let properties = r#"{"delivery_mode":2,"correlation_id":"1","reply_to":"r","expiration":"2000","timestamp":7,"type":"t","content_type":"application/json","content_encoding":"utf-8"}"#;
        let found = there_and_back(r#"{"task":"a"}"#, properties, Some(4));
        assert_eq!(String::from_utf8(found.others).unwrap(), properties);
        assert_eq!((found.headers, found.priority), (br#"{"task":"a"}"#.to_vec(), Some(4)));
    }

    #[test]
    fn a_message_is_persistent_unless_it_says_otherwise() {
        let found = there_and_back("", "", None);
        assert_eq!((found.others, found.headers), (br#"{"delivery_mode":2}"#.to_vec(), b"{}".to_vec()));
        let found = there_and_back("{}", r#"{"delivery_mode":1,"unknown":[],"priority":3}"#, None);
        assert_eq!((found.others, found.priority), (br#"{"delivery_mode":1}"#.to_vec(), Some(3)));
    }

    #[test]
    fn what_expires_later_than_the_server_can_count_says_so_in_its_headers_only() {
        for (expiration, expected) in [
            ("4294967295", r#"{"delivery_mode":2,"expiration":"4294967295"}"#),
            ("4294967296", r#"{"delivery_mode":2}"#),
        ] {
            let found = there_and_back("{}", &format!(r#"{{"expiration":"{expiration}"}}"#), None);
            assert_eq!(String::from_utf8(found.others).unwrap(), expected);
        }
    }

    #[test]
    fn a_message_without_a_priority_has_the_lowest() {
        assert_eq!(there_and_back("{}", "{}", None).priority, Some(0));
    }

    #[test]
    fn what_cannot_be_written_is_an_encode_error() {
        let long = format!(r#"{{"reply_to":"{}"}}"#, "x".repeat(256));
        for (headers, properties) in
            [("{}", "[]"), ("\u{7f}", "{}"), ("{}", r#"{"delivery_mode":"x"}"#), ("{}", &*long)]
        {
            let error = write(headers.as_bytes(), properties.as_bytes(), None, &mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Encode, "{properties}");
        }
        assert!(write(b"\xff", b"{}", None, &mut Vec::new()).is_err());
    }
}
