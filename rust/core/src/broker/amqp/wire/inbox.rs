//! Frames as they come in, put together to methods and messages. Incremental: what is incomplete is waited for.
//!
//! # Format
//! ```text
//! frame = kind (1 method, 2 header, 3 body, 8 heartbeat), channel u16, length u32, payload, 0xCE
//! ```

use std::collections::HashMap;

use bytes::Bytes;

use super::super::error::{malformed, other_protocol, speaks_tls};
use super::method::Method;
use super::properties::{self, Properties};
use super::read::Reader;
use crate::error::Result;
use crate::message::MAX_MESSAGE_BYTES;

pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;
pub(super) const END: u8 = 0xCE;

/// How a record of TLS with an alert begins (RFC 8446, 5.1).
const TLS_ALERT: &[u8] = &[21, 3];
/// Bytes before the payload.
const HEAD: usize = 7;
/// How much is read at once, at least.
const ROOM: usize = 64 * 1024;
/// Room that was needed once for something large is not kept.
const KEPT: usize = 1024 * 1024;
/// A body is given room as it comes: its announced size may be a lie.
const FIRST_ROOM: u64 = 1024 * 1024;

/// Something that came.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Incoming {
    Method(u16, Method),
    Content(u16, Box<Content>),
    Heartbeat,
}

/// A message with the method that brought it.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Content {
    pub(in super::super) method: Method,
    pub(in super::super) properties: Properties,
    pub(in super::super) body: Bytes,
}

/// A message that is not complete.
struct Partial {
    method: Method,
    properties: Option<Properties>,
    size: u64,
    body: Vec<u8>,
}

/// Bytes that came and were not read yet.
pub(in super::super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The longest frame that may come.
    frame_max: usize,
    partial: HashMap<u16, Partial>,
}

impl Default for Inbox {
    fn default() -> Self {
        // Before anything was agreed on a frame may be this long (AMQP 0-9-1, 4.2.3); servers say a little more.
        Self { buffer: Vec::new(), start: 0, end: 0, frame_max: ROOM, partial: HashMap::new() }
    }
}

impl Inbox {
    /// The longest frame that was agreed on.
    pub(in super::super) fn set_frame_max(&mut self, frame_max: usize) {
        self.frame_max = frame_max;
    }

    /// Whether everything that came was read.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room to read into; what was read is told by [`Inbox::came`].
    pub(in super::super) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT {
                self.buffer = Vec::new();
            }
        } else if self.buffer.len() - self.end < ROOM / 4 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < ROOM / 4 {
            self.buffer.resize((self.end + ROOM).max(self.buffer.len() * 2), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read into the room.
    pub(in super::super) fn came(&mut self, count: usize) {
        self.end += count;
    }

    /// The next thing that is complete; `None`: read more.
    ///
    /// # Errors
    /// `Unreachable` when it is no AMQP: the connection is of no more use.
    pub(in super::super) fn next(&mut self) -> Result<Option<Incoming>> {
        loop {
            let rest = &self.buffer[self.start..self.end];
            if rest.first() == Some(&b'A') && self.partial.is_empty() {
                // A server that speaks another version says so in the place of a frame.
                return if rest.len() < 8 { Ok(None) } else { Err(other_protocol(&rest[4..8])) };
            }
            let Some((head, after)) = rest.split_first_chunk::<HEAD>() else { return Ok(None) };
            let [kind, c0, c1, l0, l1, l2, l3] = *head;
            let (channel, length) =
                (u16::from_be_bytes([c0, c1]), u32::from_be_bytes([l0, l1, l2, l3]) as usize);
            if head.starts_with(TLS_ALERT) {
                return Err(speaks_tls());
            }
            if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) || length > self.frame_max {
                return Err(malformed("what came is no frame, or a longer one than was agreed on"));
            }
            let (Some(payload), Some(end)) = (after.get(..length), after.get(length)) else {
                return Ok(None);
            };
            if *end != END {
                return Err(malformed("a frame does not end where it should"));
            }
            let came = take(&mut self.partial, kind, channel, payload)?;
            self.start += HEAD + length + 1;
            if came.is_some() {
                return Ok(came);
            }
        }
    }
}

/// Takes one frame in.
fn take(
    partial: &mut HashMap<u16, Partial>,
    kind: u8,
    channel: u16,
    payload: &[u8],
) -> Result<Option<Incoming>> {
    match kind {
        METHOD => {
            let method = Method::read(payload)?;
            // A channel that is closed in the middle of a message ends that, too.
            partial.remove(&channel);
            if method.has_content() {
                partial.insert(channel, Partial { method, properties: None, size: 0, body: Vec::new() });
                return Ok(None);
            }
            Ok(Some(Incoming::Method(channel, method)))
        }
        HEARTBEAT => Ok(Some(Incoming::Heartbeat)),
        _ => {
            let content = partial.get_mut(&channel).ok_or_else(|| malformed("a message without a method"))?;
            let is_whole = if kind == HEADER { content.header(payload)? } else { content.more(payload)? };
            let whole = if is_whole { partial.remove(&channel) } else { None };
            Ok(whole.and_then(Partial::finish).map(|content| Incoming::Content(channel, Box::new(content))))
        }
    }
}

impl Partial {
    /// Takes the header in; whether that is all.
    fn header(&mut self, payload: &[u8]) -> Result<bool> {
        let mut reader = Reader::new(payload);
        let (_class, _weight) = (reader.u16()?, reader.u16()?);
        self.size = reader.u64()?;
        if self.size > MAX_MESSAGE_BYTES as u64 {
            return Err(malformed("a message is larger than 511 MiB").with("bytes", self.size));
        }
        self.properties = Some(properties::read(&mut reader)?);
        self.body.reserve_exact(self.size.min(FIRST_ROOM) as usize);
        Ok(self.size == 0)
    }

