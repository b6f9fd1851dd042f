use std::time::Duration;

use fastq_core::clock::{Clock, WallTime};

use crate::support::{Subject, brokers, ids, run, take, to};

fn send_later(subject: &Subject, id: &str, delay: Duration) {
    let mut publication = to("q", id);
    publication.due = Some(now(subject).after(delay));
    subject.broker.publish(&[publication]).unwrap();
}

fn now(subject: &Subject) -> WallTime {
    Clock::Hand(std::sync::Arc::clone(&subject.clock)).wall()
}

#[test]
fn a_message_is_not_taken_before_it_is_due() {
    for subject in brokers() {
        run(subject, |subject| async move {
            if !(subject.broker.capabilities().delay && subject.obeys_clock()) {
                return;
            }
            send_later(&subject, "late", Duration::from_secs(60));
            send_later(&subject, "soon", Duration::from_secs(30));
            subject.send("q", "now");
            let mut session = subject.session(&["q"]).await;
            assert_eq!(ids(&take(&mut session, 5).await), ["now"]);
            subject.delayed("q", 2);
            subject.clock.advance(Duration::from_millis(29_999));
            assert!(take(&mut session, 5).await.deliveries.is_empty());
            subject.clock.advance(Duration::from_millis(1));
            assert_eq!(ids(&take(&mut session, 5).await), ["soon"]);
            subject.clock.advance(Duration::from_secs(30));
            assert_eq!(ids(&take(&mut session, 5).await), ["late"]);
            subject.delayed("q", 0);
        });
    }
}

#[test]
fn a_time_that_has_passed_is_now() {
    for subject in brokers() {
        run(subject, |subject| async move {
            let mut publication = to("q", "1");
            publication.due = Some(now(&subject));
            subject.broker.publish(&[publication]).unwrap();
            assert_eq!(subject.depth("q").ready, 1);
        });
    }
}

#[test]
fn falling_due_is_an_arrival() {
    for subject in brokers() {
        run(subject, |subject| async move {
            if !(subject.broker.capabilities().delay && subject.obeys_clock()) {
                return;
            }
            send_later(&subject, "1", Duration::from_millis(20));
            let mut session = subject.session(&["q"]).await;
            assert!(take(&mut session, 1).await.deliveries.is_empty());
            subject.clock.advance(Duration::from_millis(20));
            session.arrival().await;
            assert_eq!(ids(&take(&mut session, 1).await), ["1"]);
        });
    }
}

#[test]
fn a_delayed_follow_up_waits_too() {
    for subject in brokers() {
        run(subject, |subject| async move {
            if !(subject.broker.capabilities().delay && subject.obeys_clock()) {
                return;
            }
            let mut session = subject.session(&["q"]).await;
            let mut retry = to("q", "retry");
            retry.due = Some(now(&subject).after(Duration::from_secs(3)));
            let mut commit = fastq_core::job::ending::Commit::store(Vec::new());
            commit.publications.push(retry);
            let harvest = session.exchange(&mut vec![commit], 5).await.unwrap();
            assert!(harvest.deliveries.is_empty() && !harvest.more);
            subject.clock.advance(Duration::from_secs(3));
            session.arrival().await;
            assert_eq!(ids(&take(&mut session, 1).await), ["retry"]);
        });
    }
}
