//! kombu's JSON envelope: how a message lies in a list, a file or a row of a "virtual" broker (kombu-layouts.md §1.1).
//!
//! # Format
//! ```text
//! { "body": "<base64>", "content-encoding": "utf-8", "content-type": "application/json", "headers": { … },
//!   "properties": { …, "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0,
//!                   "body_encoding": "base64", "delivery_tag": "<uuid4>" } }
//! ```
//! Headers and properties are cut out and put in as they are written: nothing is decoded that need not be.

use std::borrow::Cow;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Message;
use super::cut::{cut, plain};
use super::object::{RawObject, quote, text};
use crate::error::{Error, ErrorKind, Result};

/// Counts workers and children that died running a message; Celery carries headers it does not know.
pub const DEATHS_HEADER: &str = "x-fastq-deaths";
/// Set by kombu, and by us, on what was put back after a delivery.
pub const REDELIVERED_HEADER: &str = "redelivered";

/// Properties that the envelope itself writes; a publisher's own are replaced.
const OURS: [&str; 6] =
    ["content_type", "content_encoding", "priority", "delivery_info", "body_encoding", "delivery_tag"];

/// What is written on an envelope beside the message.
#[derive(Clone, Copy, Debug)]
pub struct Address<'a> {
    /// The exchange the message is sent through; empty for none.
    pub exchange: &'a str,
    /// Its routing key, or the queue's name.
    pub routing_key: &'a str,
    /// As the sender gave it; kombu writes 0 for none.
    pub priority: Option<u8>,
    /// Names this sending; kombu makes a new UUID for each.
    pub delivery_tag: &'a str,
}

/// An envelope that was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// What was sent.
    pub message: Message,
    /// The exchange it came through; empty for none.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// As written.
    pub priority: Option<u8>,
    /// It had been delivered before.
    pub redelivered: bool,
    /// How many workers or children died running it.
    pub deaths: u32,
    /// Names this sending; empty when it was not written.
    pub delivery_tag: String,
}

/// Puts a message into its envelope.
///
/// # Errors
/// `Encode` when headers or properties are no JSON object.
pub fn seal(message: &Message, address: Address<'_>) -> Result<Vec<u8>> {
    let headers = object_text("headers", &message.headers)?;
    let properties =
        RawObject::parse(object_text("properties", &message.properties)?).map_err(not_encodable)?;
    let texts = headers.len() + message.properties.len() + address.routing_key.len();
    let mut out = Vec::with_capacity(message.body.len() / 3 * 4 + texts + 260);
    out.extend_from_slice(b"{\"body\":\"");
    base64_into(&message.body, &mut out);
    out.push(b'"');
    for (key, name) in [("content-encoding", "content_encoding"), ("content-type", "content_type")] {
        if let Some(value) = properties.find(name) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.extend_from_slice(b",\"headers\":");
    out.extend_from_slice(headers.as_bytes());
    out.extend_from_slice(b",\"properties\":{");
    for (name, value) in properties.entries().filter(|(name, _)| !OURS.contains(name)) {
        quote(name, &mut out);
        out.push(b':');
        out.extend_from_slice(value.get().as_bytes());
        out.push(b',');
    }
    out.extend_from_slice(b"\"delivery_info\":{\"exchange\":");
    quote(address.exchange, &mut out);
    out.extend_from_slice(b",\"routing_key\":");
    quote(address.routing_key, &mut out);
    out.extend_from_slice(b"},\"priority\":");
    let priority = address.priority.or_else(|| properties.find("priority")?.get().parse().ok());
    out.extend_from_slice(priority.unwrap_or(0).to_string().as_bytes());
    out.extend_from_slice(b",\"body_encoding\":\"base64\",\"delivery_tag\":");
    quote(address.delivery_tag, &mut out);
    out.extend_from_slice(b"}}");
    Ok(out)
}

/// The parts of an envelope, as text.
#[derive(Default, Debug, PartialEq)]
struct Wire<'a> {
    body: Cow<'a, str>,
    /// A JSON string.
    content_type: Option<&'a str>,
    /// A JSON string.
    content_encoding: Option<&'a str>,
    headers: Option<&'a str>,
    properties: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct DeliveryInfo<'a> {
    #[serde(borrow, default)]
    exchange: Option<&'a RawValue>,
    #[serde(borrow, default)]
    routing_key: Option<&'a RawValue>,
    #[serde(default)]
    redelivered: Option<bool>,
}