    /// Takes a piece of the body in; whether it was the last.
    fn more(&mut self, payload: &[u8]) -> Result<bool> {
        let length = (self.body.len() + payload.len()) as u64;
        if self.properties.is_none() || length > self.size {
            return Err(malformed("a body is longer than was announced"));
        }
        self.body.extend_from_slice(payload);
        Ok(length == self.size)
    }

    fn finish(self) -> Option<Content> {
        Some(Content { method: self.method, properties: self.properties?, body: self.body.into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::call::{self, To};
    use super::*;

    fn all(inbox: &mut Inbox, bytes: &[u8], piece: usize) -> Result<Vec<Incoming>> {
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            inbox.room()[..piece.len()].copy_from_slice(piece);
            inbox.came(piece.len());
            while let Some(incoming) = inbox.next()? {
                found.push(incoming);
            }
        }
        Ok(found)
    }

    /// A delivery as a server writes it.
    fn delivery(tag: u64, body: &[u8], frame_max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut properties = Vec::new();
        properties::write(br#"{"task":"a"}"#, b"{}", Some(3), &mut properties).unwrap();
        call::publish(
            2,
            To { exchange: "", routing_key: "q", mandatory: false },
            &properties,
            body,
            frame_max,
            &mut out,
        );
        // `basic.publish` is the first frame; a server says `basic.deliver` there.
        let length = u32::from_be_bytes([out[3], out[4], out[5], out[6]]) as usize + 8;
        let mut deliver = vec![0, 60, 0, 60, 1, b'c'];
        deliver.extend_from_slice(&tag.to_be_bytes());
        deliver.extend_from_slice(&[1, 0, 1, b'q']);
        let mut bytes = vec![METHOD, 0, 2];
        bytes.extend_from_slice(&(deliver.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&deliver);
        bytes.push(END);
        bytes.extend_from_slice(&out[length..]);
        bytes
    }

    #[test]
    fn a_message_is_put_together_whatever_pieces_it_comes_in() {
        for (size, frame_max) in [(0, 100), (1, 100), (92, 100), (93, 100), (1000, 100), (200_000, 4096)] {
            let body: Vec<u8> = (0..size).map(|number: u32| number as u8).collect();
            let bytes = [delivery(7, &body, frame_max), delivery(8, b"x", frame_max)].concat();
            for piece in [1, 2, 7, 8, 100, 4096].into_iter().filter(|piece| bytes.len() / piece < 20_000) {
                let found = all(&mut Inbox::default(), &bytes, piece).unwrap();
                let Incoming::Content(2, first) = &found[0] else { panic!("{found:?}") };
                assert_eq!((&first.body[..], found.len()), (&body[..], 2), "{size} in {piece}");
                assert_eq!(first.properties.headers, br#"{"task":"a"}"#);
                assert_eq!(first.properties.priority, Some(3));
                let (consumer, exchange, routing_key) = ("c".into(), String::new(), "q".into());
                let method = Method::Deliver { consumer, tag: 7, redelivered: true, exchange, routing_key };
                assert_eq!(first.method, method);
            }
        }
    }

    #[test]
    fn heartbeats_and_methods_are_told_apart() {
        let mut bytes = Vec::new();
        call::heartbeat(&mut bytes);
        bytes.extend_from_slice(
            b"\x01\x00\x01\x00\x00\x00\x0d\x00\x3c\x00\x50\x00\x00\x00\x00\x00\x00\x00\x09\x01\xce",
        );
        let found = all(&mut Inbox::default(), &bytes, 3).unwrap();
        let ack = Method::Ack { tag: 9, multiple: true };
        assert_eq!(found, [Incoming::Heartbeat, Incoming::Method(1, ack)]);
    }

    #[test]
    fn what_is_no_amqp_is_refused() {
        let long = b"\x01\x00\x01\x7f\xff\xff\xff";
        let no_end = b"\x08\x00\x00\x00\x00\x00\x00\x00";
        let body_alone = b"\x03\x00\x01\x00\x00\x00\x01x\xce";
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], long, no_end, body_alone] {
            assert!(all(&mut Inbox::default(), bytes, 64).is_err(), "{bytes:?}");
        }
        let alert = b"\x15\x03\x03\x00\x02\x02\x46";
        let error = all(&mut Inbox::default(), alert, 3).unwrap_err();
        assert!(error.to_string().contains("write amqps://"), "{error}");
        let error = all(&mut Inbox::default(), b"AMQP\x03\x01\x00\x00", 3).unwrap_err();
        assert!(error.to_string().contains("version"), "{error}");
    }

    #[test]
    fn a_body_never_grows_past_its_announced_size() {
        let mut bytes = delivery(1, b"ab", 4096);
        let at = bytes.len() - 3;
        // The announced size is cut to one.
        let size = bytes.windows(8).rposition(|window| window == 2_u64.to_be_bytes()).unwrap();
        bytes[size + 7] = 1;
        assert!(at > size && all(&mut Inbox::default(), &bytes, 4096).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50) {
            let _ = all(&mut Inbox::default(), &bytes, piece);
        }

        #[test]
        fn no_broken_message_makes_it_panic(at in 0_usize..60, byte: u8) {
            let mut bytes = delivery(1, b"body", 4096);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = all(&mut Inbox::default(), &bytes, 16);
        }
    }
}
