//! The pipe protocol between a worker's parent and its executors.
//!
//! Both ends are one build of one program on one host, so there is no version in it; a frame that does not parse is
//! an error value all the same, because the other end runs user code that may write anywhere.
//!
//! # Format
//! All integers are little-endian. `field` is `length u32, bytes`; text fields are UTF-8.
//! ```text
//! frame     length u32 (of what follows, 9 bytes to 512 MiB) · kind u8 · tag u64 · payload
//!
//! to the executor
//!   1 JOB       seq u64 · flags u8 · priority i16 (-1 none) · deaths u32 · hard u64 · soft u64 (ns, all ones: none)
//!               · id field · name field · queue field · exchange field · routing key field
//!               · headers field · properties field · body field
//!               flags: 1 redelivered, 2 report the start, 4 nobody wants the result
//!   2 RETIRE    run what was sent, then leave
//!   3 INTERRUPT raise the soft limit in the run of the job `tag` (executors that run several at once)
//!   4 CANCEL    end the run of the job `tag`: it has been settled, and how it ends is of no use (the same)
//!
//! to the parent
//!   16 HELLO    ready for jobs
//!   17 STARTED  the job `tag` starts now (only when asked for)
//!   18 FINISHED ending u8 (128 more: with chords) · runtime u64 (ns) · reason field · records · publications [· chords]
//!   19 STORE    records
//!   20 BYE      takes no more jobs
//!   21 DROPPED  the job `tag` had been taken back and was not started
//!   22 LET GO   the run of the job `tag`, which was to be cancelled, holds its permit no more
//!   23 SOON     will say BYE before long: a successor may be made
//!
//! records       count u32 · { task id field · state field · content type field · body field }
//! publications  count u32 · { exchange field · routing key field · priority i16 · due i64 (ms since 1970, least: none)
//!               · headers field · properties field · body field }
//! chords        count u32 · { group id field · size u32 · body field }
//!               · count u32 · { group id field · task id field · place u32 (all ones: none) · state field · body field
//!               · callback field } · ended group id field (empty: none)
//! ```

mod chords;
mod job;
mod outcome;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;

pub use job::{JobFrame, encode_job};
pub use outcome::{
    OutcomeRef, PublicationRef, RecordRef, encode_finished, encode_store, parse_finished, parse_store,
};

/// The largest length a frame may announce.
pub const MAX_FRAME_BYTES: usize = 512 * 1024 * 1024;

/// Bytes of the length itself.
const LENGTH_BYTES: usize = 4;
/// Kind and tag: what every frame has after its length.
const HEAD_BYTES: usize = 9;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A run to make.
    Job = 1,
    /// Run what was sent, then leave.
    Retire = 2,
    /// Raise the soft limit in the run.
    Interrupt = 3,
    /// End the run: it has been settled.
    Cancel = 4,
    /// Ready for jobs.
    Hello = 16,
    /// The job starts now.
    Started = 17,
    /// How a run ended.
    Finished = 18,
    /// States of a run that goes on.
    Store = 19,
    /// Takes no more jobs.
    Bye = 20,
    /// The job was taken back before it started, and is forgotten.
    Dropped = 21,
    /// The run that was to be cancelled holds its permit no more.
    LetGo = 22,
    /// Will take no more jobs before long.
    Soon = 23,
}

impl Kind {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Job,
            2 => Self::Retire,
            3 => Self::Interrupt,
            4 => Self::Cancel,
            16 => Self::Hello,
            17 => Self::Started,
            18 => Self::Finished,
            19 => Self::Store,
            20 => Self::Bye,
            21 => Self::Dropped,
            22 => Self::LetGo,
            23 => Self::Soon,
            _ => return None,
        })
    }
}

/// One whole frame, its payload not yet parsed. The payload is a slice of the buffer it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The job it is about; 0 when it is about none.
    pub tag: Tag,
    /// The rest.
    pub payload: Bytes,
}

/// Takes the next whole frame from the front of `buffer`; `None` when it is not all there yet.
///
/// # Errors
/// `Decode` when what stands there cannot be a frame; the connection is of no use then.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Frame>> {
    let Some(head) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if !(HEAD_BYTES..=MAX_FRAME_BYTES).contains(&length) {
        return Err(malformed("a frame announces an impossible length").with("bytes", length));
    }
    if buffer.len() < LENGTH_BYTES + length {
        return Ok(None);
    }
    let mut payload = buffer.split_to(LENGTH_BYTES + length).freeze();
    payload.advance(LENGTH_BYTES);
    let code = payload.get_u8();
    let tag = Tag(payload.get_u64_le());
    let kind = Kind::from_code(code).ok_or_else(|| malformed("no such kind of frame").with("kind", code))?;
    Ok(Some(Frame { kind, tag, payload }))
}

/// Bytes still missing before the frame at the front of `buffer` is whole, as far as can be told.
pub fn missing(buffer: &[u8]) -> usize {
    match buffer.first_chunk::<LENGTH_BYTES>() {
        None => LENGTH_BYTES + HEAD_BYTES - buffer.len(),
        Some(head) => {
            let length = (u32::from_le_bytes(*head) as usize).min(MAX_FRAME_BYTES);
            (LENGTH_BYTES + length).saturating_sub(buffer.len())
        }
    }
}

