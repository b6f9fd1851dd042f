//! Unique tasks: one of a key is under way at a time.

use std::time::Duration;

use fastq_core::broker::{Broker, Duplicate, Publication};
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::job::limits::{Limits, Locked};
use fastq_core::message::bounds::Lock;

use crate::support::{Subject, brokers, each_that, ids, record, settle, take, to};

/// Which brokers this is about.
const CAN: fn(&Subject) -> bool = |subject| subject.broker.capabilities().limits;

fn unique(id: &str, key: &str) -> Publication {
    let mut publication = to("q", id);
    let headers =
        format!(r#"{{"task":"shop.add","id":"{id}","x-fastq-unique-key":"{key}","x-fastq-unique-for":60}}"#);
    publication.message.headers = headers.into();
    publication
}

fn send(subject: &Subject, publications: &[Publication], together: bool) -> Vec<Duplicate> {
    subject.broker.publish_locking(publications, together, None).unwrap()
}

fn of(place: usize, holder: &str) -> Duplicate {
    Duplicate { place, holder: holder.into() }
}

fn unlocking(key: &str, id: &str) -> Option<Box<Limits>> {
    Limits { unlock: Some((key.into(), id.into())), ..Limits::default() }.boxed()
}

#[test]
fn a_second_message_of_a_key_is_not_sent_and_its_sender_hears_who_is_first() {
    each_that(CAN, |subject| async move {
        assert_eq!(send(&subject, &[unique("1", "k")], true), []);
        assert_eq!(send(&subject, &[unique("2", "k")], true), [of(0, "1")], "{}", subject.name);
        assert_eq!(send(&subject, &[unique("3", "other")], true), []);
        let mut session = subject.session(&["q"]).await;
        assert_eq!(ids(&take(&mut session, 9).await), ["1", "3"], "{}", subject.name);
    });
}

#[test]
fn what_was_sent_before_is_not_sent_again() {
    each_that(CAN, |subject| async move {
        // A publish whose answer was lost is tried again.
        assert_eq!(send(&subject, &[unique("1", "k")], true), []);
        assert_eq!(send(&subject, &[unique("1", "k")], true), []);
        assert_eq!(subject.depth("q").ready, 1, "{}", subject.name);
    });
}

#[test]
fn of_many_all_or_those_that_may_are_sent() {
    each_that(CAN, |subject| async move {
        let many = [unique("1", "a"), to("q", "2"), unique("3", "a"), unique("4", "b")];
        assert_eq!(send(&subject, &many, true), [of(2, "1")], "{}", subject.name);
        assert_eq!(subject.depth("q").ready, 0, "{}", subject.name);
        assert_eq!(send(&subject, &many, false), [of(2, "1")]);
        let mut session = subject.session(&["q"]).await;
        assert_eq!(ids(&take(&mut session, 9).await), ["1", "2", "4"], "{}", subject.name);
    });
}

#[test]
fn a_commit_gives_a_lock_back_that_its_task_has_and_no_other() {
    each_that(CAN, |subject| async move {
        send(&subject, &[unique("1", "k")], true);
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let foreign = Commit { limits: unlocking("k", "another"), ..Commit::default() };
        session.exchange(&mut vec![foreign], 0).await.unwrap();
        assert_eq!(send(&subject, &[unique("2", "k")], true).len(), 1, "{}", subject.name);
        let ended = Commit { limits: unlocking("k", "1"), ..Commit::settle(delivery.receipt, Verdict::Ack) };
        session.exchange(&mut vec![ended], 0).await.unwrap();
        assert_eq!(send(&subject, &[unique("2", "k")], true), [], "{}", subject.name);
    });
}

#[test]
fn a_commit_that_is_refused_gives_nothing_back() {
    each_that(CAN, |subject| async move {
        send(&subject, &[unique("1", "k")], true);
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        session.close().await.unwrap();
        let mut session = subject.session(&["q"]).await;
        let late = Commit { limits: unlocking("k", "1"), ..Commit::settle(delivery.receipt, Verdict::Ack) };
        assert_eq!(session.exchange(&mut vec![late], 0).await.unwrap().refused.len(), 1, "{}", subject.name);
        assert_eq!(send(&subject, &[unique("2", "k")], true).len(), 1, "{}", subject.name);
    });
}

#[test]
fn a_lock_stays_while_its_message_comes_back_and_goes_when_its_time_is_over() {
    each_that(CAN, |subject| async move {
        send(&subject, &[unique("1", "k")], true);
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        settle(&mut session, delivery, Verdict::Requeue { died: true }).await;
        assert_eq!(send(&subject, &[unique("2", "k")], true).len(), 1, "{}", subject.name);
        subject.pass(Duration::from_secs(59));
        assert_eq!(send(&subject, &[unique("2", "k")], true).len(), 1, "{}", subject.name);
        subject.pass(Duration::from_secs(2));
        assert_eq!(send(&subject, &[unique("2", "k")], true), [], "{}", subject.name);
    });
}

#[test]
fn what_is_purged_gives_its_locks_back() {
    each_that(CAN, |subject| async move {
        let mut later = unique("2", "b");
        later.due = Some(subject.clock_now().after(Duration::from_secs(500)));
        send(&subject, &[unique("1", "a"), later, to("q", "3")], true);
        assert_eq!(subject.broker.purge("q").unwrap(), 3, "{}", subject.name);
        assert_eq!(send(&subject, &[unique("4", "a"), unique("5", "b")], true), [], "{}", subject.name);
        assert_eq!(subject.depth("q").ready, 2, "{}", subject.name);
        assert_eq!(subject.broker.purge("q").unwrap(), 2, "{}", subject.name);
        assert_eq!(subject.broker.purge("q").unwrap(), 0);
    });
}

#[test]
fn a_follow_up_goes_with_its_lock_or_its_failure_is_stored() {
    each_that(CAN, |subject| async move {
        subject.send("q", "0");
        send(&subject, &[unique("1", "taken")], true);
        let mut session = subject.session(&["q"]).await;
        let delivery = take(&mut session, 1).await.deliveries.remove(0);
        let publications = vec![unique("2", "taken"), unique("3", "free"), to("q", "4")];
        let locked = |place: usize, id: &str| Locked {
            place,
            lock: Lock::wanted(&publications[place].message.headers).unwrap().unwrap(),
            otherwise: Some(record(id, "FAILURE")),
        };
        let limits = Limits { locked: vec![locked(0, "2"), locked(1, "3")], ..Limits::default() }.boxed();
        let commit = Commit { publications, limits, ..Commit::settle(delivery.receipt, Verdict::Ack) };
        session.exchange(&mut vec![commit], 0).await.unwrap();
        let mut arrived = ids(&take(&mut session, 9).await);
        arrived.sort();
        assert_eq!(arrived, ["1", "3", "4"], "{}", subject.name);
        let store = subject.broker.store().unwrap();
        let stored = store.load(&["2".into(), "3".into()]).unwrap();
        let states: Vec<_> =
            stored.iter().flatten().map(|found| (found.task_id.as_str(), found.state.as_str())).collect();
        assert_eq!(states, [("2", "FAILURE")], "{}", subject.name);
        assert_eq!(send(&subject, &[unique("5", "free")], true), [of(0, "3")], "{}", subject.name);
    });
}

#[test]
fn a_lock_that_cannot_be_is_refused_before_anything_is_sent() {
    for subject in brokers().into_iter().filter(CAN) {
        let mut nameless = unique("1", "k");
        nameless.message.headers = r#"{"task":"a","x-fastq-unique-key":"k"}"#.into();
        let error = subject.broker.publish_locking(&[to("q", "0"), nameless], true, None).unwrap_err();
        assert_eq!((error.kind(), subject.depth("q").ready), (ErrorKind::Encode, 0), "{}", subject.name);
    }
}

#[test]
fn threads_that_send_the_same_at_once_send_it_once() {
    for subject in brokers().into_iter().filter(CAN) {
        let broker: &dyn Broker = &*subject.broker;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..20 {
                        let id = format!("{thread}-{number}");
                        broker.publish_locking(&[unique(&id, &number.to_string())], true, None).unwrap();
                    }
                });
            }
        });
        assert_eq!(subject.depth("q").ready, 20, "{}", subject.name);
    }
}
