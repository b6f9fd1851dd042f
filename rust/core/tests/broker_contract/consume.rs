use std::time::Duration;

use crate::support::{announced, each, ids, take, to};

#[test]
fn messages_leave_in_the_order_they_came() {
    each(|subject| async move {
        for id in ["1", "2", "3"] {
            subject.send("q", id);
        }
        let mut session = subject.session(&["q"]).await;
        assert_eq!(ids(&take(&mut session, 2).await), ["1", "2"]);
        assert_eq!(ids(&take(&mut session, 2).await), ["3"]);
    });
}

#[test]
fn no_more_is_taken_than_credit_allows_and_the_rest_is_announced() {
    each(|subject| async move {
        for id in ["1", "2", "3"] {
            subject.send("q", id);
        }
        let mut session = subject.session(&["q"]).await;
        let harvest = take(&mut session, 0).await;
        assert!(harvest.deliveries.is_empty());
        announced(&harvest, true);
        announced(&take(&mut session, 2).await, true);
        announced(&take(&mut session, 1).await, false);
        subject.in_flight("q", 3);
    });
}

#[test]
fn a_message_is_taken_by_one_session_only() {
    each(|subject| async move {
        for number in 0..20 {
            subject.send("q", &format!("{number:02}"));
        }
        let mut first = subject.session(&["q"]).await;
        let mut second = subject.session(&["q"]).await;
        let mut taken = Vec::new();
        for _ in 0..2 {
            taken.extend(ids(&take(&mut first, 7).await));
            taken.extend(ids(&take(&mut second, 7).await));
        }
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 20);
    });
}

#[test]
fn several_queues_get_the_same_share() {
    each(|subject| async move {
        for number in 0..100 {
            subject.send("busy", &format!("busy {number}"));
        }
        for number in 0..3 {
            subject.send("calm", &format!("calm {number}"));
        }
        let mut session = subject.session(&["busy", "calm", "empty"]).await;
        let harvest = take(&mut session, 10).await;
        let calm = ids(&harvest).iter().filter(|id| id.starts_with("calm")).count();
        assert_eq!((harvest.deliveries.len(), calm), (10, 3));
        // With credit for one message at a time no queue starves either.
        for number in 0..3 {
            subject.send("calm", &format!("calm again {number}"));
        }
        let mut calm = 0;
        for _ in 0..12 {
            calm += ids(&take(&mut session, 1).await).iter().filter(|id| id.starts_with("calm")).count();
        }
        assert_eq!(calm, 3);
    });
}

#[test]
fn a_session_takes_from_its_own_queues_only() {
    each(|subject| async move {
        subject.send("mine", "1");
        subject.send("theirs", "2");
        let mut session = subject.session(&["mine"]).await;
        assert_eq!(ids(&take(&mut session, 10).await), ["1"]);
        assert_eq!(subject.depth("theirs").ready, 1);
    });
}

#[test]
fn an_arrival_wakes_a_session_that_waits() {
    each(|subject| async move {
        let mut session = subject.session(&["q"]).await;
        assert!(take(&mut session, 1).await.deliveries.is_empty());
        let publisher = std::thread::spawn({
            let broker = std::sync::Arc::clone(&subject.broker);
            move || broker.publish(&[to("q", "1")]).unwrap()
        });
        let mut taken = Vec::new();
        while taken.is_empty() {
            session.arrival().await;
            taken = ids(&take(&mut session, 1).await);
        }
        publisher.join().unwrap();
        assert_eq!(taken, ["1"]);
    });
}

#[test]
fn an_arrival_is_not_lost_when_waiting_for_it_was_given_up() {
    each(|subject| async move {
        let mut session = subject.session(&["q"]).await;
        take(&mut session, 1).await;
        for _ in 0..3 {
            let _ = tokio::time::timeout(Duration::from_millis(1), session.arrival()).await;
        }
        subject.send("q", "1");
        for _ in 0..3 {
            let _ = tokio::time::timeout(Duration::ZERO, session.arrival()).await;
        }
        session.arrival().await;
        assert_eq!(ids(&take(&mut session, 1).await), ["1"]);
    });
}

#[test]
fn what_was_left_behind_is_an_arrival() {
    each(|subject| async move {
        subject.send("q", "1");
        subject.send("q", "2");
        let mut session = subject.session(&["q"]).await;
        take(&mut session, 1).await;
        session.arrival().await;
        assert_eq!(ids(&take(&mut session, 1).await), ["2"]);
    });
}

#[test]
fn workers_are_listed_while_their_sessions_last() {
    each(|subject| async move {
        if !subject.broker.capabilities().sees_workers {
            return;
        }
        subject.send("q", "1");
        let mut session = subject.session(&["q", "other"]).await;
        take(&mut session, 5).await;
        let workers = subject.broker.workers().unwrap();
        assert_eq!(workers.len(), 1);
        assert_eq!(workers[0].node, "fastq@test");
        assert_eq!(workers[0].pid, std::process::id());
        assert_eq!(workers[0].in_flight, 1);
        assert_eq!(workers[0].queues, ["q", "other"]);
        assert_eq!(workers[0].lease_until.from_now(workers[0].started_at), Duration::from_secs(10));
        session.close().await.unwrap();
        assert!(subject.broker.workers().unwrap().is_empty());
    });
}