/// Appends a frame that has no payload.
pub fn encode_bare(out: &mut BytesMut, kind: Kind, tag: Tag) {
    out.reserve(LENGTH_BYTES + HEAD_BYTES);
    out.put_u32_le(HEAD_BYTES as u32);
    out.put_u8(kind as u8);
    out.put_u64_le(tag.0);
}

/// Makes room for a frame of `payload` bytes and writes its head.
fn begin(out: &mut BytesMut, kind: Kind, tag: Tag, payload: usize) -> Result<()> {
    let length = HEAD_BYTES.saturating_add(payload);
    if length > MAX_FRAME_BYTES {
        return Err(
            Error::new(ErrorKind::Encode, "a job or outcome is larger than 512 MiB").with("bytes", length)
        );
    }
    out.reserve(LENGTH_BYTES + length);
    out.put_u32_le(length as u32);
    out.put_u8(kind as u8);
    out.put_u64_le(tag.0);
    Ok(())
}

/// Bytes that `field` takes on the pipe.
const fn field_bytes(length: usize) -> usize {
    4 + length
}

/// Appends a field. The caller has checked the sum in [`begin`], so no length is above 512 MiB.
fn put_field(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32_le(bytes.len() as u32);
    out.put_slice(bytes);
}

fn malformed(message: &'static str) -> Error {
    Error::new(ErrorKind::Decode, message).during("read from the pipe")
}

/// Reads a payload from front to back.
struct Reader<'a> {
    payload: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(payload: &'a Bytes) -> Self {
        Self { payload, at: 0 }
    }

    fn remaining(&self) -> usize {
        self.payload.len() - self.at
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes =
            self.payload[self.at..].first_chunk::<N>().ok_or_else(|| malformed("a frame ends too early"))?;
        self.at += N;
        Ok(*bytes)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn priority(&mut self) -> Result<Option<u8>> {
        let number = self.array().map(i16::from_le_bytes)?;
        if number == NO_PRIORITY {
            return Ok(None);
        }
        u8::try_from(number).map(Some).map_err(|_| malformed("a priority is out of range"))
    }

    /// Where the next field lies: start and end within the payload.
    fn span(&mut self) -> Result<Span> {
        let length = self.u32()? as usize;
        if length > self.remaining() {
            return Err(malformed("a field is longer than its frame"));
        }
        let start = self.at;
        self.at += length;
        Ok(Span { start: start as u32, end: self.at as u32 })
    }

    fn field(&mut self) -> Result<&'a [u8]> {
        let span = self.span()?;
        Ok(span.of(self.payload))
    }

    fn bytes(&mut self) -> Result<Bytes> {
        let span = self.span()?;
        Ok(self.payload.slice(span.start as usize..span.end as usize))
    }

    fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.field()?).map_err(|error| malformed("a text is not UTF-8").because(error))
    }

    /// A count of things that take at least `least_bytes` each, so that no count makes us reserve what is not there.
    fn count(&mut self, least_bytes: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.remaining() / least_bytes {
            return Err(malformed("a count is larger than its frame"));
        }
        Ok(count)
    }

    fn end(&self) -> Result<()> {
        if self.remaining() == 0 { Ok(()) } else { Err(malformed("a frame has bytes after its end")) }
    }
}

const NO_PRIORITY: i16 = -1;

fn priority_code(priority: Option<u8>) -> i16 {
    priority.map_or(NO_PRIORITY, i16::from)
}

/// A part of a payload; a payload is smaller than 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, payload: &Bytes) -> &[u8] {
        &payload[self.start as usize..self.end as usize]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) use super::job::tests::job;

    #[test]
    fn a_frame_is_taken_only_when_it_is_all_there() {
        let mut whole = BytesMut::new();
        encode_bare(&mut whole, Kind::Started, Tag(7));
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(take(&mut part).unwrap(), None);
            assert!(missing(&part) > 0 && missing(&part) <= whole.len() - cut);
            assert_eq!(part.len(), cut, "an incomplete frame stays in the buffer");
        }
        let frame = take(&mut whole).unwrap().unwrap();
        assert_eq!((frame.kind, frame.tag, frame.payload.len()), (Kind::Started, Tag(7), 0));
        assert!(whole.is_empty());
    }

    #[test]
    fn lengths_and_kinds_that_cannot_be_are_errors() {
        for bytes in [
            &[0_u8, 0, 0, 0][..],
            &[8, 0, 0, 0],
            &[1, 0, 0, 0x20],
            &[255, 255, 255, 255],
            &[9, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let error = take(&mut BytesMut::from(bytes)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_from_the_pipe_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(frame)) = take(&mut buffer) {
                let _ = JobFrame::parse(frame.tag, frame.payload.clone());
                let _ = parse_finished(&frame.payload);
                let _ = parse_store(&frame.payload);
            }
            let payload = Bytes::from(bytes);
            let _ = JobFrame::parse(Tag(1), payload.clone());
            let _ = parse_finished(&payload);
            let _ = parse_store(&payload);
        }
    }
}
