//! The record of tasks that are called off, and who hears of it.

use std::time::Duration;

use fastq_core::broker::{Ear, Said, Word};
use fastq_core::buffer::revoked::MOST;
use fastq_core::clock::{Clock, WallTime};
use fastq_core::job::revocation::{Revocation, Target};
use nix::sys::signal::Signal;

use crate::support::{Subject, each_that, ids, take};

/// Which brokers this is about.
const CAN: fn(&Subject) -> bool = |subject| subject.broker.capabilities().revocations;

const HOUR: Duration = Duration::from_secs(3600);

impl Subject {
    pub(crate) fn revocation(&self, id: &str, terminate: Option<Signal>) -> Revocation {
        let clock = if self.obeys_clock() { Clock::Hand(self.clock.clone()) } else { Clock::system() };
        let until = clock.wall().after(HOUR);
        Revocation { target: Target::Id(id.into()), terminate, until }
    }

    pub(crate) fn revoke(&self, some: &[&str]) {
        let some: Vec<Revocation> = some.iter().map(|id| self.revocation(id, None)).collect();
        self.broker.revoke(&some).unwrap();
    }

    fn recorded(&self) -> Vec<String> {
        named(&self.broker.revoked().unwrap())
    }
}

/// What they are about, in alphabetical order.
fn named(revocations: &[Revocation]) -> Vec<String> {
    let mut names: Vec<String> = revocations.iter().map(|one| one.to_json().to_string()).collect();
    names.sort();
    names
}

/// Hears until as many were told, at least.
pub(crate) async fn hear(ear: &mut dyn Ear, count: usize) -> Vec<Revocation> {
    let mut heard: Vec<Revocation> = Vec::new();
    while heard.len() < count {
        if let Said::Revoked(some) = ear.next().await {
            heard.extend(some);
        }
    }
    heard
}

#[test]
fn what_is_called_off_stands_in_the_record_until_its_time_is_over() {
    each_that(CAN, |subject| async move {
        assert!(subject.broker.capabilities().revocations);
        assert!(subject.recorded().is_empty());
        let stamp = Target::Stamp { header: "tenant".into(), value: "[7]".into() };
        let one = subject.revocation("1", None);
        let stamped = Revocation { target: stamp, terminate: Some(Signal::SIGINT), ..one.clone() };
        subject
            .broker
            .revoke(&[one.clone(), subject.revocation("1", Some(Signal::SIGTERM)), stamped])
            .unwrap();
        subject.broker.revoke(&[one]).unwrap();
        let expected = [
            r#"{"id":"1","signal":"SIGTERM"}"#,
            r#"{"id":"1"}"#,
            r#"{"signal":"SIGINT","stamp":"tenant","value":[7]}"#,
        ];
        assert_eq!(subject.recorded(), expected, "{}", subject.name);
        if subject.obeys_clock() {
            subject.pass(HOUR + Duration::from_secs(1));
            assert!(subject.recorded().is_empty(), "{}", subject.name);
        }
    });
}

#[test]
fn what_does_not_hold_any_more_is_not_told() {
    each_that(CAN, |subject| async move {
        let over = Revocation { until: WallTime(1), ..subject.revocation("over", None) };
        subject.broker.revoke(&[over, subject.revocation("holds", None)]).unwrap();
        assert_eq!(subject.recorded(), [r#"{"id":"holds"}"#], "{}", subject.name);
    });
}

#[test]
fn a_session_that_begins_later_is_told_before_it_gets_a_message() {
    each_that(CAN, |subject| async move {
        subject.revoke(&["1", "2"]);
        subject.send("q", "1");
        let mut session = subject.session(&["q"]).await;
        let harvest = take(&mut session, 1).await;
        assert_eq!(ids(&harvest), ["1"]);
        assert_eq!(named(&harvest.revoked), [r#"{"id":"1"}"#, r#"{"id":"2"}"#], "{}", subject.name);
        assert!(take(&mut session, 1).await.revoked.is_empty(), "once is enough");
    });
}

#[test]
fn what_was_called_off_before_it_was_sent_is_told_with_it_though_nobody_has_listened() {
    each_that(
        |subject| subject.broker.capabilities().revokes_ahead,
        |subject| async move {
            let mut session = subject.session(&["q"]).await;
            let _deaf = session.ear();
            for id in ["1", "2"] {
                subject.revoke(&[id]);
                subject.send("q", id);
                let harvest = take(&mut session, 1).await;
                assert_eq!(ids(&harvest), [id]);
                let told = named(&harvest.revoked);
                assert!(told.contains(&format!(r#"{{"id":"{id}"}}"#)), "{}: {told:?}", subject.name);
            }
        },
    );
}

#[test]
fn every_worker_hears_what_is_called_off_while_it_takes_nothing() {
    each_that(CAN, |subject| async move {
        let mut sessions = [subject.session(&["q"]).await, subject.session(&["q"]).await];
        let mut ears = sessions.each_mut().map(|session| session.ear().unwrap());
        assert!(sessions[0].ear().is_none(), "it was given away");
        for round in ["1", "2"] {
            subject.revoke(&[round]);
            for ear in &mut ears {
                let heard = hear(&mut **ear, 1).await;
                assert_eq!(heard[0].target, Target::Id(round.into()), "{}", subject.name);
                assert!(heard[0].until > WallTime(0));
            }
        }
    });
}

#[test]
fn the_same_is_heard_again_when_it_is_said_again() {
    each_that(CAN, |subject| async move {
        let mut session = subject.session(&["q"]).await;
        let mut ear = session.ear().unwrap();
        for _ in 0..3 {
            subject.broker.revoke(&[subject.revocation("1", Some(Signal::SIGTERM))]).unwrap();
            let heard = hear(&mut *ear, 1).await;
            assert_eq!(heard[0].terminate, Some(Signal::SIGTERM), "{}", subject.name);
        }
    });
}

#[test]
fn what_a_worker_was_told_by_others_it_writes_into_the_record() {
    each_that(CAN, |subject| async move {
        let mut session = subject.session(&["q"]).await;
        let mut ear = session.ear().unwrap();
        subject.revoke(&["0"]);
        hear(&mut *ear, 1).await; // it listens
        ear.say(Word::Keep(vec![subject.revocation("1", None)])).await.unwrap();
        assert_eq!(hear(&mut *ear, 1).await[0].target, Target::Id("1".into()), "so that the others hear it");
        assert_eq!(subject.recorded().len(), 2, "{}", subject.name);
    });
}

#[test]
fn the_record_is_bounded() {
    each_that(CAN, |subject| async move {
        let first = subject.revocation("first", None);
        let soon = WallTime(first.until.0 - 60_000);
        subject.broker.revoke(&[Revocation { until: soon, ..first }]).unwrap();
        let many: Vec<Revocation> =
            (0..MOST).map(|number| subject.revocation(&number.to_string(), None)).collect();
        subject.broker.revoke(&many).unwrap();
        let kept = subject.recorded();
        assert_eq!(kept.len(), MOST, "{}", subject.name);
        assert!(!kept.contains(&r#"{"id":"first"}"#.to_owned()), "that which ends first goes first");
    });
}