/// Opens an envelope. Headers stay where they are in `raw`; properties lose what the envelope added.
///
/// # Errors
/// `Decode` when it is none.
pub fn open(raw: &Bytes) -> Result<Opened> {
    // Looked at as a whole it costs less than value by value.
    let whole = std::str::from_utf8(raw).map_err(not_an_envelope)?;
    let wire = match split(whole) {
        Some(wire) => wire,
        None => read(whole)?,
    };
    let properties = match wire.properties {
        Some(properties) => RawObject::parse(properties).map_err(not_an_envelope)?,
        None => RawObject::default(),
    };
    let info: DeliveryInfo<'_> = properties
        .find("delivery_info")
        .and_then(|info| serde_json::from_str(info.get()).ok())
        .unwrap_or_default();
    let headers = wire.headers.unwrap_or("{}");
    let (marked, deaths) = marks(headers);
    let encoding = properties.find("body_encoding").map(RawValue::get);
    Ok(Opened {
        message: Message {
            headers: slice_of(raw, headers),
            properties: outer_properties(&properties, wire.content_type, wire.content_encoding),
            body: decode_body(raw, wire.body, encoding)?,
        },
        exchange: owned(info.exchange),
        routing_key: owned(info.routing_key),
        priority: properties.find("priority").and_then(|value| value.get().trim_matches('"').parse().ok()),
        redelivered: marked || info.redelivered == Some(true),
        deaths,
        delivery_tag: owned(properties.find("delivery_tag")),
    })
}

/// Cuts an envelope into its parts without reading what is in them: a third of the time. `None` when something is not
/// as it nearly always is; then [`read`] looks closely. Headers are checked by whoever reads them.
fn split(whole: &str) -> Option<Wire<'_>> {
    let mut wire = Wire::default();
    cut(whole, |key, value| {
        let (part, fits) = match key {
            "body" => {
                wire.body = Cow::Borrowed(plain(value)?);
                return Some(());
            }
            "headers" => (&mut wire.headers, value.starts_with('{')),
            "properties" => (&mut wire.properties, value.starts_with('{')),
            "content-type" => (&mut wire.content_type, plain(value).is_some()),
            "content-encoding" => (&mut wire.content_encoding, plain(value).is_some()),
            _ => return None,
        };
        (fits && part.replace(value).is_none()).then_some(())
    })?;
    Some(wire)
}

/// Reads an envelope with all that JSON allows.
fn read(whole: &str) -> Result<Wire<'_>> {
    let parts = RawObject::parse(whole).map_err(not_an_envelope)?;
    let part = |key: &str| parts.find(key).map(RawValue::get).filter(|value| *value != "null");
    let string = |key: &str| part(key).filter(|value| value.starts_with('"'));
    Ok(Wire {
        body: parts.find("body").map(text).transpose().map_err(not_an_envelope)?.unwrap_or_default(),
        content_type: string("content-type"),
        content_encoding: string("content-encoding"),
        headers: part("headers"),
        properties: part("properties"),
    })
}

/// The envelope as it goes back into its queue after a delivery: marked, and with so many deaths counted. Not marked
/// and without deaths, it looks as if it had never been delivered. What is no envelope stays as it is.
pub fn readdress(raw: &[u8], redelivered: bool, deaths: u32) -> Vec<u8> {
    readdressed(raw, redelivered, deaths).unwrap_or_else(|| raw.to_vec())
}

