//! What publishing and one task cost on the Redis broker: wall time here, and the server's own processor time.
//!
//! Starts a private server on a Unix socket. One iteration of an exchange settles a batch, stores its results and takes
//! the next; divide by the batch for the cost of one task. The server's time is printed at the end of each case.

use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fastq_core::broker::redis::{RedisBroker, RedisConfig};
use fastq_core::broker::{Broker, Delivery, Publication, Queue, Subscription};
use fastq_core::clock::Clock;
use fastq_core::ident::task_id;
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::message::Message;
use fastq_core::store::Record;

struct Server {
    child: Child,
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("redis.sock");
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--loglevel", "warning", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            std::thread::yield_now();
        }
        Self { child, socket, _folder: folder }
    }

    fn broker(&self) -> RedisBroker {
        let url = format!("redis+socket://{}", self.socket.display());
        RedisBroker::new(RedisConfig::at(&url, "").expect("a URL"), Clock::system())
    }

    /// The processor time the server has used, in the kernel's ticks of 10 ms.
    fn spent(&self) -> Duration {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(self.child.id().to_string()).join("stat"));
        let status = status.unwrap_or_default();
        let fields = status.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
            body: Bytes::from(vec![b'x'; 100]),
        },
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
        chord_expires: None,
        internal: None,
        mailbox: None,
        patience: None,
    }
}

fn done(delivery: Delivery, results: bool) -> Commit {
    let record = Record {
        task_id: task_id(),
        state: "SUCCESS".into(),
        content_type: "application/json".into(),
        body: vec![b'r'; 180],
    };
    let mut commit = Commit::settle(delivery.receipt, Verdict::Ack);
    if results {
        commit.records.push(record);
    }
    commit
}

/// Times and processor times of one case.
#[derive(Default)]
struct Sum {
    server: Duration,
    client: Duration,
    tasks: u64,
}

async fn drain(server: &Server, rounds: u64, batch: usize, results: bool, sum: &mut Sum) -> Duration {
    let broker = server.broker();
    let mut left = batch * (rounds as usize + 2);
    while left > 0 {
        let count = left.min(1000);
        broker.publish(&vec![publication(); count]).expect("published");
        left -= count;
    }
    let mut session = broker.subscribe(subscription()).await.expect("a session");
    let mut held = session.exchange(&mut Vec::new(), batch).await.expect("taken").deliveries;
    let (began, server_before, client_before) = (Instant::now(), server.spent(), own());
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        sum.tasks += held.len() as u64;
        let mut commits: Vec<Commit> = held.drain(..).map(|delivery| done(delivery, results)).collect();
        held = session.exchange(&mut commits, batch).await.expect("exchanged").deliveries;
    }
    spent += began.elapsed();
    sum.server += server.spent().saturating_sub(server_before);
    sum.client += own().saturating_sub(client_before);
    session.close().await.expect("closed");
    broker.purge("celery").expect("purged");
    spent
}

/// The processor time this process has used.
fn own() -> Duration {
    let status = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = status.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn exchange(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("redis exchange: claim, result, ack");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(300));
    for (batch, results) in [(1, true), (32, false), (32, true), (128, true)] {
        let server = Server::start();
        let mut sum = Sum::default();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch of {batch}, results {results}"), |bencher| {
            bencher.iter_custom(|rounds| runtime.block_on(drain(&server, rounds, batch, results, &mut sum)));
        });
        if sum.tasks > 0 {
            let each = |time: Duration| time.as_secs_f64() * 1e6 / sum.tasks as f64;
            let line = format!(
                "batch of {batch}, results {results}: {:.2} us of the server and {:.2} us of the worker a task ({} tasks)",
                each(sum.server),
                each(sum.client),
                sum.tasks
            );
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
    group.finish();
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("redis publish");
    group.sample_size(10).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    for batch in [1_usize, 32, 1000] {
        let server = Server::start();
        let broker = server.broker();
        let publications: Vec<Publication> = (0..batch).map(|_| publication()).collect();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("batch of {batch}"), |bencher| {
            bencher.iter(|| broker.publish(black_box(&publications)).expect("published"));
        });
    }
    group.finish();
}

criterion_group!(benches, publish, exchange);
criterion_main!(benches);
