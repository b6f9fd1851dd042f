//! Turns and tokens: what the server counts for all workers together.

use std::sync::Arc;
use std::time::Duration;

use fastq_core::broker::Session;
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::job::limits::{Ask, Asked, Granted, Limits};

use crate::support::{Subject, each_that, take};

/// Which brokers this is about.
const CAN: fn(&Subject) -> bool = |subject| subject.broker.capabilities().limits;

const WITHIN: Duration = Duration::from_millis(100);

fn tokens(key: &str, most: u32, wanted: u32) -> Ask {
    Ask { key: key.into(), what: Asked::Tokens { most }, wanted }
}

fn turns(key: &str, every: u64, wanted: u32) -> Ask {
    Ask {
        key: key.into(),
        what: Asked::Turns { every: Duration::from_millis(every), within: WITHIN },
        wanted,
    }
}

async fn ask(session: &mut Box<dyn Session>, asks: &[Ask]) -> Vec<u32> {
    session.admit(asks).await.unwrap().iter().map(|granted| granted.count).collect()
}

async fn give_back(session: &mut Box<dyn Session>, keys: &[&str]) {
    let commit = |key: &&str| {
        let limits = Limits { token: Some(Arc::from(*key)), ..Limits::default() }.boxed();
        Commit { limits, ..Commit::default() }
    };
    session.exchange(&mut keys.iter().map(commit).collect(), 0).await.unwrap();
}

async fn called(session: &mut Box<dyn Session>) -> bool {
    session.arrival().await;
    let _ = take(session, 0).await;
    session.freed()
}

#[test]
fn there_are_so_many_tokens_of_a_key_for_all_workers_together() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(ask(&mut one, &[tokens("a", 3, 2), tokens("b", 1, 1)]).await, [2, 1], "{}", subject.name);
        assert_eq!(ask(&mut two, &[tokens("a", 3, 2), tokens("b", 1, 1)]).await, [1, 0], "{}", subject.name);
        give_back(&mut one, &["a", "a", "b"]).await;
        assert_eq!(ask(&mut two, &[tokens("a", 3, 9), tokens("b", 1, 9)]).await, [2, 1], "{}", subject.name);
    });
}

#[test]
fn who_asked_in_vain_is_called_and_goes_first() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1]);
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0]);
        while two.freed() {} // what was called before anybody listened
        give_back(&mut one, &["a"]).await;
        while !called(&mut two).await {}
        // The worker that had it does not take it again before the one in line.
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [0], "{}", subject.name);
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [1], "{}", subject.name);
        give_back(&mut two, &["a"]).await;
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0], "{}", subject.name);
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1], "{}", subject.name);
    });
}

#[test]
fn who_is_in_line_for_one_key_is_called_whatever_it_gets_of_another() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1]);
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0]);
        while two.freed() {} // what was called before anybody listened
        assert_eq!(ask(&mut two, &[tokens("b", 1, 1)]).await, [1], "{}", subject.name);
        assert_eq!(ask(&mut two, &[turns("r", 40, 1)]).await, [1], "{}", subject.name);
        give_back(&mut one, &["a"]).await;
        while !called(&mut two).await {}
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [1], "{}", subject.name);
    });
}

#[test]
fn who_wants_none_any_more_leaves_the_line() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1]);
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0]);
        assert_eq!(ask(&mut two, &[tokens("a", 1, 0)]).await, [0]);
        give_back(&mut one, &["a"]).await;
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1], "{}", subject.name);
    });
}

#[test]
fn a_session_that_ends_gives_its_tokens_back_and_leaves_its_lines() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        let mut three = subject.session(&["q"]).await;
        assert_eq!(ask(&mut one, &[tokens("a", 2, 2)]).await, [2]);
        assert_eq!(ask(&mut two, &[tokens("a", 2, 1)]).await, [0]);
        one.close().await.unwrap();
        two.close().await.unwrap();
        assert_eq!(ask(&mut three, &[tokens("a", 2, 9)]).await, [2], "{}", subject.name);
    });
}

