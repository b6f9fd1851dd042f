//! Connections that break, and what a session makes of it: nothing lost, nothing done twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastq_core::broker::{Broker, Delivery, Session};
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::{Commit, Verdict};

use super::proxy::Proxy;
use super::{at, block_on, server};
use crate::support::{id_of, ids, record, subscription, take, to};

/// Acknowledges, with a result and a follow-up that shows how often that was done.
fn done(delivery: Delivery) -> Commit {
    let id = id_of(&delivery);
    let mut commit = Commit::settle(delivery.receipt, Verdict::Ack);
    commit.records.push(record(&id, "SUCCESS"));
    commit.publications.push(to("out", &id));
    commit
}

/// Works off the queue `q` whatever happens to the connection; how many errors there were. `before` is called with
/// the number of each exchange.
async fn drain(session: &mut Box<dyn Session>, total: usize, mut before: impl FnMut(usize)) -> usize {
    let (mut commits, mut taken, mut errors, mut exchanges) = (Vec::new(), 0, 0, 0);
    while taken < total || !commits.is_empty() {
        exchanges += 1;
        before(exchanges);
        match session.exchange(&mut commits, 7).await {
            Ok(harvest) => {
                assert!(commits.is_empty() && harvest.refused.is_empty());
                taken += harvest.deliveries.len();
                commits.extend(harvest.deliveries.into_iter().map(done));
            }
            Err(error) => {
                assert!(error.is_temporary(), "{error}");
                errors += 1;
            }
        }
        assert!(exchanges < 20_000, "{taken} of {total} taken, {} to settle", commits.len());
    }
    errors
}

/// Everything was done once, and nothing is left.
fn check(broker: &Arc<dyn Broker>, total: usize) {
    let depths = broker.depths().unwrap();
    let depth = depths.iter().find(|depth| depth.queue == "q").unwrap();
    assert_eq!((depth.ready, depth.in_flight, depth.delayed, depth.dead), (0, 0, 0, 0));
    let mut counts: HashMap<String, usize> = HashMap::new();
    block_on(async {
        let mut session = broker.subscribe(subscription(&["out"])).await.unwrap();
        let harvest = take(&mut session, total * 2).await;
        for id in ids(&harvest) {
            *counts.entry(id).or_default() += 1;
        }
    });
    assert_eq!(counts.len(), total);
    assert!(counts.values().all(|count| *count == 1), "something was done twice");
}

#[test]
fn a_connection_cut_in_the_middle_of_replies_loses_nothing_and_doubles_nothing() {
    let Some(server) = server(&[]) else { return };
    let proxy = Proxy::to(server.port);
    let direct = at(&server.url(), "");
    let total = 400;
    let many: Vec<_> = (0..total).map(|number| to("q", &number.to_string())).collect();
    direct.publish(&many).unwrap();
    block_on(async {
        let broker = at(&proxy.url(), "");
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let errors = drain(&mut session, total, |exchange| {
            if exchange % 2 == 0 {
                // Somewhere in the reply to this exchange, or of the reconnection after the last.
                proxy.cut_after((exchange as i64 * 97) % 2500);
            }
        })
        .await;
        assert!(errors > 20, "{errors} cuts");
        let _ = proxy.was_cut();
        proxy.cut_after(i64::MIN);
        while session.renew().await.is_err() {}
        session.close().await.unwrap();
    });
    check(&direct, total);
}

#[test]
fn a_server_that_restarts_in_the_middle_finds_its_workers_again() {
    let Some(mut server) = server(&["--appendonly", "yes", "--appendfsync", "always"]) else { return };
    let broker = at(&server.tcp_url(), "");
    let total = 120;
    let many: Vec<_> = (0..total).map(|number| to("q", &number.to_string())).collect();
    broker.publish(&many).unwrap();
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let errors = drain(&mut session, total, |exchange| {
            if exchange % 6 == 3 {
                server.restart();
            }
        })
        .await;
        assert!(errors > 0);
        session.close().await.unwrap();
    });
    check(&broker, total);
}

#[test]
fn a_server_that_hangs_is_an_error_in_time_and_nothing_is_done_twice() {
    let Some(server) = server(&[]) else { return };
    let options = r#"{"answer_timeout": 0.2, "publish_timeout": 0.2}"#;
    let broker = at(&server.tcp_url(), options);
    let total = 60;
    let many: Vec<_> = (0..total).map(|number| to("q", &number.to_string())).collect();
    broker.publish(&many).unwrap();
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut is_stopped = false;
        let errors = drain(&mut session, total, |exchange| {
            if is_stopped {
                server.signal("CONT");
            } else if exchange % 4 == 2 {
                server.signal("STOP");
            }
            is_stopped = !is_stopped && exchange % 4 == 2;
        })
        .await;
        server.signal("CONT");
        assert!(errors > 0);
        session.close().await.unwrap();
    });
    server.signal("STOP");
    let began = std::time::Instant::now();
    let error = broker.publish(&[to("q", "late")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
    server.signal("CONT");
    broker.purge("q").unwrap();
    check(&broker, total);
}

#[test]
fn what_was_taken_without_hearing_of_it_is_found_after_the_break() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.tcp_url(), "");
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        assert!(take(&mut session, 2).await.deliveries.is_empty());
        // A waiting command is under way; its connection is cut as the message comes.
        let _ = tokio::time::timeout(Duration::from_millis(50), session.arrival()).await;
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        broker.publish(&[to("q", "1"), to("q", "2"), to("q", "3")]).unwrap();
        let mut found = Vec::new();
        while found.len() < 3 {
            session.arrival().await;
            if let Ok(harvest) = session.exchange(&mut Vec::new(), 2).await {
                found.extend(ids(&harvest));
            }
        }
        found.sort_unstable();
        assert_eq!(found, ["1", "2", "3"]);
    });
}

/// So many turns of the runtime.
async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[test]
fn what_a_session_gives_back_at_its_end_it_does_not_take_again() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.tcp_url(), "");
    broker.publish(&[to("q", "1")]).unwrap();
    block_on(async {
        // Waiters that are just opening their connections must not wait any more.
        for count in (0..600).step_by(3) {
            let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
            assert_eq!(ids(&take(&mut session, 1).await), ["1"], "after {count}");
            tokio::select! {
                () = session.arrival() => panic!("there is no more"),
                () = turns(count) => {}
            }
            session.close().await.unwrap();
        }
    });
    let depths = broker.depths().unwrap();
    assert_eq!(depths.iter().map(|depth| (depth.ready, depth.in_flight)).collect::<Vec<_>>(), [(1, 0)]);
}
