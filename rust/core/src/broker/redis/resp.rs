//! Replies as they come off the wire, for connections that block. Pure.
//!
//! # Format
//! RESP version 2: `+text`, `-error`, `:number`, `$length bytes`, `*count replies`; each line ends with CR LF. What the
//! server announces on a connection that listens are lists like any other.

use redis::Value;

use crate::error::{Error, ErrorKind, Result};

/// No command of ours is answered by lists in lists deeper than this.
const DEEPEST: usize = 16;
/// The server sends no longer value (`proto-max-bulk-len` may allow it more; we never store it).
const LONGEST: usize = 512 * 1024 * 1024;
/// The room for what comes next, at least.
const ROOM: usize = 8 * 1024;
/// What is kept of a buffer that a large reply has grown.
const KEPT: usize = 64 * 1024;

/// Bytes that have come and are not read yet.
#[derive(Default)]
pub(super) struct Inbox {
    /// Written once, so that it need not be cleared for each reply.
    bytes: Vec<u8>,
    /// What lies before this was read.
    start: usize,
    /// What lies behind this has not come.
    end: usize,
}

impl Inbox {
    /// The next reply; `None` when it has not come as a whole.
    ///
    /// # Errors
    /// `Unreachable` when what came is no reply: nothing that follows can be trusted.
    pub(super) fn next(&mut self) -> Result<Option<Value>> {
        let bytes = &self.bytes[..self.end];
        let Some(end) = end_of(bytes, self.start, 0)? else { return Ok(None) };
        let (value, _) = read(bytes, self.start)?;
        self.start = end;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            self.bytes.truncate(KEPT);
            self.bytes.shrink_to(KEPT);
        }
        Ok(Some(value))
    }

    /// Where to put what comes next; tell by [`Inbox::came`] how much that was.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < ROOM {
            // Twice as much each time: a large reply comes in few pieces.
            self.bytes.resize((self.bytes.len() * 2).max(ROOM), 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were put into the room.
    pub(super) fn came(&mut self, count: usize) {
        self.end += count;
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Where the reply at `start` ends; `None` when it has not come as a whole. Looks at lengths only.
fn end_of(bytes: &[u8], start: usize, depth: usize) -> Result<Option<usize>> {
    let Some((kind, line, next)) = line(bytes, start)? else { return Ok(None) };
    match kind {
        b'+' | b'-' | b':' => Ok(Some(next)),
        b'$' => {
            let Some(length) = length(line)? else { return Ok(Some(next)) };
            let end = next + length + 2;
            Ok((end <= bytes.len()).then_some(end))
        }
        b'*' if depth < DEEPEST => {
            let mut end = next;
            for _ in 0..length(line)?.unwrap_or(0) {
                let Some(next) = end_of(bytes, end, depth + 1)? else { return Ok(None) };
                end = next;
            }
            Ok(Some(end))
        }
        _ => Err(no_reply(bytes, start)),
    }
}

/// Reads the reply at `start`, which is there as a whole; and where it ends.
fn read(bytes: &[u8], start: usize) -> Result<(Value, usize)> {
    let Some((kind, line, next)) = line(bytes, start)? else { return Err(no_reply(bytes, start)) };
    let value = match kind {
        b'+' if line == b"OK" => Value::Okay,
        b'+' => Value::SimpleString(String::from_utf8_lossy(line).into_owned()),
        b'-' => {
            return Ok((
                redis::parse_redis_value(&bytes[start..next]).map_err(super::error::translate)?,
                next,
            ));
        }
        b':' => Value::Int(number(line)?),
        b'$' => match length(line)? {
            None => Value::Nil,
            Some(length) => {
                return Ok((Value::BulkString(bytes[next..next + length].to_vec()), next + length + 2));
            }
        },
        _ => match length(line)? {
            None => Value::Nil,
            Some(count) => return list(bytes, next, count),
        },
    };
    Ok((value, next))
}

fn list(bytes: &[u8], start: usize, count: usize) -> Result<(Value, usize)> {
    // Its end was found, so that many replies are there: the count is no lie of a stranger's.
    let mut values = Vec::with_capacity(count);
    let mut at = start;
    for _ in 0..count {
        let (value, next) = read(bytes, at)?;
        values.push(value);
        at = next;
    }
    Ok((Value::Array(values), at))
}

/// Kind and text of the line at `start`, and what follows it.
fn line(bytes: &[u8], start: usize) -> Result<Option<(u8, &[u8], usize)>> {
    let Some((kind, rest)) = bytes[start..].split_first() else { return Ok(None) };
    if !b"+-:$*".contains(kind) {
        return Err(no_reply(bytes, start));
    }
    let Some(end) = rest.iter().position(|byte| *byte == b'\r') else { return Ok(None) };
    match rest.get(end + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some((*kind, &rest[..end], start + end + 3))),
        Some(_) => Err(no_reply(bytes, start)),
    }
}

fn number(line: &[u8]) -> Result<i64> {
    let number = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| no_reply(line, 0))
}

