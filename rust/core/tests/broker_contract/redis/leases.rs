//! Workers that die, and what they leave.

use std::time::Duration;

use fastq_core::broker::Broker;
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::{Commit, Verdict};

use super::{at, block_on, server};
use crate::killed::{Worker, publish_three, work};
use crate::redis_server::is_installed;
use crate::support::{LIMIT, id_of, ids, record, redis, run, subscription, take, to};

#[test]
#[ignore = "not a test: the process that the others kill"]
fn worker_process() {
    work(|url| at(url.to_str().unwrap(), ""));
}

fn start(url: &str, started: usize) -> Worker {
    Worker::start("redis::leases::worker_process", url, started)
}

fn page_of(broker: &dyn Broker, pid: u32) -> bool {
    broker.run_directory().unwrap().unwrap().join(format!("page-{pid}")).exists()
}

#[test]
fn what_a_killed_worker_held_is_there_at_once_and_only_what_had_started_counts_a_death() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    publish_three(&*broker);
    let worker = start(&server.url(), 1);
    let pid = worker.pid();
    assert_eq!(broker.depths().unwrap()[0].in_flight, 3);
    assert!(page_of(&*broker, pid));
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
    assert!(!page_of(&*broker, pid));
}

#[test]
fn a_living_worker_finds_a_killed_one_when_it_renews_and_is_woken() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    publish_three(&*broker);
    let worker = start(&server.url(), 0);
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        assert_eq!(session.renew().await.unwrap().recovered, 0);
        assert!(take(&mut session, 5).await.deliveries.is_empty());
        worker.kill();
        assert_eq!(session.renew().await.unwrap().recovered, 3);
        let mut found = Vec::new();
        while found.len() < 3 {
            session.arrival().await;
            found.extend(ids(&take(&mut session, 5).await));
        }
        assert_eq!(found, ["1", "2", "3"]);
        assert_eq!(broker.workers().unwrap().len(), 1);
    });
}

#[test]
fn a_message_that_kills_its_workers_is_set_aside_and_its_failure_stored() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    broker.publish(&[to("q", "poison")]).unwrap();
    for _ in 0..2 {
        start(&server.url(), 1).kill();
    }
    let last = start(&server.url(), 1);
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
fn a_lease_that_ran_out_fences_its_worker() {
    if !is_installed() {
        return;
    }
    run(redis(), |subject| async move {
        publish_three(&*subject.broker);
        let mut first = subject.session(&["q"]).await;
        let mut second = subject.session(&["q"]).await;
        let delivery = take(&mut first, 3).await.deliveries.remove(0);
        subject.clock.advance(Duration::from_secs(11));
        assert_eq!(second.renew().await.unwrap().recovered, 3);
        let mut commit = Commit::settle(delivery.receipt, Verdict::Ack);
        commit.records.push(record("1", "SUCCESS"));
        commit.publications.push(to("out", "next"));
        let mut commits = vec![commit];
        let error = first.exchange(&mut commits, 5).await.unwrap_err();
        assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Closed, false), "{error}");
        assert_eq!(commits.len(), 1);
        assert_eq!(first.renew().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(subject.broker.store().unwrap().load(&["1".into()]).unwrap(), [None]);
        assert_eq!(subject.depth("out").ready, 0);
        let again = take(&mut second, 5).await;
        assert_eq!(ids(&again), ["1", "2", "3"]);
        // Nobody knows what had started, so each of them may have; but nothing counts as a death.
        assert!(again.deliveries.iter().all(|delivery| delivery.redelivered && delivery.deaths == 0));
    });
}

#[test]
fn after_an_outage_nobody_is_taken_for_dead_before_a_lease_has_passed() {
    if !is_installed() {
        return;
    }
    run(redis(), |subject| async move {
        publish_three(&*subject.broker);
        let mut first = subject.session(&["q"]).await;
        let mut second = subject.session(&["q"]).await;
        take(&mut first, 3).await;
        let server = subject.server.as_ref().unwrap();
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        subject.clock.advance(Duration::from_secs(60));
        while second.exchange(&mut Vec::new(), 5).await.is_err() {}
        assert_eq!(second.renew().await.unwrap().recovered, 0);
        while first.exchange(&mut Vec::new(), 0).await.is_err() {}
        first.renew().await.unwrap();
        subject.clock.advance(Duration::from_secs(9));
        first.renew().await.unwrap();
        subject.clock.advance(Duration::from_secs(5));
        assert_eq!(second.renew().await.unwrap().recovered, 0);
        assert_eq!(subject.depth("q").in_flight, 3);
    });
}

#[test]
fn what_dead_celery_workers_held_comes_back_after_the_visibility_timeout() {
    if !is_installed() {
        return;
    }
    run(redis(), |subject| async move {
        subject.broker.publish(&[to("q", "1"), to("q", "2")]).unwrap();
        let server = subject.server.as_ref().unwrap();
        // As kombu does when it takes a message.
        for (tag, age) in [("old", 3601), ("new", 3599)] {
            let envelope = server.command(&["RPOP", "test.q"]);
            let entry = format!(r#"[{envelope}, "", "q"]"#);
            server.command(&["HSET", "test.unacked", tag, &entry]);
            server.command(&["ZADD", "test.unacked_index", &(1_800_000_000 - age).to_string(), tag]);
        }
        let mut session = subject.session(&["q"]).await;
        assert_eq!(session.renew().await.unwrap().recovered, 1);
        let harvest = take(&mut session, 5).await;
        assert_eq!(ids(&harvest), ["1"]);
        assert!(harvest.deliveries[0].redelivered);
        assert_eq!(server.command(&["HKEYS", "test.unacked"]), "new");
        assert_eq!(server.command(&["ZRANGE", "test.unacked_index", "0", "-1"]), "new");
        assert_eq!(server.command(&["EXISTS", "test.unacked_mutex"]), "0");
    });
}
