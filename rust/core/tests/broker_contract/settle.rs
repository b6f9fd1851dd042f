use fastq_core::broker::Receipt;
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::{Commit, Verdict};

use fastq_core::store::Record;

use crate::support::{Subject, announced, each, exchange, ids, record, settle, take, to};

/// Checks what is stored, where the broker keeps results.
fn stored(subject: &Subject, task_ids: &[&str], expected: &[Option<Record>]) {
    let task_ids: Vec<String> = task_ids.iter().map(|id| (*id).to_owned()).collect();
    if let Some(store) = subject.broker.store() {
        assert_eq!(store.load(&task_ids).unwrap(), expected);
    }
}

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
        let commits = vec![Commit::settle(delivery.receipt, Verdict::Ack)];
        assert_eq!(ids(&exchange(&mut session, commits, 5).await), ["2"]);
        subject.in_flight("q", 1);
    });
}

#[test]
fn results_and_follow_ups_go_with_the_verdict() {
    each(|subject| async move {
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let commits = vec![Commit {
            settle: Some((delivery.receipt, Verdict::Ack)),
            records: vec![record("1", "STARTED"), record("1", "SUCCESS")],
            publications: vec![to("q", "next"), to("other", "callback")],
            chords: None,
            ..Commit::default()
        }];
        let harvest = exchange(&mut session, commits, 5).await;
        assert_eq!(ids(&harvest), ["next"]);
        assert_eq!(subject.depth("other").ready, 1);
        stored(&subject, &["1"], &[Some(record("1", "SUCCESS"))]);
    });
}

#[test]
fn a_commit_without_a_delivery_stores_and_publishes() {
    each(|subject| async move {
        let mut session = subject.session(&["q"]).await;
        let mut commit = Commit::store(vec![record("1", "PROGRESS")]);
        commit.publications.push(to("q", "2"));
        let harvest = session.exchange(&mut vec![commit], 0).await.unwrap();
        announced(&harvest, true);
        assert!(harvest.refused.is_empty());
        stored(&subject, &["1"], &[Some(record("1", "PROGRESS"))]);
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
                ..Commit::default()
            },
            Commit::store(vec![record("2", "SUCCESS")]),
        ];
        let harvest = second.exchange(&mut commits, 5).await.unwrap();
        assert_eq!(harvest.refused, [tag]);
        assert!(commits.is_empty() && harvest.deliveries.is_empty());
        subject.in_flight("q", 1);
        stored(&subject, &["1", "2"], &[None, Some(record("2", "SUCCESS"))]);
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
        subject.in_flight("q", 1);
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
            ..Commit::default()
        }];
        session.exchange(&mut commits, 0).await.unwrap();
        subject.in_flight("q", 0);
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
        if !subject.broker.capabilities().insists_on_arguments {
            return;
        }
        subject.broker.subscribe(subscription.clone()).await.unwrap();
        subscription.queues[0].arguments = "{}".into();
        let error = subject.broker.subscribe(subscription).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        drop(subject);
    });
}
