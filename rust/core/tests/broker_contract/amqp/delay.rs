use std::time::{Duration, Instant};

use fastq_core::broker::Queue;
use fastq_core::clock::Clock;
use fastq_core::job::ending::Commit;

use super::{Host, block_on};
use crate::support::{exchange, ids, subscription, take, to};

const OPTIONS: &str = r#"{"delayed_queue_type": "classic"}"#;

#[test]
fn a_message_waits_in_the_queues_of_delays_until_it_is_due() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker(OPTIONS);
        let began = Instant::now();
        let mut later = to("q", "later");
        later.due = Some(Clock::system().wall().after(Duration::from_secs(2)));
        broker.publish(&[later, to("q", "now")]).unwrap();
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut found = Vec::new();
        while found.len() < 2 {
            found.extend(take(&mut session, 5).await.deliveries);
        }
        assert!(began.elapsed() >= Duration::from_secs(2));
        let addresses: Vec<_> =
            found.iter().map(|one| (&*one.queue, &*one.exchange, &*one.routing_key)).collect();
        assert_eq!(addresses, [("q", "", "q"), ("q", "", "q")]);
        assert_eq!(crate::support::id_of(&found[1]), "later");
    });
}

#[test]
fn a_follow_up_waits_for_a_queue_that_is_its_connections_alone() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker(OPTIONS);
        let mut subscription = subscription(&[]);
        subscription.queues.push(Queue { exclusive: true, ..Queue::named("own") });
        let mut session = broker.subscribe(subscription).await.unwrap();
        let mut commit = Commit::store(Vec::new());
        let mut retry = to("own", "later");
        retry.due = Some(Clock::system().wall().after(Duration::from_millis(1100)));
        commit.publications.push(retry);
        let mut found = ids(&exchange(&mut session, vec![commit], 5).await);
        assert!(found.is_empty(), "not yet");
        while found.is_empty() {
            found = ids(&take(&mut session, 5).await);
        }
        assert_eq!(found, ["later"]);
    });
}

#[test]
fn a_follow_up_waits_too_and_a_queue_whose_name_ends_alike_gets_nothing() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker(OPTIONS);
        let mut session = broker.subscribe(subscription(&["a.b", "b"])).await.unwrap();
        let mut commit = Commit::store(Vec::new());
        for queue in ["a.b", "b"] {
            let mut retry = to(queue, queue);
            retry.due = Some(Clock::system().wall().after(Duration::from_millis(1100)));
            commit.publications.push(retry);
        }
        assert!(exchange(&mut session, vec![commit], 5).await.deliveries.is_empty());
        let mut found = Vec::new();
        while found.len() < 2 {
            let harvest = take(&mut session, 5).await;
            found.extend(ids(&harvest));
        }
        found.sort_unstable();
        assert_eq!(found, ["a.b", "b"]);
        assert!(take(&mut session, 5).await.deliveries.is_empty());
    });
}