#[test]
fn a_token_that_is_not_held_cannot_be_given_back() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1]);
        give_back(&mut two, &["a", "a"]).await;
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0], "{}", subject.name);
        give_back(&mut one, &["a", "a", "a"]).await;
        assert_eq!(ask(&mut two, &[tokens("a", 1, 9)]).await, [1], "{}", subject.name);
    });
}

#[test]
fn a_commit_that_is_refused_gives_no_token_back() {
    each_that(CAN, |subject| async move {
        subject.send("q", "1");
        let mut one = subject.session(&["q"]).await;
        let delivery = take(&mut one, 1).await.deliveries.remove(0);
        one.close().await.unwrap();
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1]);
        let limits = Limits { token: Some("a".into()), ..Limits::default() }.boxed();
        let late = Commit { limits, ..Commit::settle(delivery.receipt, Verdict::Ack) };
        one.exchange(&mut vec![late], 0).await.unwrap();
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0], "{}", subject.name);
    });
}

#[test]
fn turns_are_so_far_apart_whoever_has_them() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        let first = one.admit(&[turns("r", 40, 2)]).await.unwrap().remove(0);
        assert_eq!((first.count, first.after, first.turns), (2, Duration::ZERO, true), "{}", subject.name);
        let second = two.admit(&[turns("r", 40, 9)]).await.unwrap().remove(0);
        assert_eq!(second.count, 1, "{}: one more within 100 ms", subject.name);
        near(second.after, 80, subject.name);
        let third = one.admit(&[turns("r", 40, 1)]).await.unwrap().remove(0);
        assert_eq!(third.count, 0, "{}", subject.name);
        near(third.after, 120, subject.name);
        subject.pass(Duration::from_millis(100));
        let fourth = one.admit(&[turns("r", 40, 1), turns("other", 40, 1)]).await.unwrap();
        assert_eq!(
            fourth.iter().map(|granted| granted.count).collect::<Vec<_>>(),
            [1, 1],
            "{}",
            subject.name
        );
        near(fourth[0].after, 20, subject.name);
    });
}

#[test]
fn a_pause_saves_no_turns_up() {
    each_that(CAN, |subject| async move {
        let mut session = subject.session(&["q"]).await;
        assert_eq!(ask(&mut session, &[turns("r", 60_000, 9)]).await, [1], "{}", subject.name);
        subject.pass(Duration::from_secs(3600));
        assert_eq!(ask(&mut session, &[turns("r", 60_000, 9)]).await, [1], "{}", subject.name);
        let next: Granted = session.admit(&[turns("r", 60_000, 9)]).await.unwrap().remove(0);
        near(next.after, 60_000, subject.name);
    });
}

/// A server has a clock of its own, which does not stand still.
fn near(found: Duration, milliseconds: u64, name: &str) {
    let expected = Duration::from_millis(milliseconds);
    let late = if name == "redis" { Duration::from_millis(60) } else { Duration::ZERO };
    assert!(found <= expected && found + late >= expected, "{name}: {found:?} is not {expected:?}");
}

#[test]
fn who_leaves_the_line_calls_the_next() {
    each_that(CAN, |subject| async move {
        let (mut one, mut two) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        let mut three = subject.session(&["q"]).await;
        assert_eq!(ask(&mut one, &[tokens("a", 1, 1)]).await, [1]);
        assert_eq!(ask(&mut two, &[tokens("a", 1, 1)]).await, [0]);
        assert_eq!(ask(&mut three, &[tokens("a", 1, 1)]).await, [0]);
        give_back(&mut one, &["a"]).await;
        while three.freed() {}
        assert_eq!(
            ask(&mut two, &[tokens("a", 1, 0)]).await,
            [0],
            "it was called, and has no use for it any more"
        );
        while !called(&mut three).await {}
        assert_eq!(ask(&mut three, &[tokens("a", 1, 1)]).await, [1], "{}", subject.name);
    });
}
