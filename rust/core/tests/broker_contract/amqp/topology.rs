use fastq_core::broker::Queue;
use fastq_core::job::ending::{Commit, Verdict};

use super::{Host, block_on};
use crate::support::{exchange, ids, subscription, take, to};

#[test]
fn a_queue_with_other_arguments_is_taken_from_as_it_is_and_that_is_told_once() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let limited = Queue { arguments: r#"{"x-max-length":9}"#.into(), ..Queue::named("q") };
        broker.declare(&[limited]).unwrap();
        broker.publish(&[to("q", "1")]).unwrap();
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let harvest = session.exchange(&mut Vec::new(), 0).await.unwrap();
        assert_eq!(harvest.notices.len(), 1);
        assert!(harvest.notices[0].contains("as it is"), "{:?}", harvest.notices);
        assert_eq!(ids(&take_all(&mut session).await), ["1"]);
        host.hang_up();
        broker.publish(&[to("q", "2")]).unwrap();
        let mut notices = 0;
        loop {
            match session.exchange(&mut Vec::new(), 5).await {
                Ok(harvest) => {
                    notices += harvest.notices.len();
                    if ids(&harvest).contains(&"2".to_owned()) {
                        break;
                    }
                    session.arrival().await;
                }
                Err(error) => assert!(error.is_temporary(), "{error}"),
            }
        }
        assert_eq!(notices, 0);
    });
}

async fn take_all(session: &mut Box<dyn fastq_core::broker::Session>) -> fastq_core::broker::Harvest {
    loop {
        let harvest = take(session, 5).await;
        if !harvest.deliveries.is_empty() {
            return harvest;
        }
    }
}

#[test]
fn what_is_set_aside_goes_where_the_queue_itself_says() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let arguments = r#"{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"failed"}"#.to_owned();
        let queue = Queue { arguments, ..Queue::named("q") };
        broker.declare(&[queue.clone(), Queue::named("failed")]).unwrap();
        broker.publish(&[to("q", "1")]).unwrap();
        let mut subscription = subscription(&[]);
        subscription.queues.push(queue);
        let mut session = broker.subscribe(subscription).await.unwrap();
        let delivery = take_all(&mut session).await.deliveries.remove(0);
        let verdict = Verdict::Bury { reason: "no".into(), died: false };
        exchange(&mut session, vec![Commit::settle(delivery.receipt, verdict)], 0).await;
        session.close().await.unwrap();
        let mut failed = broker.subscribe(crate::support::subscription(&["failed"])).await.unwrap();
        assert_eq!(ids(&take_all(&mut failed).await), ["1"]);
        assert!(broker.dead_letters(None, 5).unwrap().is_empty());
    });
}

#[test]
fn a_quorum_queue_serves_like_any_other() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let queue = Queue { arguments: r#"{"x-queue-type":"quorum"}"#.into(), ..Queue::named("q") };
        broker.declare(std::slice::from_ref(&queue)).unwrap();
        broker.publish(&[to("q", "1"), to("q", "2")]).unwrap();
        let mut subscription = subscription(&[]);
        subscription.queues.push(queue);
        let mut session = broker.subscribe(subscription).await.unwrap();
        let mut first = take_all(&mut session).await.deliveries;
        let delivery = first.remove(0);
        exchange(&mut session, vec![Commit::settle(delivery.receipt, Verdict::Requeue { died: true })], 0)
            .await;
        // The other one may have come together with it.
        let mut deaths: Vec<u32> = first.iter().map(|delivery| delivery.deaths).collect();
        while deaths.len() < 2 {
            let harvest = take_all(&mut session).await;
            deaths.extend(harvest.deliveries.iter().map(|delivery| delivery.deaths));
        }
        deaths.sort_unstable();
        assert_eq!(deaths, [0, 1]);
    });
}

#[test]
fn what_the_server_has_set_aside_is_shown_and_goes_back() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let to_dead = r#""x-dead-letter-exchange":"","x-dead-letter-routing-key":"q.dead""#;
        let arguments = format!(r#"{{"x-max-length":1,{to_dead}}}"#);
        let queue = Queue { arguments, ..Queue::named("q") };
        broker.declare(&[queue.clone(), Queue::named("q.dead")]).unwrap();
        broker.publish(&[to("q", "1"), to("q", "2")]).unwrap();
        crate::support::until("it is moved", || !broker.dead_letters(Some("q"), 5).unwrap().is_empty());
        let letter = broker.dead_letters(Some("q"), 5).unwrap().remove(0);
        assert_eq!((&*letter.id, &*letter.task_name, &*letter.queue), ("1", "shop.add", "q"));
        assert!(letter.reason.contains("the queue was full"), "{}", letter.reason);
        let age = fastq_core::clock::Clock::system().wall().0 - letter.buried_at.0;
        assert!((-2_000..60_000).contains(&age), "{age}");
        assert_eq!(broker.purge("q").unwrap(), 1);
        assert_eq!(broker.requeue_dead(None, &["1".into()]).unwrap(), 1);
        let mut subscription = subscription(&[]);
        subscription.queues.push(queue);
        let mut session = broker.subscribe(subscription).await.unwrap();
        let delivery = take_all(&mut session).await.deliveries.remove(0);
        let headers = String::from_utf8_lossy(&delivery.message.headers).into_owned();
        assert_eq!(crate::support::id_of(&delivery), "1");
        assert!(!headers.contains("x-death"), "{headers}");
    });
}

