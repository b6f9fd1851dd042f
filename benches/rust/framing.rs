//! What a job and its outcome cost on the pipe: encoding and parsing, without the system call.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fastq_core::broker::{Delivery, Receipt};
use fastq_core::clock::Instant;
use fastq_core::ident::{Tag, task_id};
use fastq_core::job::Job;
use fastq_core::job::ending::Ending;
use fastq_core::job::policy::Policy;
use fastq_core::message::Message;
use fastq_core::pool::frame::{self, JobFrame, OutcomeRef, RecordRef};

const BATCH: u64 = 32;

/// A job as `add.delay(2, 3)` makes it: about 300 bytes of headers, properties and body.
fn job(tag: u64) -> Job {
    let id = task_id();
    let headers = format!(
        r#"{{"lang":"py","task":"shop.add","id":"{id}","root_id":"{id}","parent_id":null,"retries":0,"eta":null}}"#
    );
    let properties = format!(r#"{{"correlation_id":"{id}","content_type":"application/json"}}"#);
    Job {
        delivery: Delivery {
            receipt: Receipt::new(Tag(tag), 1),
            queue: Arc::from("celery"),
            exchange: Arc::from(""),
            routing_key: Arc::from("celery"),
            priority: None,
            rank: 0,
            redelivered: false,
            deaths: 0,
            message: Message {
                headers: Bytes::from(headers),
                properties: Bytes::from(properties),
                body: Bytes::from_static(
                    br#"[[2,3],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]"#,
                ),
            },
        },
        id,
        name: "shop.add".to_owned(),
        policy: Arc::new(Policy::named("shop.add")),
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

fn jobs(criterion: &mut Criterion) {
    let batch: Vec<Job> = (1..=BATCH).map(job).collect();
    let mut group = criterion.benchmark_group("frame/job");
    group.throughput(Throughput::Elements(BATCH));
    let mut pipe = BytesMut::with_capacity(64 * 1024);
    group.bench_function("encode 32", |bencher| {
        bencher.iter(|| {
            pipe.clear();
            for (seq, job) in (1..).zip(&batch) {
                frame::encode_job(&mut pipe, seq, job).expect("small enough");
            }
            black_box(&pipe);
        });
    });
    group.bench_function("parse 32", |bencher| {
        bencher.iter_batched(
            || BytesMut::from(&pipe[..]),
            |mut pipe| {
                while let Some(frame) = frame::take(&mut pipe).expect("whole frames") {
                    black_box(JobFrame::parse(frame.tag, frame.payload).expect("a job"));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn outcomes(criterion: &mut Criterion) {
    let id = task_id();
    let body = format!(
        r#"{{"status":"SUCCESS","result":5,"traceback":null,"children":[],"date_done":"2026-11-22T11:42:22.216546+00:00","task_id":"{id}"}}"#
    );
    let records = [RecordRef {
        task_id: &id,
        state: "SUCCESS",
        content_type: "application/json",
        body: body.as_bytes(),
    }];
    let outcome =
        OutcomeRef { ending: Ending::Done, records: &records, publications: &[], chords: None, reason: "" };
    let mut group = criterion.benchmark_group("frame/outcome");
    group.throughput(Throughput::Elements(BATCH));
    let mut pipe = BytesMut::with_capacity(64 * 1024);
    group.bench_function("encode 32", |bencher| {
        bencher.iter(|| {
            pipe.clear();
            for tag in 1..=BATCH {
                frame::encode_finished(&mut pipe, Tag(tag), &outcome, Duration::from_micros(3))
                    .expect("small enough");
            }
            black_box(&pipe);
        });
    });
    group.bench_function("parse 32", |bencher| {
        bencher.iter_batched(
            || BytesMut::from(&pipe[..]),
            |mut pipe| {
                while let Some(frame) = frame::take(&mut pipe).expect("whole frames") {
                    black_box(frame::parse_finished(&frame.payload).expect("an outcome"));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, jobs, outcomes);
criterion_main!(benches);
