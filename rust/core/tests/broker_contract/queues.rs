//! Taking from more or fewer queues while a session goes on.

use std::time::Duration;

use fastq_core::broker::{Publication, Queue};
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::Verdict;

use crate::support::{each, ids, settle, take, to};

#[test]
fn a_queue_that_is_added_wakes_a_session_that_waits() {
    each(|subject| async move {
        let mut session = subject.session(&["q"]).await;
        session.subscribe_to(&[Queue::named("other"), Queue::named("third")]).await.unwrap();
        assert!(take(&mut session, 1).await.deliveries.is_empty());
        subject.takes_from(&["q", "other", "third"]);
        let publisher = std::thread::spawn({
            let broker = std::sync::Arc::clone(&subject.broker);
            move || broker.publish(&[to("other", "1")]).unwrap()
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
fn what_waits_in_a_queue_when_it_is_added_is_taken() {
    each(|subject| async move {
        subject.send("other", "1");
        let mut session = subject.session(&["q"]).await;
        assert!(take(&mut session, 10).await.deliveries.is_empty());
        session.subscribe_to(&[Queue::named("other")]).await.unwrap();
        session.subscribe_to(&[Queue::named("other")]).await.unwrap();
        let delivery = take(&mut session, 10).await.deliveries.remove(0);
        assert!(settle(&mut session, delivery, Verdict::Ack).await.refused.is_empty());
        assert!(take(&mut session, 10).await.deliveries.is_empty());
    });
}

#[test]
fn nothing_more_is_taken_from_a_queue_that_was_given_up_and_what_was_taken_can_be_settled() {
    each(|subject| async move {
        subject.send("q", "1");
        subject.send("other", "2");
        let mut session = subject.session(&["q", "other"]).await;
        let mut held = take(&mut session, 10).await.deliveries;
        assert_eq!(held.len(), 2);
        session.unsubscribe_from("other").await.unwrap();
        session.unsubscribe_from("nothing").await.unwrap();
        subject.send("other", "3");
        subject.send("q", "4");
        assert_eq!(ids(&take(&mut session, 10).await), ["4"]);
        assert_eq!(subject.depth("other").ready, 1);
        subject.takes_from(&["q"]);
        for delivery in held.drain(..) {
            assert!(settle(&mut session, delivery, Verdict::Ack).await.refused.is_empty());
        }
        subject.in_flight("other", 0);
        session.subscribe_to(&[Queue::named("other")]).await.unwrap();
        assert_eq!(ids(&take(&mut session, 10).await), ["3"]);
    });
}

#[test]
fn a_session_may_give_up_all_its_queues() {
    each(|subject| async move {
        let mut session = subject.session(&["q"]).await;
        session.unsubscribe_from("q").await.unwrap();
        subject.send("q", "1");
        assert!(take(&mut session, 10).await.deliveries.is_empty());
        let _ = tokio::time::timeout(Duration::from_millis(20), session.arrival()).await;
        session.subscribe_to(&[Queue::named("q")]).await.unwrap();
        assert_eq!(ids(&take(&mut session, 10).await), ["1"]);
    });
}

#[test]
fn what_was_taken_from_an_added_queue_comes_back_with_the_end_of_the_session() {
    each(|subject| async move {
        subject.send("other", "1");
        let mut session = subject.session(&["q"]).await;
        session.subscribe_to(&[Queue::named("other")]).await.unwrap();
        assert_eq!(ids(&take(&mut session, 10).await), ["1"]);
        session.unsubscribe_from("other").await.unwrap();
        session.close().await.unwrap();
        let mut next = subject.session(&["other"]).await;
        assert_eq!(ids(&take(&mut next, 10).await), ["1"]);
    });
}

#[test]
fn a_queue_with_other_arguments_is_refused_and_the_session_goes_on() {
    each(|subject| async move {
        if !subject.broker.capabilities().insists_on_arguments {
            return;
        }
        let strict = Queue { arguments: r#"{"x-max-length":1}"#.into(), ..Queue::named("strict") };
        subject.broker.declare(&[strict]).unwrap();
        let mut session = subject.session(&["q"]).await;
        let error = session.subscribe_to(&[Queue::named("strict")]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        subject.send("q", "1");
        assert_eq!(ids(&take(&mut session, 10).await), ["1"]);
        subject.takes_from(&["q"]);
    });
}

#[test]
fn a_queue_that_is_not_to_be_declared_is_taken_from_as_it_is() {
    each(|subject| async move {
        let strict = Queue { arguments: r#"{"x-max-length":1}"#.into(), ..Queue::named("strict") };
        subject.broker.declare(std::slice::from_ref(&strict)).unwrap();
        let known = Queue { no_declare: true, ..Queue::named("strict") };
        subject.broker.declare(std::slice::from_ref(&known)).unwrap();
        let mut session = subject.session(&[]).await;
        session.subscribe_to(&[known]).await.unwrap();
        subject.send("strict", "1");
        assert_eq!(ids(&take(&mut session, 10).await), ["1"]);
    });
}

#[test]
fn a_fanout_queue_hears_what_is_sent_while_it_is_taken_from() {
    each(|subject| async move {
        if !subject.broker.capabilities().exchanges {
            return;
        }
        let ear = Queue {
            exchange: "all".into(),
            exchange_type: "fanout".into(),
            auto_delete: true,
            ..Queue::named("ear")
        };
        let said = |id: &str| Publication { exchange: "all".into(), ..to("", id) };
        let mut session = subject.session(&["q"]).await;
        session.subscribe_to(&[ear]).await.unwrap();
        subject.broker.publish(&[said("1")]).unwrap();
        let mut taken = Vec::new();
        while taken.is_empty() {
            taken = ids(&take(&mut session, 10).await);
        }
        assert_eq!(taken, ["1"]);
        session.unsubscribe_from("ear").await.unwrap();
        // A broker that confirms says that nobody has got it.
        let sent = subject.broker.publish(&[said("2")]);
        assert!(sent.is_ok() || subject.broker.capabilities().pushes);
        assert!(take(&mut session, 10).await.deliveries.is_empty());
    });
}
