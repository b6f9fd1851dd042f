//! FINISHED and STORE frames: what an executor tells of its runs.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::chords::{chords_size, put_chords, take_chords};
use super::{Kind, Reader, begin, field_bytes, malformed, priority_code, put_field};
use crate::broker::Publication;
use crate::clock::WallTime;
use crate::error::Result;
use crate::ident::Tag;
use crate::job::ending::{Ending, Outcome};
use crate::message::Message;
use crate::store::{Chords, Record};

/// Four empty fields.
const RECORD_LEAST_BYTES: usize = 4 * 4;
/// Five empty fields, priority and due time.
const PUBLICATION_LEAST_BYTES: usize = 5 * 4 + 2 + 8;
/// Set in the ending of a run that has to do with chords.
const HAS_CHORDS: u8 = 0x80;
/// A due time that is none.
const NOT_DUE: i64 = i64::MIN;

/// A [`Record`] whose parts belong to someone else, such as Python.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// The task it belongs to.
    pub task_id: &'a str,
    /// Its state.
    pub state: &'a str,
    /// Such as `application/json`.
    pub content_type: &'a str,
    /// The encoded document.
    pub body: &'a [u8],
}

/// A [`Publication`] whose parts belong to someone else.
#[derive(Clone, Copy, Debug)]
pub struct PublicationRef<'a> {
    /// Exchange; the empty one sends to the queue named by the routing key.
    pub exchange: &'a str,
    /// Routing key, or the queue's name.
    pub routing_key: &'a str,
    /// 0 to 255.
    pub priority: Option<u8>,
    /// Not before.
    pub due: Option<WallTime>,
    /// A JSON object.
    pub headers: &'a [u8],
    /// A JSON object.
    pub properties: &'a [u8],
    /// The encoded body.
    pub body: &'a [u8],
}

/// An [`Outcome`] whose parts belong to someone else; the port adds the run time.
#[derive(Clone, Copy, Debug)]
pub struct OutcomeRef<'a> {
    /// The ending.
    pub ending: Ending,
    /// States to store, in order.
    pub records: &'a [RecordRef<'a>],
    /// Messages that must follow.
    pub publications: &'a [PublicationRef<'a>],
    /// What it has to do with chords.
    pub chords: Option<&'a Chords>,
    /// One sentence, or nothing.
    pub reason: &'a str,
}

impl RecordRef<'_> {
    /// A copy that belongs to nobody else.
    pub fn to_record(&self) -> Record {
        Record {
            task_id: self.task_id.to_owned(),
            state: self.state.to_owned(),
            content_type: self.content_type.to_owned(),
            body: self.body.to_vec(),
        }
    }

    fn size(&self) -> usize {
        field_bytes(self.task_id.len())
            + field_bytes(self.state.len())
            + field_bytes(self.content_type.len())
            + field_bytes(self.body.len())
    }
}

impl<'a> From<&'a Record> for RecordRef<'a> {
    fn from(record: &'a Record) -> Self {
        Self {
            task_id: &record.task_id,
            state: &record.state,
            content_type: &record.content_type,
            body: &record.body,
        }
    }
}

impl PublicationRef<'_> {
    /// A copy that belongs to nobody else, the message's parts in one allocation.
    pub fn to_publication(&self) -> Publication {
        let mut all = Vec::with_capacity(self.headers.len() + self.properties.len() + self.body.len());
        all.extend_from_slice(self.headers);
        all.extend_from_slice(self.properties);
        all.extend_from_slice(self.body);
        let mut rest = Bytes::from(all);
        let headers = rest.split_to(self.headers.len());
        let properties = rest.split_to(self.properties.len());
        Publication {
            exchange: self.exchange.to_owned(),
            routing_key: self.routing_key.to_owned(),
            priority: self.priority,
            due: self.due,
            message: Message { headers, properties, body: rest },
        }
    }

    fn size(&self) -> usize {
        PUBLICATION_LEAST_BYTES
            + self.exchange.len()
            + self.routing_key.len()
            + self.headers.len()
            + self.properties.len()
            + self.body.len()
    }
}

