//! What one task costs a worker on the SQLite broker: claim, result and acknowledgement in one exchange.
//!
//! The queue is filled before each measurement, so that a batch is always full. Each iteration is one exchange that
//! settles one batch, stores its results and takes the next. Divide by the batch for the cost of one task.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fastq_core::broker::sqlite::{SqliteBroker, SqliteConfig};
use fastq_core::broker::{Broker, Delivery, Publication, Queue, Subscription};
use fastq_core::clock::Clock;
use fastq_core::ident::task_id;
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::message::Message;
use fastq_core::store::Record;

/// How result ids are made: those of fastq grow with time, those of Celery's clients are random.
#[derive(Clone, Copy, Debug)]
enum Ids {
    Ordered,
    Random,
}

fn broker(folder: &Path) -> SqliteBroker {
    SqliteBroker::new(SqliteConfig::at(&folder.join("queue.db")).expect("a path"), Clock::system())
}

fn fill(broker: &SqliteBroker, count: usize) {
    let message = Message {
        headers: Bytes::from(vec![b'h'; 450]),
        properties: Bytes::from(vec![b'p'; 150]),
        body: Bytes::from(vec![b'b'; 300]),
    };
    let publication = Publication {
        exchange: String::new(),
        routing_key: "celery".into(),
        priority: None,
        due: None,
        message,
    };
    let batch = vec![publication; 1000];
    for _ in 0..count.div_ceil(batch.len()) {
        broker.publish(&batch).expect("published");
    }
}

fn subscription() -> Subscription {
    Subscription {
        queues: vec![Queue::named("celery")],
        node: "fastq@bench".into(),
        lease: Duration::from_secs(600),
        max_deaths: 3,
        page: None,
        result_expires: Some(Duration::from_secs(86_400)),
    }
}

fn result(ids: Ids) -> Record {
    let task_id = match ids {
        Ids::Ordered => task_id(),
        Ids::Random => uuid::Uuid::new_v4().to_string(),
    };
    Record {
        task_id,
        state: "SUCCESS".into(),
        content_type: "application/json".into(),
        body: vec![b'r'; 180],
    }
}

fn done(delivery: Delivery, ids: Ids) -> Commit {
    let settle = Some((delivery.receipt, Verdict::Ack));
    Commit { settle, records: vec![result(ids)], ..Commit::default() }
}

/// The time of `rounds` exchanges of `batch` tasks each.
async fn drain(broker: &SqliteBroker, rounds: u64, batch: usize, ids: Ids) -> Duration {
    fill(broker, batch * (rounds as usize + 2));
    let mut session = broker.subscribe(subscription()).await.expect("a session");
    let mut held = session.exchange(&mut Vec::new(), batch).await.expect("taken").deliveries;
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        let mut commits: Vec<Commit> = held.drain(..).map(|delivery| done(delivery, ids)).collect();
        let began = Instant::now();
        held = session.exchange(&mut commits, batch).await.expect("exchanged").deliveries;
        spent += began.elapsed();
    }
    session.close().await.expect("closed");
    spent
}

fn exchange(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("sqlite exchange: claim, result, ack");
    group.sample_size(20);
    let cases = [
        (1, Ids::Ordered, 0),
        (8, Ids::Ordered, 0),
        (32, Ids::Ordered, 0),
        (128, Ids::Ordered, 0),
        (64, Ids::Ordered, 100_000),
        (64, Ids::Random, 100_000),
    ];
    for (batch, ids, stored) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = broker(folder.path());
        let store = broker.store().expect("a store");
        for _ in 0..stored / 1000 {
            let records: Vec<Record> = (0..1000).map(|_| result(ids)).collect();
            store.save(&records, Some(Duration::from_secs(86_400))).expect("saved");
        }
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(
            format!("batch of {batch}, {ids:?} ids, {stored} results stored before"),
            |bencher| {
                bencher.iter_custom(|rounds| runtime.block_on(drain(&broker, rounds, batch, ids)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