/// A length; `None` for the reply that stands for nothing.
fn length(line: &[u8]) -> Result<Option<usize>> {
    match number(line)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= LONGEST => Ok(Some(length)),
            _ => Err(no_reply(line, 0)),
        },
    }
}

fn no_reply(bytes: &[u8], start: usize) -> Error {
    // 21 is how a TLS server begins to say that it was not greeted.
    if bytes.get(start) == Some(&21) {
        return Error::new(
            ErrorKind::Unreachable,
            "the server speaks TLS: write rediss:// in place of redis://, or set broker_use_ssl",
        );
    }
    let shown =
        String::from_utf8_lossy(&bytes[start..bytes.len().min(start + 40)]).escape_debug().to_string();
    Error::new(ErrorKind::Unreachable, "what listens at this address is no Redis server").with("reply", shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(inbox: &mut Inbox, bytes: &[u8]) {
        inbox.room()[..bytes.len()].copy_from_slice(bytes);
        inbox.came(bytes.len());
    }

    fn all(bytes: &[u8]) -> Vec<Value> {
        let mut inbox = Inbox::default();
        put(&mut inbox, bytes);
        std::iter::from_fn(|| inbox.next().unwrap()).collect()
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        let bulk = |text: &str| Value::BulkString(text.into());
        for (bytes, expected) in [
            (&b"+OK\r\n"[..], Value::Okay),
            (b"+QUEUED\r\n", Value::SimpleString("QUEUED".into())),
            (b":-12\r\n", Value::Int(-12)),
            (b"$-1\r\n", Value::Nil),
            (b"$0\r\n\r\n", bulk("")),
            (b"$4\r\na\r\nb\r\n", bulk("a\r\nb")),
            (b"*-1\r\n", Value::Nil),
            (b"*0\r\n", Value::Array(vec![])),
            (
                b"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n",
                Value::Array(vec![Value::Int(1), Value::Array(vec![bulk("x")]), Value::Nil]),
            ),
        ] {
            assert_eq!(all(bytes), [expected], "{}", String::from_utf8_lossy(bytes));
        }
        let Value::ServerError(error) = all(b"-WRONGTYPE Operation against\r\n").remove(0) else { panic!() };
        assert_eq!((error.code(), error.details()), ("WRONGTYPE", Some("Operation against")));
    }

    #[test]
    fn a_reply_may_come_in_pieces_of_any_size() {
        let bytes = b"*2\r\n$3\r\nabc\r\n-ERR no\r\n:7\r\n+PONG\r\n$2\r\n\r\n\r\n";
        let whole = all(bytes);
        for size in 1..bytes.len() {
            let (mut inbox, mut found) = (Inbox::default(), Vec::new());
            for piece in bytes.chunks(size) {
                put(&mut inbox, piece);
                while let Some(value) = inbox.next().unwrap() {
                    found.push(value);
                }
            }
            assert_eq!(found, whole, "in pieces of {size}");
            assert!(inbox.is_empty());
        }
    }

    #[test]
    fn what_is_no_reply_is_refused_and_named() {
        let deep = b"*1\r\n".repeat(100);
        for (bytes, hint) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "no Redis server"),
            (b"\x15\x03\x03\x00\x02\x02\x0a", "rediss://"),
            (b"$99999999999\r\n", "no Redis server"),
            (b"$-7\r\n", "no Redis server"),
            (b":1x\r\n", "no Redis server"),
            (b"+OK\rX", "no Redis server"),
            (&deep, "no Redis server"),
        ] {
            let mut inbox = Inbox::default();
            put(&mut inbox, bytes);
            let error = inbox.next().unwrap_err();
            assert!(error.to_string().contains(hint), "{error}");
        }
    }
}
