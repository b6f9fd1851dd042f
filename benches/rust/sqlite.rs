//! What one publish costs on the SQLite broker, one by one and in batches (300-byte body, release, local disk).

use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fastq_core::broker::sqlite::{SqliteBroker, SqliteConfig};
use fastq_core::broker::{Broker, Publication};
use fastq_core::clock::Clock;
use fastq_core::ident::task_id;
use fastq_core::message::Message;

fn broker(folder: &Path) -> SqliteBroker {
    SqliteBroker::new(SqliteConfig::at(&folder.join("queue.db")).expect("a path"), Clock::system())
}

fn publication() -> Publication {
    let id = task_id();
    let headers = format!(
        r#"{{"lang":"py","task":"shop.add","id":"{id}","shadow":null,"eta":null,"expires":null,"group":null,"group_index":null,"retries":0,"timelimit":[null,null],"root_id":"{id}","parent_id":null,"argsrepr":"(1, 2)","kwargsrepr":"{{}}","origin":"gen1@host","ignore_result":false,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{{}}}}"#
    );
    let properties = format!(
        r#"{{"correlation_id":"{id}","reply_to":"","content_type":"application/json","content_encoding":"utf-8","delivery_mode":2,"priority":0}}"#
    );
    Publication {
        exchange: String::new(),
        routing_key: "celery".into(),
        priority: None,
        due: None,
        message: Message {
            headers: Bytes::from(headers),
            properties: Bytes::from(properties),
            body: Bytes::from(vec![b'x'; 300]),
        },
    }
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sqlite publish");
    for batch in [1_usize, 8, 32, 128] {
        let folder = tempfile::tempdir().expect("a folder");
        let broker = broker(folder.path());
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch of {batch}"), |bencher| {
            bencher.iter_batched(
                || (0..batch).map(|_| publication()).collect::<Vec<_>>(),
                |publications| broker.publish(black_box(&publications)).expect("published"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
