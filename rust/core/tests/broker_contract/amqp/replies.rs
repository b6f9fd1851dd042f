use std::sync::Arc;
use std::time::Duration;

use fastq_core::broker::{Broker, connect_store};
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::store::{Record, Store};

use super::{Host, block_on};
use crate::support::{LIMIT, exchange, record, subscription, take, to};

/// A caller: its broker, and the store where it awaits results.
fn caller(host: &Host, name: &str) -> (Arc<dyn Broker>, Arc<dyn Store>, String) {
    let broker = host.broker(&format!(r#"{{"reply_queue": "{name}", "reply_expires": 60}}"#));
    let options =
        format!(r#"{{"broker_url": "{}", "reply_queue": "{name}", "reply_expires": 60}}"#, host.url);
    (broker, connect_store("rpc://", &options).unwrap(), format!("{name}-{}", std::process::id()))
}

fn call(broker: &dyn Broker, id: &str, reply_to: &str) {
    let mut task = to("q", id);
    task.message.properties =
        format!(r#"{{"reply_to":"{reply_to}","correlation_id":"{id}","content_type":"application/json"}}"#)
            .into();
    broker.publish(&[task]).unwrap();
}

/// Runs everything that waits in the queue, and says how it went.
async fn work(host: &Host, count: usize) {
    let broker = host.broker(r#"{"replies": true}"#);
    let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
    let mut done = 0;
    while done < count {
        let harvest = take(&mut session, 10).await;
        let mut commits = Vec::new();
        for delivery in harvest.deliveries {
            let id = crate::support::id_of(&delivery);
            commits.push(Commit::store(vec![record(&id, "STARTED")]));
            commits.push(Commit {
                records: vec![record(&id, "SUCCESS")],
                ..Commit::settle(delivery.receipt, Verdict::Ack)
            });
            done += 1;
        }
        exchange(&mut session, commits, 0).await;
    }
    session.close().await.unwrap();
}

#[test]
fn results_come_to_the_caller_whatever_the_order_they_are_asked_for() {
    let Some(host) = Host::new() else { return };
    let (broker, store, queue) = caller(&host, "me");
    for id in ["1", "2", "3"] {
        call(&*broker, id, &queue);
    }
    block_on(work(&host, 3));
    assert_eq!(store.wait(&["3".into()], LIMIT).unwrap(), [record("3", "SUCCESS")]);
    assert_eq!(store.load(&["1".into(), "x".into()]).unwrap(), [Some(record("1", "SUCCESS")), None]);
    assert_eq!(store.wait(&["1".into(), "2".into()], LIMIT).unwrap().len(), 2);
    store.forget(&["2".into()]).unwrap();
    assert_eq!(store.load(&["2".into()]).unwrap(), [None]);
    assert!(store.save(&[record("1", "SUCCESS")], None).is_err());
}

#[test]
fn a_thread_that_waits_is_woken_by_the_worker_and_a_watch_tells_of_each_task_once() {
    let Some(host) = Host::new() else { return };
    let (broker, store, queue) = caller(&host, "me");
    for id in ["1", "2"] {
        call(&*broker, id, &queue);
    }
    let watch = Arc::clone(&store).watch().unwrap();
    watch.add(&["1".into(), "2".into(), "never".into()]);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.wait(&["2".into()], LIMIT).unwrap());
        let watcher = scope.spawn(|| {
            let mut found: Vec<Record> = Vec::new();
            while found.len() < 2 {
                found.extend(watch.next(LIMIT).unwrap());
            }
            found.len()
        });
        block_on(work(&host, 2));
        assert_eq!(waiter.join().unwrap(), [record("2", "SUCCESS")]);
        assert_eq!(watcher.join().unwrap(), 2);
    });
    assert!(watch.next(Duration::from_millis(20)).unwrap().is_empty());
    watch.interrupt();
    assert!(watch.next(LIMIT).unwrap().is_empty());
}

#[test]
fn a_caller_that_is_gone_keeps_nothing_from_being_acknowledged() {
    let Some(host) = Host::new() else { return };
    let broker = host.broker("");
    call(&*broker, "1", "nobody");
    block_on(work(&host, 1));
    assert_eq!(broker.depths().unwrap()[0].ready, 0);
}
