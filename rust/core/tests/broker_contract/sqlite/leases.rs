//! Workers that die, and what they leave.

use std::path::Path;
use std::time::Duration;

use fastq_core::broker::Broker;
use fastq_core::pool::page::PAGE_BYTES;

use super::at;
use crate::killed::{Worker, publish_three, work};
use crate::support::{LIMIT, block_on, id_of, ids, record, run, sqlite, subscription, take, to, until};

#[test]
#[ignore = "not a test: the process that the others kill"]
fn worker_process() {
    work(|path| at(Path::new(path)));
}

fn start(path: &Path, started: usize) -> Worker {
    Worker::start("sqlite::leases::worker_process", path, started)
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
    let worker = start(&path, 1);
    let pid = worker.pid();
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
    let worker = start(&path, 0);
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
        start(&path, 1).kill();
    }
    let last = start(&path, 1);
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
