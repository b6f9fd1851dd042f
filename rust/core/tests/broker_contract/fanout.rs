use fastq_core::broker::{Publication, Queue, Subscription};
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::Verdict;

use crate::support::{Subject, brokers, ids, run, settle, subscription, take, to};

fn bind(subject: &Subject, queue: &str, exchange: &str, kind: &str, key: &str) {
    let queue = Queue {
        exchange: exchange.into(),
        exchange_type: kind.into(),
        routing_key: key.into(),
        ..Queue::named(queue)
    };
    subject.broker.declare(&[queue]).unwrap();
}

fn through(exchange: &str, key: &str, id: &str) -> Publication {
    Publication { exchange: exchange.into(), ..to(key, id) }
}

fn each_with_exchanges<F: Future<Output = ()>>(story: impl Fn(Subject) -> F) {
    for subject in brokers().into_iter().filter(|subject| subject.broker.capabilities().exchanges) {
        run(subject, &story);
    }
}

#[test]
fn a_direct_exchange_sends_by_key() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "a", "tasks", "direct", "key.a");
        bind(&subject, "b", "tasks", "direct", "key.b");
        subject.broker.publish(&[through("tasks", "key.b", "1")]).unwrap();
        let mut session = subject.session(&["a", "b"]).await;
        let harvest = take(&mut session, 5).await;
        assert_eq!(ids(&harvest), ["1"]);
        let delivery = &harvest.deliveries[0];
        assert_eq!((&*delivery.queue, &*delivery.exchange, &*delivery.routing_key), ("b", "tasks", "key.b"));
        let error = subject.broker.publish(&[through("tasks", "key.c", "2")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_topic_exchange_sends_by_pattern_and_once_to_each_queue() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "all", "events", "topic", "#");
        bind(&subject, "all", "events", "topic", "task.*");
        bind(&subject, "tasks", "events", "topic", "task.*");
        subject
            .broker
            .publish(&[through("events", "task.sent", "1"), through("events", "worker.up", "2")])
            .unwrap();
        assert_eq!(subject.depth("all").ready, 2);
        assert_eq!(subject.depth("tasks").ready, 1);
    });
}

#[test]
fn a_fanout_exchange_sends_to_every_queue_whatever_the_key() {
    each_with_exchanges(|subject| async move {
        // Some brokers keep nothing for those who do not listen, so the sessions come first.
        let mut first = subject.broker.subscribe(listening("a", "")).await.unwrap();
        let mut second = subject.broker.subscribe(listening("b", "")).await.unwrap();
        take(&mut first, 5).await;
        take(&mut second, 5).await;
        subject.broker.publish(&[through("control", "", "1")]).unwrap();
        for session in [&mut first, &mut second] {
            session.arrival().await;
            let harvest = take(session, 5).await;
            assert_eq!(ids(&harvest), ["1"], "{}", subject.name);
            assert_eq!(&*harvest.deliveries[0].exchange, "control");
        }
    });
}

#[test]
fn a_message_of_a_fanout_exchange_is_settled_like_any_other() {
    each_with_exchanges(|subject| async move {
        let mut session = subject.broker.subscribe(listening("a", "")).await.unwrap();
        take(&mut session, 5).await;
        subject.broker.publish(&[through("control", "", "1")]).unwrap();
        session.arrival().await;
        let delivery = take(&mut session, 5).await.deliveries.remove(0);
        settle(&mut session, delivery, Verdict::Release).await;
        let again = take(&mut session, 5).await.deliveries.remove(0);
        assert!(settle(&mut session, again, Verdict::Ack).await.refused.is_empty());
        assert!(take(&mut session, 5).await.deliveries.is_empty());
    });
}

#[test]
fn a_fanout_exchange_without_queues_takes_a_message_to_nobody() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "a", "control", "fanout", "");
        subject.broker.publish(&[through("control", "", "1")]).unwrap();
    });
}

fn listening(queue: &str, key: &str) -> Subscription {
    let mut subscription = subscription(&[]);
    subscription.queues.push(Queue {
        exchange: "control".into(),
        exchange_type: "fanout".into(),
        routing_key: key.into(),
        ..Queue::named(queue)
    });
    subscription
}

#[test]
fn a_bound_queue_is_reached_by_its_name_too() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "a", "tasks", "direct", "key");
        subject.send("a", "1");
        assert_eq!(subject.depth("a").ready, 1);
    });
}

#[test]
fn an_exchange_can_be_declared_before_it_has_queues() {
    each_with_exchanges(|subject| async move {
        let exchange = Queue { exchange: "bell".into(), exchange_type: "fanout".into(), ..Queue::named("") };
        subject.broker.declare(std::slice::from_ref(&exchange)).unwrap();
        subject.broker.publish(&[through("bell", "", "1")]).unwrap();
        let other = Queue { exchange_type: "topic".into(), ..exchange };
        assert_eq!(subject.broker.declare(&[other]).unwrap_err().kind(), ErrorKind::Mismatch);
        let nothing = subject.broker.declare(&[Queue::named("")]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::Config);
        assert!(subject.broker.depths().unwrap().iter().all(|depth| !depth.queue.is_empty()));
    });
}

#[test]
fn an_exchange_keeps_its_type() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "a", "tasks", "direct", "key");
        let queue = Queue { exchange: "tasks".into(), exchange_type: "fanout".into(), ..Queue::named("b") };
        assert_eq!(subject.broker.declare(&[queue]).unwrap_err().kind(), ErrorKind::Mismatch);
    });
}