fn readdressed(raw: &[u8], redelivered: bool, deaths: u32) -> Option<Vec<u8>> {
    let whole = std::str::from_utf8(raw).ok()?;
    let mut envelope = RawObject::parse(whole).ok()?;
    let deaths = (deaths > 0).then(|| deaths.to_string());
    let mark = redelivered.then_some("true");
    let mut headers = RawObject::parse(envelope.find("headers")?.get()).ok()?;
    headers.set(REDELIVERED_HEADER, mark);
    headers.set(DEATHS_HEADER, deaths.as_deref());
    let headers = headers.to_json();
    let mut properties = RawObject::parse(envelope.find("properties")?.get()).ok()?;
    let mut info = match properties.find("delivery_info") {
        Some(info) => RawObject::parse(info.get()).ok()?,
        None => RawObject::default(),
    };
    info.set("redelivered", mark);
    let info = info.to_json();
    properties.set("delivery_info", Some(&info));
    let properties = properties.to_json();
    envelope.set("headers", Some(&headers));
    envelope.set("properties", Some(&properties));
    Some(envelope.to_json().into_bytes())
}

/// Whether the headers are marked as redelivered, and the deaths they count. Most have neither: look before reading.
fn marks(headers: &str) -> (bool, u32) {
    #[derive(Default, Deserialize)]
    struct Marks {
        #[serde(default)]
        redelivered: Option<bool>,
        #[serde(default, rename = "x-fastq-deaths")]
        deaths: Option<u32>,
    }
    static NAMES: LazyLock<[Finder<'_>; 2]> =
        LazyLock::new(|| [DEATHS_HEADER, REDELIVERED_HEADER].map(Finder::new));
    if !NAMES.iter().any(|name| name.find(headers.as_bytes()).is_some()) {
        return (false, 0);
    }
    let marks: Marks = serde_json::from_str(headers).unwrap_or_default();
    (marks.redelivered == Some(true), marks.deaths.unwrap_or(0))
}

/// The properties as the sender gave them: without what the envelope added, with what it took out.
fn outer_properties(
    properties: &RawObject<'_>,
    content_type: Option<&str>,
    content_encoding: Option<&str>,
) -> Bytes {
    let mut out = Vec::with_capacity(256);
    out.push(b'{');
    let outer = [("content_type", content_type), ("content_encoding", content_encoding)];
    let outer = outer.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let inner = properties.entries().filter(|(name, _)| !OURS.contains(name));
    for (name, value) in inner.map(|(name, value)| (name, value.get())).chain(outer) {
        if value == "null" {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        quote(name, &mut out);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    out.push(b'}');
    out.into()
}

fn decode_body(raw: &Bytes, body: Cow<'_, str>, encoding: Option<&str>) -> Result<Bytes> {
    match (encoding, body) {
        (Some("\"base64\""), body) => {
            let decoded = STANDARD.decode(body.as_bytes()).map_err(|error| {
                Error::new(ErrorKind::Decode, "the body of a message is not valid base64").because(error)
            })?;
            Ok(decoded.into())
        }
        (_, Cow::Borrowed(body)) => Ok(slice_of(raw, body)),
        (_, Cow::Owned(body)) => Ok(body.into_bytes().into()),
    }
}

fn base64_into(body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + body.len().div_ceil(3) * 4, 0);
    // The room was measured by the same rule, so it is enough and is filled.
    let written = STANDARD.encode_slice(body, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// The same bytes, shared with `raw` when they lie in it.
fn slice_of(raw: &Bytes, part: &str) -> Bytes {
    let (start, whole) = (part.as_ptr() as usize, raw.as_ptr() as usize);
    if start >= whole && start + part.len() <= whole + raw.len() {
        raw.slice_ref(part.as_bytes())
    } else {
        Bytes::copy_from_slice(part.as_bytes())
    }
}

fn object_text<'a>(part: &'static str, bytes: &'a [u8]) -> Result<&'a str> {
    if bytes.is_empty() {
        return Ok("{}");
    }
    let value: &RawValue = serde_json::from_slice(bytes).map_err(not_encodable)?;
    if value.get().starts_with('{') {
        return Ok(value.get());
    }
    Err(Error::new(ErrorKind::Encode, "headers and properties of a message must be JSON objects")
        .with("part", part))
}

fn owned(value: Option<&RawValue>) -> String {
    value.and_then(|value| text(value).ok()).map(Cow::into_owned).unwrap_or_default()
}

fn not_encodable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Encode, "headers and properties of a message must be JSON objects").because(error)
}

fn not_an_envelope(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Decode, "what lay in the queue is not a message in kombu's envelope").because(error)
}

#[cfg(test)]
mod tests;
