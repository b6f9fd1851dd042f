use fastq_core::broker::{Publication, Queue};
use fastq_core::error::ErrorKind;

use crate::support::{Subject, brokers, ids, run, take, to};

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
fn a_fanout_exchange_sends_to_every_queue_and_to_none_without_bindings() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "a", "control", "fanout", "");
        bind(&subject, "b", "control", "fanout", "x");
        subject.broker.publish(&[through("control", "whatever", "1")]).unwrap();
        assert_eq!((subject.depth("a").ready, subject.depth("b").ready), (1, 1));
        let mut first = subject.session(&["a"]).await;
        let mut second = subject.session(&["b"]).await;
        assert_eq!(ids(&take(&mut first, 5).await), ["1"]);
        assert_eq!(ids(&take(&mut second, 5).await), ["1"]);
    });
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
fn an_exchange_keeps_its_type() {
    each_with_exchanges(|subject| async move {
        bind(&subject, "a", "tasks", "direct", "key");
        let queue = Queue { exchange: "tasks".into(), exchange_type: "fanout".into(), ..Queue::named("b") };
        assert_eq!(subject.broker.declare(&[queue]).unwrap_err().kind(), ErrorKind::Mismatch);
    });
}
