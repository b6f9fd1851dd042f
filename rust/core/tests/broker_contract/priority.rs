use fastq_core::broker::{Capabilities, PriorityOrder, Queue, Session};

use crate::support::{Subject, brokers, ids, run, subscription, take, to};

/// A queue that is declared to have priorities, where that is needed.
fn ranked() -> Queue {
    Queue { arguments: r#"{"x-max-priority":255}"#.into(), ..Queue::named("q") }
}

async fn session(subject: &Subject) -> Box<dyn Session> {
    let mut subscription = subscription(&[]);
    subscription.queues.push(ranked());
    subject.broker.subscribe(subscription).await.unwrap()
}

#[test]
fn urgent_messages_go_first_and_equal_ones_in_order() {
    for subject in brokers() {
        run(subject, |subject| async move {
            let Capabilities { priority: order, pushes, .. } = subject.broker.capabilities();
            if order == PriorityOrder::None {
                return;
            }
            subject.broker.declare(&[ranked()]).unwrap();
            for (id, priority) in
                [("a", Some(0)), ("b", Some(9)), ("c", None), ("d", Some(255)), ("e", Some(9))]
            {
                let mut publication = to("q", id);
                publication.priority = priority;
                subject.broker.publish(&[publication]).unwrap();
            }
            let mut session = session(&subject).await;
            let harvest = take(&mut session, 5).await;
            match order {
                PriorityOrder::HighestFirst => assert_eq!(ids(&harvest), ["d", "b", "e", "a", "c"]),
                // Several numbers share a step; within one the order is that of sending.
                _ => assert_eq!(ids(&harvest), ["a", "c", "b", "d", "e"]),
            }
            assert!(harvest.deliveries.is_sorted_by_key(|delivery| delivery.rank));
            // kombu says 0 where nothing was said, in its envelope and on RabbitMQ.
            let says_nothing = order == PriorityOrder::HighestFirst && !pushes;
            let unsaid = harvest.deliveries.iter().filter(|delivery| delivery.priority.is_none()).count();
            assert_eq!(unsaid, usize::from(says_nothing));
        });
    }
}

#[test]
fn an_urgent_message_overtakes_when_it_comes_later() {
    for subject in brokers() {
        run(subject, |subject| async move {
            if subject.broker.capabilities().priority != PriorityOrder::HighestFirst {
                return;
            }
            subject.broker.declare(&[ranked()]).unwrap();
            subject.send("q", "1");
            subject.send("q", "2");
            let mut session = session(&subject).await;
            take(&mut session, 1).await;
            let mut urgent = to("q", "urgent");
            urgent.priority = Some(1);
            subject.broker.publish(&[urgent]).unwrap();
            assert_eq!(ids(&take(&mut session, 2).await), ["urgent", "2"]);
        });
    }
}
