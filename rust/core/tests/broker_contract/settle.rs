use fastq_core::broker::Receipt;
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::{Commit, Verdict};

use crate::support::{each, ids, record, settle, take, to};

#[test]
fn an_acknowledged_message_is_gone() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        settle(&mut session, delivery, Verdict::Ack).await;
        let depth = subject.depth("q");
        assert_eq!((depth.ready, depth.in_flight, depth.dead), (0, 0, 0));
    });
}

#[test]
fn settling_and_taking_are_one_exchange() {
    each(|subject| async move {
        subject.send("q", "1");
        subject.send("q", "2");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let mut commits = vec![Commit::settle(delivery.receipt, Verdict::Ack)];
        assert_eq!(ids(&session.exchange(&mut commits, 5).await.unwrap()), ["2"]);
        assert!(commits.is_empty());
        assert_eq!(subject.depth("q").in_flight, 1);
    });
}

#[test]
fn results_and_follow_ups_go_with_the_verdict() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let mut commits = vec![Commit {
            settle: Some((delivery.receipt, Verdict::Ack)),
            records: vec![record("1", "STARTED"), record("1", "SUCCESS")],
            publications: vec![to("q", "next"), to("other", "callback")],
            chords: None,
            note: false,
            limits: None,
        }];
        let harvest = session.exchange(&mut commits, 5).await.unwrap();
        assert_eq!(ids(&harvest), ["next"]);
        assert_eq!(subject.depth("other").ready, 1);
        let stored = subject.broker.store().unwrap().load(&["1".into()]).unwrap();
        assert_eq!(stored, [Some(record("1", "SUCCESS"))]);
    });
}

#[test]
fn a_commit_without_a_delivery_stores_and_publishes() {
    each(|subject| async move {
        let mut session = subject.session(&["q"]).await;
        let mut commit = Commit::store(vec![record("1", "PROGRESS")]);
        commit.publications.push(to("q", "2"));
        let harvest = session.exchange(&mut vec![commit], 0).await.unwrap();
        assert!(harvest.more && harvest.refused.is_empty());
        assert_eq!(
            subject.broker.store().unwrap().load(&["1".into()]).unwrap(),
            [Some(record("1", "PROGRESS"))]
        );
    });
}

#[test]
fn a_receipt_of_another_session_is_refused_and_nothing_of_its_commit_is_done() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut first = subject.session(&["q"]).await;
        let mut second = subject.session(&["q"]).await;
        let delivery = take(&mut first, 1).await.deliveries.remove(0);
        let tag = delivery.tag();
        let mut commits = vec![
            Commit {
                settle: Some((delivery.receipt, Verdict::Ack)),
                records: vec![record("1", "SUCCESS")],
                publications: vec![to("q", "next")],
                chords: None,
                note: false,
                limits: None,
            },
            Commit::store(vec![record("2", "SUCCESS")]),
        ];
        let harvest = second.exchange(&mut commits, 5).await.unwrap();
        assert_eq!(harvest.refused, [tag]);
        assert!(commits.is_empty() && harvest.deliveries.is_empty());
        assert_eq!(subject.depth("q").in_flight, 1);
        let stored = subject.broker.store().unwrap().load(&["1".into(), "2".into()]).unwrap();
        assert_eq!(stored, [None, Some(record("2", "SUCCESS"))]);
    });
}

#[test]
fn a_receipt_of_a_session_that_has_ended_is_refused() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut first = subject.session(&["q"]).await;
        let delivery = take(&mut first, 1).await.deliveries.remove(0);
        first.close().await.unwrap();
        let mut second = subject.session(&["q"]).await;
        let again = take(&mut second, 1).await.deliveries.remove(0);
        let harvest = settle(&mut second, delivery, Verdict::Ack).await;
        assert_eq!(harvest.refused.len(), 1);
        assert_eq!(subject.depth("q").in_flight, 1);
        assert!(settle(&mut second, again, Verdict::Ack).await.refused.is_empty());
    });
}

#[test]
fn a_receipt_of_a_message_that_is_gone_is_refused() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let copy = Receipt::new(delivery.tag(), delivery.receipt.epoch());
        settle(&mut session, delivery, Verdict::Ack).await;
        let tag = copy.tag();
        let mut commits = vec![Commit::settle(copy, Verdict::Ack)];
        assert_eq!(session.exchange(&mut commits, 0).await.unwrap().refused, [tag]);
    });
}

#[test]
fn a_follow_up_that_no_queue_takes_is_set_aside_and_its_commit_stands() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let mut lost = to("nowhere", "2");
        lost.exchange = "unknown".into();
        let mut commits = vec![Commit {
            settle: Some((delivery.receipt, Verdict::Ack)),
            records: vec![record("1", "SUCCESS")],
            publications: vec![lost],
            chords: None,
            note: false,
            limits: None,
        }];
        session.exchange(&mut commits, 0).await.unwrap();
        assert_eq!(subject.depth("q").in_flight, 0);
        let dead = subject.broker.dead_letters(None, 10).unwrap();
        assert_eq!(dead[0].task_id, "2");
        assert!(dead[0].reason.contains("no queue is bound"), "{}", dead[0].reason);
    });
}

#[test]
fn a_subscription_with_other_arguments_is_a_mismatch() {
    each(|subject| async move {
        let mut subscription = crate::support::subscription(&["q"]);
        subscription.queues[0].arguments = r#"{"x-a":1}"#.into();
        subject.broker.subscribe(subscription.clone()).await.unwrap();
        subscription.queues[0].arguments = "{}".into();
        let error = subject.broker.subscribe(subscription).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        drop(subject);
    });
}
