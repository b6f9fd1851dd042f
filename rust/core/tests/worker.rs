//! A whole worker on the memory broker, with executors that are threads of this test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastq_core::broker::{Broker, Publication, Queue, connect};
use fastq_core::event::{Event, EventKind};
use fastq_core::job::ending::Ending;
use fastq_core::job::policy::{Policies, Policy};
use fastq_core::message::Message;
use fastq_core::pool::frame::{OutcomeRef, RecordRef};
use fastq_core::pool::page::{PAGE_BYTES, Page};
use fastq_core::pool::port::{Gathered, Next, Port};
use fastq_core::worker::Worker;
use fastq_core::worker::config::{Prefetch, SlotPage, StopHow, WorkerConfig};
use std::sync::atomic::{AtomicU64, Ordering};

const LIMIT: Duration = Duration::from_secs(30);

/// A slot page in this process.
struct Words(Vec<AtomicU64>);

impl Page for Words {
    fn load(&self, word: usize) -> u64 {
        self.0[word].load(Ordering::SeqCst)
    }
    fn store(&self, word: usize, value: u64) {
        self.0[word].store(value, Ordering::SeqCst);
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.0[word].compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst)
    }
}

fn page() -> Arc<dyn Page> {
    Arc::new(Words((0..PAGE_BYTES / 8).map(|_| AtomicU64::new(0)).collect()))
}

fn start(broker: Arc<dyn Broker>, page: Arc<dyn Page>) -> Worker {
    let config = WorkerConfig {
        node: "fastq@test".into(),
        queues: vec![Queue::named("celery")],
        policies: Policies::new([Policy::named("add")]),
        children: 0,
        most_children: 0,
        permits: None,
        nursery: None,
        prefetch: Prefetch::Auto,
        page: SlotPage { words: page, file: None, path: None },
        lease: Duration::from_secs(10),
        max_deaths: 3,
        chord_expires: None,
        internal: None,
        patience: None,
        result_expires: None,
        mailbox: None,
        revoke_expires: Duration::from_secs(10_800),
        stop_within: None,
        soft_stop_within: Duration::ZERO,
        ends_lost_runs: false,
        gives_up_slots: false,
        eta_limit: None,
        watch: Vec::new(),
    };
    Worker::start(config, broker, None).expect("the worker starts")
}

/// An executor: says that every job is done until it is to leave; returns how many it ran.
fn executor(worker: &Worker, page: Arc<dyn Page>) -> std::thread::JoinHandle<usize> {
    let (socket, slot) = worker.port().expect("a slot");
    std::thread::spawn(move || {
        let port = Port::new(socket, page, slot);
        let mut ran = 0;
        loop {
            match port.next(None).expect("the port works") {
                Next::Job(run) => {
                    ran += 1;
                    let record = RecordRef {
                        task_id: run.job.id(),
                        state: "SUCCESS",
                        content_type: "application/json",
                        body: b"{}",
                    };
                    let outcome = OutcomeRef {
                        ending: Ending::Done,
                        records: &[record],
                        publications: &[],
                        chords: None,
                        reason: "",
                    };
                    if port.finish(&run, &outcome).expect("the port works") == Gathered::Enough {
                        port.flush().expect("the port works");
                    }
                }
                Next::Ended => return ran,
                _ => {}
            }
        }
    })
}

fn publication(id: usize, task: &str) -> Publication {
    let headers = format!(r#"{{"task":"{task}","id":"{id}"}}"#);
    Publication {
        exchange: String::new(),
        routing_key: "celery".into(),
        priority: None,
        due: None,
        message: Message { headers: headers.into(), properties: "{}".into(), body: "[[],{},{}]".into() },
    }
}

fn wait_for(worker: &Worker, kind: EventKind) -> Event {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(event) =
            worker.attend(Duration::from_millis(100)).into_iter().find(|event| event.kind == kind)
        {
            return event;
        }
    }
    panic!("no {kind:?} within {LIMIT:?}");
}

fn settled(broker: &dyn Broker) -> bool {
    broker.depths().expect("depths").iter().all(|depth| depth.ready + depth.in_flight + depth.delayed == 0)
}

fn wait_until(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !fact() {
        assert!(Instant::now() < deadline, "{what} did not happen within {LIMIT:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_runs_everything_once_and_stops_clean() {
    let broker = connect("memory://worker-runs-everything", "{}").expect("a broker");
    let page = page();
    let worker = start(broker.clone(), page.clone());
    let executors = [executor(&worker, page.clone()), executor(&worker, page)];
    for first in (0..5000).step_by(100) {
        let batch: Vec<Publication> = (first..first + 100).map(|id| publication(id, "add")).collect();
        broker.publish(&batch).expect("published");
    }
    wait_until("the end of all jobs", || settled(&*broker));
    worker.stop(StopHow::Warm);
    let stopped = wait_for(&worker, EventKind::Stopped);
    assert!(stopped.fields.contains(&("clean", true.into())), "{stopped:?}");
    let ran: usize = executors.into_iter().map(|executor| executor.join().expect("no panic")).sum();
    assert_eq!(ran, 5000);
    let ids: Vec<String> = (0..5000).map(|id| id.to_string()).collect();
    let records = broker.store().expect("a native store").load(&ids).expect("records");
    assert!(records.iter().all(Option::is_some));
}

#[test]
fn an_unknown_task_is_set_aside_and_told() {
    let broker = connect("memory://worker-unknown", "{}").expect("a broker");
    let page = page();
    let worker = start(broker.clone(), page.clone());
    let executor = executor(&worker, page);
    broker.publish(&[publication(1, "nobody.knows")]).expect("published");
    wait_for(&worker, EventKind::Unknown);
    wait_until("the burial", || broker.dead_letters(None, 10).expect("dead letters").len() == 1);
    worker.stop(StopHow::Warm);
    wait_for(&worker, EventKind::Stopped);
    assert_eq!(executor.join().expect("no panic"), 0);
}

#[test]
fn what_an_executor_held_when_it_left_is_run_by_another() {
    let broker = connect("memory://worker-executor-leaves", "{}").expect("a broker");
    let page = page();
    let worker = start(broker.clone(), page.clone());
    let (socket, slot) = worker.port().expect("a slot");
    broker.publish(&[publication(1, "add")]).expect("published");
    let port = Port::new(socket, page.clone(), slot);
    let Next::Job(run) = port.next(Some(LIMIT)).expect("the port works") else { panic!("no job") };
    assert_eq!(run.job.id(), "1");
    drop(port);
    let executor = executor(&worker, page);
    wait_until("the second run", || settled(&*broker));
    worker.stop(StopHow::Warm);
    wait_for(&worker, EventKind::Stopped);
    assert_eq!(executor.join().expect("no panic"), 1);
}