impl<'a> From<&'a Publication> for PublicationRef<'a> {
    fn from(publication: &'a Publication) -> Self {
        Self {
            exchange: &publication.exchange,
            routing_key: &publication.routing_key,
            priority: publication.priority,
            due: publication.due,
            headers: &publication.message.headers,
            properties: &publication.message.properties,
            body: &publication.message.body,
        }
    }
}

/// Appends the FINISHED frame of the job `tag`.
///
/// # Errors
/// `Encode` when it is larger than a frame may be; `out` is as it was.
pub fn encode_finished(
    out: &mut BytesMut,
    tag: Tag,
    outcome: &OutcomeRef<'_>,
    runtime: Duration,
) -> Result<()> {
    let publications: usize = outcome.publications.iter().map(PublicationRef::size).sum();
    let chords = outcome.chords.map_or(0, chords_size);
    let size =
        1 + 8 + field_bytes(outcome.reason.len()) + records_size(outcome.records) + 4 + publications + chords;
    begin(out, Kind::Finished, tag, size)?;
    out.put_u8(outcome.ending as u8 | if outcome.chords.is_some() { HAS_CHORDS } else { 0 });
    out.put_u64_le(u64::try_from(runtime.as_nanos()).unwrap_or(u64::MAX));
    put_field(out, outcome.reason.as_bytes());
    put_records(out, outcome.records);
    out.put_u32_le(outcome.publications.len() as u32);
    for publication in outcome.publications {
        put_publication(out, publication);
    }
    if let Some(chords) = outcome.chords {
        put_chords(out, chords);
    }
    Ok(())
}

