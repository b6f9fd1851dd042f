use fastq_core::broker::Queue;
use fastq_core::error::ErrorKind;

use crate::support::{brokers, each, ids, message, take, to};

#[test]
fn a_message_arrives_as_it_was_sent() {
    each(|subject| async move {
        let mut publication = to("q", "1");
        publication.priority = Some(4);
        subject.broker.publish(&[publication]).unwrap();
        let mut session = subject.session(&["q"]).await;
        let harvest = take(&mut session, 1).await;
        let delivery = &harvest.deliveries[0];
        assert_eq!(delivery.message, message("1"));
        assert_eq!((&*delivery.queue, &*delivery.exchange, &*delivery.routing_key), ("q", "", "q"));
        assert_eq!((delivery.priority, delivery.redelivered, delivery.deaths), (Some(4), false, 0));
        assert!(delivery.tag().0 > 0);
    });
}

#[test]
fn a_message_with_any_bytes_arrives_whole() {
    each(|subject| async move {
        let mut publication = to("q", "1");
        publication.message.body = (0..3_000_000_u32).map(|number| number as u8).collect::<Vec<u8>>().into();
        subject.broker.publish(&[publication.clone()]).unwrap();
        let mut session = subject.session(&["q"]).await;
        assert_eq!(take(&mut session, 1).await.deliveries[0].message, publication.message);
    });
}

#[test]
fn publishing_to_an_unknown_queue_makes_it() {
    for subject in brokers() {
        subject.send("new", "1");
        assert_eq!(subject.depth("new").ready, 1, "{}", subject.name);
    }
}

#[test]
fn publishing_nothing_does_nothing() {
    for subject in brokers() {
        subject.broker.publish(&[]).unwrap();
        assert!(subject.broker.depths().unwrap().is_empty());
    }
}

#[test]
fn many_messages_are_sent_in_order() {
    each(|subject| async move {
        let many: Vec<_> = (0..100).map(|number| to("q", &number.to_string())).collect();
        subject.broker.publish(&many).unwrap();
        let mut session = subject.session(&["q"]).await;
        let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(ids(&take(&mut session, 200).await), expected);
    });
}

#[test]
fn if_one_message_of_many_has_no_queue_none_is_sent() {
    for subject in brokers() {
        let mut lost = to("nowhere", "2");
        lost.exchange = "unknown".into();
        let error = subject.broker.publish(&[to("q", "1"), lost]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{}", subject.name);
        assert_eq!(subject.depth("q").ready, 0, "{}", subject.name);
        // What the failed call would have made is not remembered as made.
        subject.send("q", "3");
        assert_eq!(subject.depth("q").ready, 1, "{}", subject.name);
    }
}

#[test]
fn many_threads_publish_over_one_broker() {
    for subject in brokers() {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let subject = &subject;
                scope.spawn(move || {
                    for number in 0..50 {
                        subject.send("q", &format!("{thread}-{number}"));
                    }
                });
            }
        });
        assert_eq!(subject.depth("q").ready, 200, "{}", subject.name);
    }
}

#[test]
fn declaring_twice_changes_nothing_and_other_arguments_are_a_mismatch() {
    for subject in brokers() {
        let queue = Queue { arguments: r#"{"x-max-priority":1}"#.into(), ..Queue::named("q") };
        subject.broker.declare(std::slice::from_ref(&queue)).unwrap();
        subject.broker.declare(&[queue]).unwrap();
        let other = Queue { arguments: r#"{"x-max-priority":2}"#.into(), ..Queue::named("q") };
        assert_eq!(
            subject.broker.declare(&[other]).unwrap_err().kind(),
            ErrorKind::Mismatch,
            "{}",
            subject.name
        );
        let exchange = Queue { exchange: "x".into(), exchange_type: "headers".into(), ..Queue::named("h") };
        assert_eq!(subject.broker.declare(&[exchange]).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(subject.broker.depths().unwrap().len(), 1, "{}", subject.name);
    }
}

#[test]
fn a_closed_broker_opens_again_when_it_is_used() {
    for subject in brokers() {
        subject.send("q", "1");
        subject.broker.close();
        subject.send("q", "2");
        assert_eq!(subject.depth("q").ready, 2, "{}", subject.name);
    }
}
