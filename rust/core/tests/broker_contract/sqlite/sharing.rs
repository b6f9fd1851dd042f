//! Several connections, threads and forks on one file.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastq_core::broker::connect;
use fastq_core::fork;
use fastq_core::job::ending::{Commit, Verdict};

use super::at;
use crate::support::{LIMIT, id_of, ids, record, run, sqlite, subscription, take, to};

#[test]
fn many_openers_of_a_new_file_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || at(path).publish(&[to("q", &number.to_string())]).unwrap());
        }
    });
    assert_eq!(at(&path).depths().unwrap()[0].ready, 8);
}

#[test]
fn two_workers_and_many_producers_run_every_message_once() {
    const EACH: usize = 250;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let done = Arc::new(AtomicUsize::new(0));
    let runs: Vec<String> = std::thread::scope(|scope| {
        for producer in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let broker = at(path);
                (0..EACH)
                    .for_each(|number| broker.publish(&[to("q", &format!("{producer}-{number}"))]).unwrap());
            });
        }
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (path, done) = (&path, Arc::clone(&done));
                scope.spawn(move || work(path, &done, 4 * EACH))
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut counts: HashMap<String, usize> = HashMap::new();
    for id in runs {
        *counts.entry(id).or_default() += 1;
    }
    assert_eq!(counts.len(), 4 * EACH);
    assert!(counts.values().all(|count| *count == 1));
    let stored = at(&path).store().unwrap().load(&["3-7".into()]).unwrap();
    assert_eq!(stored, [Some(record("3-7", "SUCCESS"))]);
}

/// Takes and settles until all workers together have done `all`; returns what this one did.
fn work(path: &std::path::Path, done: &AtomicUsize, all: usize) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let broker = at(path);
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let (mut mine, mut commits) = (Vec::new(), Vec::new());
        while done.load(Ordering::SeqCst) < all {
            let settled = commits.len();
            let harvest = session.exchange(&mut commits, 7).await.unwrap();
            assert!(harvest.refused.is_empty());
            done.fetch_add(settled, Ordering::SeqCst);
            for delivery in harvest.deliveries {
                let id = id_of(&delivery);
                commits.push(Commit {
                    settle: Some((delivery.receipt, Verdict::Ack)),
                    records: vec![record(&id, "SUCCESS")],
                    publications: Vec::new(),
                    chords: None,
                    ..Commit::default()
                });
                mine.push(id);
            }
            if commits.is_empty() {
                // The other worker may have the last ones: it rings no bell when it is done with them.
                let _ = tokio::time::timeout(LIMIT / 200, session.arrival()).await;
            }
        }
        session.close().await.unwrap();
        mine
    })
}

#[test]
fn a_waiter_is_woken_by_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let reader = at(&path).store().unwrap();
    let writer = at(&path).store().unwrap();
    let waiter = std::thread::spawn(move || reader.wait(&["a".into()], LIMIT).unwrap());
    writer.save(&[record("a", "STARTED")], None).unwrap();
    writer.save(&[record("a", "SUCCESS")], None).unwrap();
    assert_eq!(waiter.join().unwrap(), [record("a", "SUCCESS")]);
}

#[test]
fn a_waiter_is_told_even_after_many_results_it_did_not_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let reader = at(&path).store().unwrap();
    let writer = at(&path).store().unwrap();
    // The first wait binds the bell; what is stored then fills it while nobody listens.
    assert!(reader.wait(&["none".into()], Duration::from_millis(1)).unwrap().is_empty());
    for number in 0..2000 {
        writer.save(&[record(&number.to_string(), "SUCCESS")], None).unwrap();
    }
    let waiter = std::thread::spawn(move || reader.wait(&["a".into()], LIMIT).unwrap());
    writer.save(&[record("a", "SUCCESS")], None).unwrap();
    assert_eq!(waiter.join().unwrap(), [record("a", "SUCCESS")]);
}

#[test]
fn a_fork_closes_connections_and_everything_goes_on_afterwards() {
    run(sqlite(), |subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        fork::before_fork();
        #[cfg(target_os = "linux")]
        assert!(!is_open(&subject.broker.run_directory().unwrap().unwrap().with_file_name("queue.db")));
        fork::after_fork_parent();
        subject.send("q", "2");
        let mut commits = vec![Commit::settle(delivery.receipt, Verdict::Ack)];
        let harvest = session.exchange(&mut commits, 5).await.unwrap();
        assert_eq!((ids(&harvest), harvest.refused.len()), (vec!["2".into()], 0));
        assert_eq!(subject.depth("q").in_flight, 1);
    });
}

#[cfg(target_os = "linux")]
fn is_open(path: &std::path::Path) -> bool {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|target| target == path)
}

#[test]
fn urls_lead_to_the_broker_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:///{}/queue.db", folder.path().display());
    let broker = connect(&url, r#"{"synchronous": "full", "publish_timeout": 1.5}"#).unwrap();
    broker.publish(&[to("q", "1")]).unwrap();
    assert!(folder.path().join("queue.db").exists());
    let first = connect("memory://shared-by-name", "").unwrap();
    first.publish(&[to("q", "1")]).unwrap();
    assert_eq!(connect("memory://shared-by-name", "").unwrap().depths().unwrap()[0].ready, 1);
    assert!(connect("memory://another", "").unwrap().depths().unwrap().is_empty());
}
