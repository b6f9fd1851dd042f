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
#[derive(Clone, Copy)]
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

fn done(delivery: Delivery, ids: Ids) -> Commit {
    let task_id = match ids {
        Ids::Ordered => task_id(),
        Ids::Random => uuid::Uuid::new_v4().to_string(),
    };
    let record = Record {
        task_id,
        state: "SUCCESS".into(),
        content_type: "application/json".into(),
        body: vec![b'r'; 180],
    };
    Commit { settle: Some((delivery.receipt, Verdict::Ack)), records: vec![record], publications: Vec::new() }
}

/// The time of `rounds` exchanges of `batch` tasks each.
fn drain(rounds: u64, batch: usize, ids: Ids, prefilled: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = broker(folder.path());
    fill(&broker, batch * (rounds as usize + 2));
    let records: Vec<Record> = (0..prefilled)
        .map(|_| Record {
            task_id: match ids {
                Ids::Ordered => task_id(),
                Ids::Random => uuid::Uuid::new_v4().to_string(),
            },
            state: "SUCCESS".into(),
            content_type: "application/json".into(),
            body: vec![b'r'; 180],
        })
        .collect();
    let store = broker.store().expect("a store");
    for chunk in records.chunks(2000) {
        store.save(chunk, Some(Duration::from_secs(86_400))).expect("saved");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
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
    })
}

fn exchange(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sqlite exchange: claim, result, ack");
    group.sample_size(20);
    for batch in [1_usize, 8, 32, 128] {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch of {batch}"), |bencher| {
            bencher.iter_custom(|rounds| drain(rounds, batch, Ids::Ordered, 0));
        });
    }
    for (name, ids) in [("ordered", Ids::Ordered), ("random", Ids::Random)] {
        group.throughput(Throughput::Elements(64));
        group.bench_function(format!("batch of 64, {name} ids, 200000 results stored"), |bencher| {
            bencher.iter_custom(|rounds| drain(rounds, 64, ids, 200_000));
        });
    }
    group.finish();
}

criterion_group!(benches, exchange);
criterion_main!(benches);