/// Appends a STORE frame.
///
/// # Errors
/// `Encode` when it is larger than a frame may be; `out` is as it was.
pub fn encode_store(out: &mut BytesMut, records: &[RecordRef<'_>]) -> Result<()> {
    begin(out, Kind::Store, Tag(0), records_size(records))?;
    put_records(out, records);
    Ok(())
}

/// Reads the payload of a FINISHED frame.
///
/// # Errors
/// `Decode` when it is none.
pub fn parse_finished(payload: &Bytes) -> Result<Outcome> {
    let mut reader = Reader::new(payload);
    let code = reader.u8()?;
    let ending = Ending::from_code(code & !HAS_CHORDS).ok_or_else(|| malformed("no such ending"))?;
    let runtime = Duration::from_nanos(reader.u64()?);
    let reason = reader.text()?.to_owned();
    let records = take_records(&mut reader)?;
    let count = reader.count(PUBLICATION_LEAST_BYTES)?;
    let mut publications = Vec::with_capacity(count);
    for _ in 0..count {
        publications.push(take_publication(&mut reader)?);
    }
    let chords = if code & HAS_CHORDS == 0 { None } else { Some(Box::new(take_chords(&mut reader)?)) };
    reader.end()?;
    Ok(Outcome { ending, records, publications, chords, reason, runtime })
}

/// Reads the payload of a STORE frame.
///
/// # Errors
/// `Decode` when it is none.
pub fn parse_store(payload: &Bytes) -> Result<Vec<Record>> {
    let mut reader = Reader::new(payload);
    let records = take_records(&mut reader)?;
    reader.end()?;
    Ok(records)
}

fn records_size(records: &[RecordRef<'_>]) -> usize {
    4 + records.iter().map(RecordRef::size).sum::<usize>()
}

fn put_records(out: &mut BytesMut, records: &[RecordRef<'_>]) {
    out.put_u32_le(records.len() as u32);
    for record in records {
        put_field(out, record.task_id.as_bytes());
        put_field(out, record.state.as_bytes());
        put_field(out, record.content_type.as_bytes());
        put_field(out, record.body);
    }
}

fn put_publication(out: &mut BytesMut, publication: &PublicationRef<'_>) {
    put_field(out, publication.exchange.as_bytes());
    put_field(out, publication.routing_key.as_bytes());
    out.put_i16_le(priority_code(publication.priority));
    out.put_i64_le(publication.due.map_or(NOT_DUE, |due| due.0));
    put_field(out, publication.headers);
    put_field(out, publication.properties);
    put_field(out, publication.body);
}

fn take_records(reader: &mut Reader<'_>) -> Result<Vec<Record>> {
    let count = reader.count(RECORD_LEAST_BYTES)?;
    let mut records = Vec::with_capacity(count);
    for _ in 0..count {
        records.push(Record {
            task_id: reader.text()?.to_owned(),
            state: reader.text()?.to_owned(),
            content_type: reader.text()?.to_owned(),
            body: reader.field()?.to_vec(),
        });
    }
    Ok(records)
}

fn take_publication(reader: &mut Reader<'_>) -> Result<Publication> {
    let exchange = reader.text()?.to_owned();
    let routing_key = reader.text()?.to_owned();
    let priority = reader.priority()?;
    let due = reader.i64()?;
    Ok(Publication {
        exchange,
        routing_key,
        priority,
        due: (due != NOT_DUE).then_some(WallTime(due)),
        message: Message { headers: reader.bytes()?, properties: reader.bytes()?, body: reader.bytes()? },
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::chords::tests::chords;
    use super::super::take;
    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        ("\\PC{0,20}", "[A-Z]{0,9}", "[a-z/]{0,12}", vec(any::<u8>(), 0..60))
            .prop_map(|(task_id, state, content_type, body)| Record { task_id, state, content_type, body })
    }

    fn publication() -> impl Strategy<Value = Publication> {
        let message = (vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..30), vec(any::<u8>(), 0..30));
        ("\\PC{0,9}", "\\PC{0,9}", any::<Option<u8>>(), proptest::option::of(-5_i64..i64::MAX), message)
            .prop_map(|(exchange, routing_key, priority, due, (headers, properties, body))| Publication {
                exchange,
                routing_key,
                priority,
                due: due.map(WallTime),
                message: Message {
                    headers: headers.into(),
                    properties: properties.into(),
                    body: body.into(),
                },
            })
    }

    proptest! {
        #[test]
        fn an_outcome_reads_as_it_was_written(
            tag: u64, code in 0_u8..7, records in vec(record(), 0..4), publications in vec(publication(), 0..4),
            chords in chords(), reason in "\\PC{0,30}", nanoseconds: u64,
        ) {
            let outcome = Outcome {
                ending: Ending::from_code(code).unwrap(), records, publications, chords, reason,
                runtime: Duration::from_nanos(nanoseconds),
            };
            let records: Vec<RecordRef<'_>> = outcome.records.iter().map(RecordRef::from).collect();
            let publications: Vec<PublicationRef<'_>> = outcome.publications.iter().map(PublicationRef::from).collect();
            let borrowed = OutcomeRef {
                ending: outcome.ending, records: &records, publications: &publications,
                chords: outcome.chords.as_deref(), reason: &outcome.reason,
            };
            let mut pipe = BytesMut::new();
            encode_finished(&mut pipe, Tag(tag), &borrowed, outcome.runtime).unwrap();
            encode_store(&mut pipe, &records).unwrap();
            let finished = take(&mut pipe).unwrap().unwrap();
            prop_assert_eq!((finished.kind, finished.tag), (Kind::Finished, Tag(tag)));
            prop_assert_eq!(parse_finished(&finished.payload).unwrap(), outcome.clone());
            let stored = take(&mut pipe).unwrap().unwrap();
            prop_assert_eq!(parse_store(&stored.payload).unwrap(), outcome.records);
            prop_assert!(pipe.is_empty());
            for cut in 0..finished.payload.len() {
                prop_assert!(parse_finished(&finished.payload.slice(..cut)).is_err());
            }
        }
    }

    #[test]
    fn a_count_larger_than_its_frame_is_refused_before_anything_is_reserved() {
        let error = parse_store(&Bytes::from_static(&[255, 255, 255, 255])).unwrap_err();
        assert_eq!(error.to_string(), "read from the pipe: a count is larger than its frame");
    }
}
