//! Workers that die, and what they leave.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fastq_core::broker::{Broker, Harvest};
use fastq_core::pool::page::{CLAIM, PAGE_BYTES, TAG, WORDS_PER_SLOT};

use super::at;
use crate::support::{LIMIT, id_of, ids, record, run, sqlite, subscription, take, to, until};

/// Tells the child where the file is, and how many of the messages it takes it shall mark as started.
const CHILD_FILE: &str = "FASTQ_TEST_FILE";
const CHILD_STARTED: &str = "FASTQ_TEST_STARTED";

fn block_on<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, story).await.expect("within the limit") })
}

/// A worker in a process of its own that takes three messages, marks some as started, and hangs.
struct Worker(Child);

impl Worker {
    fn start(path: &Path, started: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite::leases::worker_process", "--ignored", "--nocapture"])
            .env(CHILD_FILE, path)
            .env(CHILD_STARTED, started.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let said = output.lines().map_while(Result::ok).any(|line| line.contains("holding"));
        assert!(said, "the worker process ended early");
        Self(child)
    }

    /// Ends it as the kernel's memory killer would.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "not a test: the process that the others kill"]
fn worker_process() {
    let Some(path) = std::env::var_os(CHILD_FILE).map(PathBuf::from) else { return };
    let started: usize = std::env::var(CHILD_STARTED).unwrap().parse().unwrap();
    let broker = at(&path);
    let page = broker.run_directory().unwrap().unwrap().join(format!("page-{}", std::process::id()));
    block_on(async {
        let mut subscription = subscription(&["q"]);
        subscription.page = Some(page.clone());
        let mut session = broker.subscribe(subscription).await.unwrap();
        let harvest = take(&mut session, 3).await;
        write_page(&page, &harvest, started);
        println!("holding {}", harvest.deliveries.len());
        tokio::time::sleep(LIMIT).await;
        drop(session);
    });
}

fn write_page(page: &Path, harvest: &Harvest, started: usize) {
    let mut words = vec![0_u64; PAGE_BYTES / 8];
    for (slot, delivery) in harvest.deliveries.iter().take(started).enumerate() {
        words[slot * WORDS_PER_SLOT + CLAIM] = 1;
        words[slot * WORDS_PER_SLOT + TAG] = delivery.tag().0;
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    std::fs::write(page, bytes).unwrap();
}

fn publish_three(broker: &dyn Broker) {
    broker.publish(&["1", "2", "3"].map(|id| to("q", id))).unwrap();
}

/// What lies in the run directory besides the bells of the living.
fn leftovers(broker: &dyn Broker, of: u32) -> Vec<String> {
    let entries = std::fs::read_dir(broker.run_directory().unwrap().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(&of.to_string())).collect()
}

#[test]
fn what_a_killed_worker_held_is_there_at_once_and_only_what_had_started_counts_a_death() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let broker = at(&path);
    publish_three(&*broker);
    let worker = Worker::start(&path, 1);
    let pid = worker.0.id();
    assert_eq!(broker.depths().unwrap()[0].in_flight, 3);
    assert_eq!(leftovers(&*broker, pid).len(), 2, "its bell and its page");
    worker.kill();
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let harvest = take(&mut session, 5).await;
        let found: Vec<_> = harvest
            .deliveries
            .iter()
            .map(|delivery| (id_of(delivery), delivery.redelivered, delivery.deaths))
            .collect();
        assert_eq!(found, [("1".into(), true, 1), ("2".into(), true, 0), ("3".into(), true, 0)]);
    });
    assert!(leftovers(&*broker, pid).is_empty());
}

#[test]
fn a_living_worker_finds_a_killed_one_when_it_renews_and_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let broker = at(&path);
    publish_three(&*broker);
    let worker = Worker::start(&path, 0);
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        assert_eq!(session.renew().await.unwrap().recovered, 0);
        assert!(take(&mut session, 5).await.deliveries.is_empty());
        worker.kill();
        assert_eq!(session.renew().await.unwrap().recovered, 3);
        session.arrival().await;
        assert_eq!(ids(&take(&mut session, 5).await), ["1", "2", "3"]);
        assert_eq!(broker.workers().unwrap().len(), 1);
    });
}

#[test]
fn a_message_that_kills_its_workers_is_set_aside_and_its_failure_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let broker = at(&path);
    broker.publish(&[to("q", "poison")]).unwrap();
    for _ in 0..2 {
        Worker::start(&path, 1).kill();
    }
    let last = Worker::start(&path, 1);
    let store = broker.store().unwrap();
    let waiter = std::thread::spawn(move || store.wait(&["poison".into()], LIMIT).unwrap());
    last.kill();
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        assert!(take(&mut session, 5).await.deliveries.is_empty());
    });
    let letters = broker.dead_letters(Some("q"), 5).unwrap();
    assert_eq!((letters[0].task_id.as_str(), letters[0].deaths), ("poison", 3));
    assert_eq!(letters[0].reason, "3 workers died running it (task_max_deaths = 3)");
    let ended = waiter.join().unwrap();
    assert_eq!(ended[0].state, "FAILURE");
    assert!(String::from_utf8_lossy(&ended[0].body).contains("WorkerLostError"));
}

#[test]
fn closing_removes_the_lease_the_bell_and_the_page() {
    run(sqlite(), |subject| async move {
        let directory = subject.broker.run_directory().unwrap().unwrap();
        let page = directory.join("page-mine");
        let elsewhere = directory.with_file_name("precious");
        for path in [&page, &elsewhere] {
            std::fs::write(path, vec![0; PAGE_BYTES]).unwrap();
        }
        for path in [&page, &elsewhere] {
            let mut subscription = subscription(&["q"]);
            subscription.page = Some(path.clone());
            subject.broker.subscribe(subscription).await.unwrap().close().await.unwrap();
        }
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        assert!(elsewhere.exists(), "only what lies in the run directory is removed");
    });
}

#[test]
fn renewing_deletes_results_that_have_expired() {
    run(sqlite(), |subject| async move {
        let store = subject.broker.store().unwrap();
        let records: Vec<_> = (0..1200).map(|number| record(&number.to_string(), "SUCCESS")).collect();
        store.save(&records, Some(Duration::from_secs(5))).unwrap();
        let mut session = subject.session(&["q"]).await;
        session.renew().await.unwrap();
        assert_eq!(store.clean().unwrap(), 0);
        subject.clock.advance(Duration::from_secs(5));
        session.renew().await.unwrap();
        assert_eq!(store.clean().unwrap(), 0, "nothing was left to clean");
        until("the results are unknown", || store.load(&["7".into()]).unwrap() == [None]);
    });
}
