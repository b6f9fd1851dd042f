//! JOB frames: a Job on its way to an executor.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Kind, Reader, Span, begin, field_bytes, malformed, priority_code, put_field};
use crate::error::Result;
use crate::ident::Tag;
use crate::job::Job;

const REDELIVERED: u8 = 1;
const REPORT_START: u8 = 2;
const IGNORE_RESULT: u8 = 4;
const HAS_FAMILY: u8 = 8;

/// A limit that is none.
const UNLIMITED: u64 = u64::MAX;

/// What stands before the fields.
const FIXED_BYTES: usize = 8 + 1 + 2 + 4 + 8 + 8;

/// Appends `job` as the `seq`-th job of its slot.
///
/// # Errors
/// `Encode` when it is larger than a frame may be; `out` is as it was.
pub fn encode_job(out: &mut BytesMut, seq: u64, job: &Job) -> Result<()> {
    let delivery = &job.delivery;
    let message = &delivery.message;
    let fields: [&[u8]; 8] = [
        job.id.as_bytes(),
        job.name.as_bytes(),
        delivery.queue.as_bytes(),
        delivery.exchange.as_bytes(),
        delivery.routing_key.as_bytes(),
        &message.headers,
        &message.properties,
        &message.body,
    ];
    let size = FIXED_BYTES + fields.iter().map(|field| field_bytes(field.len())).sum::<usize>();
    begin(out, Kind::Job, job.tag(), size)?;
    out.put_u64_le(seq);
    out.put_u8(flags(job));
    out.put_i16_le(priority_code(delivery.priority));
    out.put_u32_le(delivery.deaths);
    out.put_u64_le(nanoseconds(job.hard_limit()));
    out.put_u64_le(nanoseconds(job.soft_limit()));
    for field in fields {
        put_field(out, field);
    }
    Ok(())
}

fn flags(job: &Job) -> u8 {
    let mut flags = 0;
    if job.delivery.redelivered {
        flags |= REDELIVERED;
    }
    if job.must_report_start() {
        flags |= REPORT_START;
    }
    if job.ignores_result() {
        flags |= IGNORE_RESULT;
    }
    if job.has_family {
        flags |= HAS_FAMILY;
    }
    flags
}

fn nanoseconds(limit: Option<Duration>) -> u64 {
    limit.map_or(UNLIMITED, |limit| u64::try_from(limit.as_nanos()).unwrap_or(UNLIMITED))
}

fn limit(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != UNLIMITED).then(|| Duration::from_nanos(nanoseconds))
}

/// A job as the executor sees it: one frame, its fields found but not copied.
#[derive(Clone, Debug)]
pub struct JobFrame {
    /// Names it to the parent.
    pub tag: Tag,
    /// Which job of its slot it is, counted from 1.
    pub seq: u64,
    /// As published.
    pub priority: Option<u8>,
    /// How many workers or children died while they ran it.
    pub deaths: u32,
    /// Hard limit.
    pub hard_limit: Option<Duration>,
    /// Soft limit.
    pub soft_limit: Option<Duration>,
    flags: u8,
    payload: Bytes,
    texts: [Span; 5],
    parts: [Span; 3],
}

impl JobFrame {
    /// Finds the fields of a JOB frame's payload.
    ///
    /// # Errors
    /// `Decode` when the payload is no job.
    pub fn parse(tag: Tag, payload: Bytes) -> Result<Self> {
        let mut reader = Reader::new(&payload);
        let seq = reader.u64()?;
        let flags = reader.u8()?;
        let priority = reader.priority()?;
        let deaths = reader.u32()?;
        let hard_limit = limit(reader.u64()?);
        let soft_limit = limit(reader.u64()?);
        let mut texts = [Span::default(); 5];
        for text in &mut texts {
            *text = reader.span()?;
            // Checked once here, so that the accessors below cannot fail.
            std::str::from_utf8(text.of(&payload))
                .map_err(|error| malformed("a text is not UTF-8").because(error))?;
        }
        let parts = [reader.span()?, reader.span()?, reader.span()?];
        reader.end()?;
        Ok(Self { tag, seq, priority, deaths, hard_limit, soft_limit, flags, payload, texts, parts })
    }

    /// Task id.
    pub fn id(&self) -> &str {
        self.text(0)
    }

    /// Task name.
    pub fn name(&self) -> &str {
        self.text(1)
    }

    /// The queue it was taken from.
    pub fn queue(&self) -> &str {
        self.text(2)
    }

    /// As published.
    pub fn exchange(&self) -> &str {
        self.text(3)
    }

    /// As published.
    pub fn routing_key(&self) -> &str {
        self.text(4)
    }

    /// The headers: a JSON object.
    pub fn headers(&self) -> &[u8] {
        self.parts[0].of(&self.payload)
    }

    /// The properties: a JSON object.
    pub fn properties(&self) -> &[u8] {
        self.parts[1].of(&self.payload)
    }