#[test]
fn a_queue_that_is_another_connections_alone_keeps_no_other_from_being_shown() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let mut subscription = subscription(&["q"]);
        subscription.queues.push(Queue { exclusive: true, ..Queue::named("own") });
        let _session = broker.subscribe(subscription).await.unwrap();
        let depths = broker.depths().unwrap();
        let found: Vec<&str> = depths.iter().map(|depth| depth.queue.as_str()).collect();
        assert_eq!(found, ["q"]);
    });
}

#[test]
fn a_message_that_may_not_be_set_aside_stays_and_holds_up_no_other() {
    let Some(host) = Host::new() else { return };
    let limited = Host { name: host.name.clone(), url: host.without_right_to_make("q.dead") };
    block_on(async {
        let broker = limited.broker("");
        let arguments = r#"{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"failed"}"#.to_owned();
        let other = Queue { arguments, ..Queue::named("other") };
        broker.declare(&[Queue::named("q"), other.clone(), Queue::named("failed")]).unwrap();
        broker.publish(&[to("q", "1"), to("q", "2"), to("q", "3"), to("other", "own")]).unwrap();
        let mut both = subscription(&["q"]);
        both.queues.push(other);
        let mut session = broker.subscribe(both).await.unwrap();
        let deliveries = take(&mut session, 8).await.deliveries;
        assert_eq!(deliveries.len(), 4);
        let verdict = |id: &str| match id {
            "1" | "own" => Verdict::Bury { reason: "no".into(), died: false },
            _ => Verdict::Ack,
        };
        let commits = deliveries
            .into_iter()
            .map(|delivery| (verdict(&crate::support::id_of(&delivery)), delivery.receipt))
            .map(|(verdict, receipt)| Commit::settle(receipt, verdict))
            .collect();
        let harvest = exchange(&mut session, commits, 0).await;
        assert!(harvest.notices[0].contains("q.dead"), "{:?}", harvest.notices);
        broker.publish(&[to("q", "4")]).unwrap();
        assert_eq!(ids(&take_all(&mut session).await), ["4"]);
        session.close().await.unwrap();
        let mut allowed = host.broker("").subscribe(subscription(&["q"])).await.unwrap();
        let mut left = ids(&take(&mut allowed, 5).await);
        left.sort_unstable();
        assert_eq!(left, ["1", "4"]);
        let mut rejected = host.broker("").subscribe(subscription(&["failed"])).await.unwrap();
        assert_eq!(ids(&take_all(&mut rejected).await), ["own"], "its own queue says where it goes");
    });
}

#[test]
fn a_queue_with_one_consumer_at_a_time_stays_with_it() {
    let single = Queue { arguments: r#"{"x-single-active-consumer":true}"#.into(), ..Queue::named("q") };
    // The second one does not know how the queue was declared, and hears it from the server.
    for known in [single.clone(), Queue::named("q")] {
        let Some(host) = Host::new() else { return };
        block_on(async {
            let broker = host.broker("");
            broker.declare(std::slice::from_ref(&single)).unwrap();
            let mut subscription = subscription(&[]);
            subscription.queues.push(known);
            let mut first = broker.subscribe(subscription.clone()).await.unwrap();
            assert!(take(&mut first, 2).await.deliveries.is_empty());
            let mut second = broker.subscribe(subscription).await.unwrap();
            assert!(take(&mut second, 2).await.deliveries.is_empty());
            let sent: Vec<String> = (0..300).map(|number| number.to_string()).collect();
            broker.publish(&sent.iter().map(|id| to("q", id)).collect::<Vec<_>>()).unwrap();
            let (mut taken, mut done) = (Vec::new(), Vec::new());
            while taken.len() < sent.len() {
                let harvest = exchange(&mut first, std::mem::take(&mut done), 100).await;
                taken.extend(ids(&harvest));
                done = harvest
                    .deliveries
                    .into_iter()
                    .map(|delivery| Commit::settle(delivery.receipt, Verdict::Ack))
                    .collect();
                assert!(take(&mut second, 100).await.deliveries.is_empty(), "it is the first one's");
            }
            assert_eq!(taken, sent);
            exchange(&mut first, done, 0).await;
            first.close().await.unwrap();
            broker.publish(&[to("q", "after")]).unwrap();
            assert_eq!(ids(&take_all(&mut second).await), ["after"]);
        });
    }
}
