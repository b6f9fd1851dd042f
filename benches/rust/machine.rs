//! What one job costs the machine: taken in, handed out, settled. `cargo bench -p fastq_core --bench machine`

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fastq_core::broker::{Delivery, Receipt};
use fastq_core::clock::{Instant, WallTime};
use fastq_core::consumer::accept::{Accepted, accept};
use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::{Effect, Effects, Input, Machine, Now};
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::Job;
use fastq_core::job::ending::{Ending, Outcome};
use fastq_core::job::policy::{Policies, Policy};
use fastq_core::message::Message;

const JOBS: u64 = 1024;
const HEADERS: &[u8] =
    br#"{"lang":"py","task":"shop.add","id":"019a9d3e-6f0e-7c3f-8b60-1c8c5a4f0001","shadow":null,
"eta":null,"expires":null,"group":null,"group_index":null,"retries":0,"timelimit":[null,null],
"root_id":"019a9d3e-6f0e-7c3f-8b60-1c8c5a4f0001","parent_id":null,"argsrepr":"(1, 2)","kwargsrepr":"{}",
"origin":"gen1@host","ignore_result":false,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{}}"#;

fn delivery(tag: u64) -> Delivery {
    Delivery {
        receipt: Receipt::new(Tag(tag), 1),
        queue: "celery".into(),
        exchange: "".into(),
        routing_key: "celery".into(),
        priority: None,
        rank: 0,
        redelivered: false,
        deaths: 0,
        message: Message { headers: HEADERS.into(), ..Message::default() },
    }
}

#[expect(clippy::vec_box, reason = "this is what the machine is given")]
fn jobs(policies: &Policies) -> Vec<Box<Job>> {
    let job = |tag| match accept(delivery(tag), policies, Instant(0), WallTime(0)) {
        Accepted::Job(job) => job,
        Accepted::Settled(..) => unreachable!("the task is registered"),
    };
    (1..=JOBS).map(job).collect()
}

fn machine() -> Machine {
    let mut machine = Machine::new(Prefetch::Auto, true);
    let mut effects = Effects::new();
    for slot in [SlotId(0), SlotId(1)] {
        machine
            .step(Now::default(), Input::SlotMade { slot, killable: true, after: None }, &mut effects)
            .expect("fits");
        machine.step(Now::default(), Input::SlotUp(slot), &mut effects).expect("fits");
    }
    machine
}

#[expect(clippy::vec_box, reason = "this is what the machine is given")]
/// Takes all jobs in and settles them as they are handed out.
fn live(machine: &mut Machine, jobs: Vec<Box<Job>>) {
    let now = Now::default();
    let mut effects = Effects::new();
    for job in jobs {
        machine.step(now, Input::Arrived(job), &mut effects).expect("fits");
    }
    let mut next = 0;
    while next < effects.len() {
        if let Effect::Send { slot, tag, .. } = effects[next] {
            let outcome = Outcome {
                chords: None,
                ending: Ending::Done,
                records: Vec::new(),
                publications: Vec::new(),
                reason: String::new(),
                runtime: Duration::from_micros(10),
            };
            machine.step(now, Input::Finished(slot, tag, Box::new(outcome)), &mut effects).expect("fits");
        }
        next += 1;
    }
    black_box(effects);
}

fn bench(criterion: &mut Criterion) {
    let policies = Policies::new([Policy::named("shop.add")]);
    let mut group = criterion.benchmark_group("machine");
    group.throughput(Throughput::Elements(JOBS));
    group.bench_function("accept", |bencher| {
        bencher.iter_batched(|| (), |()| jobs(&policies), BatchSize::LargeInput);
    });
    group.bench_function("whole life of a job", |bencher| {
        bencher.iter_batched(
            || (machine(), jobs(&policies)),
            |(mut machine, jobs)| live(&mut machine, jobs),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