    /// The encoded body.
    pub fn body(&self) -> &[u8] {
        self.parts[2].of(&self.payload)
    }

    /// It had been delivered before.
    pub fn redelivered(&self) -> bool {
        self.flags & REDELIVERED != 0
    }

    /// The parent decides something on the start and wants to hear of it at once.
    pub fn must_report_start(&self) -> bool {
        self.flags & REPORT_START != 0
    }

    /// Nobody wants the result.
    pub fn ignores_result(&self) -> bool {
        self.flags & IGNORE_RESULT != 0
    }

    /// It belongs to a group, or a run sent it.
    pub fn has_family(&self) -> bool {
        self.flags & HAS_FAMILY != 0
    }

    fn text(&self, position: usize) -> &str {
        // `parse` has checked that it is UTF-8.
        std::str::from_utf8(self.texts[position].of(&self.payload)).unwrap_or_default()
    }
}

#[cfg(test)]
pub(in super::super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::take;
    use super::*;
    use crate::broker::{Delivery, Receipt};
    use crate::clock::Instant;
    use crate::job::policy::Policy;
    use crate::message::Message;

    /// A job called `name` with `body`, under the default Policy.
    pub(crate) fn job(tag: u64, name: &str, body: &[u8]) -> Job {
        let message = Message {
            headers: Bytes::from_static(br#"{"task":"t"}"#),
            properties: Bytes::from_static(br#"{"content_type":"application/json"}"#),
            body: Bytes::copy_from_slice(body),
        };
        let delivery = Delivery {
            receipt: Receipt::new(Tag(tag), 1),
            queue: Arc::from("celery"),
            exchange: Arc::from(""),
            routing_key: Arc::from("celery"),
            priority: None,
            rank: 0,
            redelivered: false,
            deaths: 0,
            message,
        };
        Job {
            delivery,
            id: format!("id-{tag}"),
            name: name.to_owned(),
            policy: Arc::new(Policy::named(name)),
            due: None,
            expires: None,
            time_limit: None,
            soft_time_limit: None,
            ignore_result: None,
            has_family: false,
            received_at: Instant(0),
            keys: None,
        }
    }

    proptest! {
        #[test]
        fn a_job_reads_as_it_was_written(
            seq: u64, tag in 1_u64.., name in "\\PC{0,40}", body: Vec<u8>, priority: Option<u8>, deaths: u32,
            redelivered: bool, has_family: bool, ignore_result: Option<bool>, hard in proptest::option::of(0_u32..100_000),
        ) {
            let mut sent = job(tag, &name, &body);
            sent.delivery.priority = priority;
            sent.delivery.deaths = deaths;
            sent.delivery.redelivered = redelivered;
            sent.ignore_result = ignore_result;
            sent.has_family = has_family;
            sent.time_limit = hard.map(|milliseconds| Duration::from_millis(milliseconds.into()));
            let mut pipe = BytesMut::new();
            encode_job(&mut pipe, seq, &sent).unwrap();
            let frame = take(&mut pipe).unwrap().unwrap();
            prop_assert!(pipe.is_empty());
            prop_assert_eq!(frame.kind, Kind::Job);
            let read = JobFrame::parse(frame.tag, frame.payload).unwrap();
            prop_assert_eq!((read.tag, read.seq, read.priority, read.deaths), (Tag(tag), seq, priority, deaths));
            prop_assert_eq!((read.id(), read.name(), read.queue()), (&*sent.id, &*name, "celery"));
            prop_assert_eq!((read.exchange(), read.routing_key()), ("", "celery"));
            prop_assert_eq!(read.headers(), &sent.delivery.message.headers[..]);
            prop_assert_eq!(read.properties(), &sent.delivery.message.properties[..]);
            prop_assert_eq!(read.body(), &body[..]);
            prop_assert_eq!((read.hard_limit, read.soft_limit), (sent.time_limit, None));
            prop_assert_eq!(read.redelivered(), redelivered);
            prop_assert_eq!(read.ignores_result(), ignore_result.unwrap_or(false));
            prop_assert_eq!(read.has_family(), has_family);
            prop_assert_eq!(read.must_report_start(), hard.is_some());
        }

        #[test]
        fn a_job_cut_short_or_damaged_is_an_error_or_another_job_but_no_panic(cut in 0_usize..200, at in 0_usize..200, value: u8) {
            let mut pipe = BytesMut::new();
            encode_job(&mut pipe, 1, &job(1, "shop.add", b"[[1, 2], {}, {}]")).unwrap();
            let payload = take(&mut pipe).unwrap().unwrap().payload;
            let cut = cut.min(payload.len() - 1);
            prop_assert!(JobFrame::parse(Tag(1), payload.slice(..cut)).is_err());
            let mut damaged = payload.to_vec();
            let at = at % damaged.len();
            damaged[at] = value;
            if let Ok(read) = JobFrame::parse(Tag(1), damaged.into()) {
                let _ = (read.id().len(), read.body().len());
            }
        }
    }
}
