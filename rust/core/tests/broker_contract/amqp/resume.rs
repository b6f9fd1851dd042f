use std::time::Duration;

use fastq_core::broker::{Broker, Harvest, Session};
use fastq_core::job::ending::{Commit, Verdict};

use super::{Host, block_on};
use crate::support::{ids, subscription, take, to};

/// Exchanges until something is handed out, over faults that pass.
async fn harvest(session: &mut Box<dyn Session>, credit: usize) -> Harvest {
    loop {
        match session.exchange(&mut Vec::new(), credit).await {
            Ok(harvest) if !harvest.deliveries.is_empty() => return harvest,
            Ok(_) => session.arrival().await,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
}

/// Exchanges until the commits are carried out.
async fn settle(session: &mut Box<dyn Session>, mut commits: Vec<Commit>) -> Harvest {
    loop {
        match session.exchange(&mut commits, 0).await {
            Ok(harvest) => return harvest,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
}

#[test]
fn what_runs_when_the_connection_breaks_keeps_its_tag_and_settles_what_comes_back() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        broker.publish(&[to("q", "1"), to("q", "2")]).unwrap();
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let before = harvest(&mut session, 2).await;
        let tags: Vec<_> = before.deliveries.iter().map(fastq_core::broker::Delivery::tag).collect();
        host.hang_up();
        let mut after = Harvest::default();
        let mut was_lost = false;
        while after.deliveries.len() < 2 {
            let more = harvest(&mut session, 2 - after.deliveries.len()).await;
            was_lost |= more.lost;
            after.deliveries.extend(more.deliveries);
        }
        assert!(was_lost || after.lost);
        let mut again: Vec<_> = after.deliveries.iter().map(fastq_core::broker::Delivery::tag).collect();
        again.sort_unstable();
        assert_eq!(again, tags);
        assert!(after.deliveries.iter().all(|delivery| delivery.redelivered));
        // A Receipt from before names the delivery that came back.
        let commits = before.deliveries.into_iter().map(|one| Commit::settle(one.receipt, Verdict::Ack));
        assert!(settle(&mut session, commits.collect()).await.refused.is_empty());
        session.close().await.unwrap();
        assert_eq!(broker.depths().unwrap()[0].ready, 0);
    });
}

#[test]
fn what_was_finished_while_the_connection_was_gone_is_only_acknowledged() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        broker.publish(&[to("q", "1")]).unwrap();
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let delivery = harvest(&mut session, 1).await.deliveries.remove(0);
        host.hang_up();
        let mut commit = Commit::settle(delivery.receipt, Verdict::Ack);
        commit.publications.push(to("next", "2"));
        // The run has ended: what follows is sent, whatever became of the delivery.
        assert!(settle(&mut session, vec![commit]).await.refused.is_empty());
        assert!(take(&mut session, 5).await.deliveries.is_empty());
        assert!(take(&mut session, 5).await.deliveries.is_empty());
        session.close().await.unwrap();
        let depths = broker.depths().unwrap();
        let ready: Vec<_> = depths.iter().map(|depth| (depth.queue.as_str(), depth.ready)).collect();
        assert_eq!(ready, [("next", 1), ("q", 0)]);
    });
}

#[test]
fn a_queue_that_is_deleted_under_its_consumer_is_made_again() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let mut session = broker.subscribe(subscription(&["q", "other"])).await.unwrap();
        assert!(take(&mut session, 5).await.deliveries.is_empty());
        host.delete_queue("q");
        let mut notices = Vec::new();
        while notices.is_empty() {
            session.arrival().await;
            notices = session.exchange(&mut Vec::new(), 5).await.unwrap().notices;
        }
        assert!(notices[0].contains("\"q\""), "{notices:?}");
        broker.publish(&[to("q", "1"), to("other", "2")]).unwrap();
        let mut found = Vec::new();
        while found.len() < 2 {
            found.extend(ids(&harvest(&mut session, 5).await));
        }
        found.sort_unstable();
        assert_eq!(found, ["1", "2"]);
    });
}

#[test]
fn a_session_outlives_silence_by_its_heartbeats() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker(r#"{"heartbeat": 1}"#);
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        assert!(take(&mut session, 1).await.deliveries.is_empty());
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            let _ = tokio::time::timeout(session.renew_every(), session.arrival()).await;
            session.renew().await.unwrap();
        }
        assert!(!session.exchange(&mut Vec::new(), 1).await.unwrap().lost);
    });
}

#[test]
fn what_nobody_wants_goes_back_for_others() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        for number in 0..4 {
            broker.publish(&[to("a", &format!("a{number}")), to("b", &format!("b{number}"))]).unwrap();
        }
        let mut session = broker.subscribe(subscription(&["a", "b"])).await.unwrap();
        // Two queues with two each: what the worker has no room for lies on its shelf.
        let mut taken = 0;
        while taken < 3 {
            taken += harvest(&mut session, 3 - taken).await.deliveries.len();
        }
        let waiting =
            |broker: &dyn Broker| broker.depths().unwrap().iter().map(|depth| depth.ready).sum::<u64>();
        while waiting(&*broker) < 5 {
            let _ = tokio::time::timeout(session.renew_every(), std::future::pending::<()>()).await;
            session.renew().await.unwrap();
        }
    });
}
