//! What every broker whose Commits are transactions must do with chords.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastq_core::broker::{Delivery, Queue, Session, Subscription};
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::store::{ChordState, Chords, NewChord, Part, Patience};

use crate::support::{Subject, each_that, id_of, ids, subscription, take, to};

/// Which brokers this is about.
const CAN: fn(&Subject) -> bool = |subject| subject.broker.store().is_some();

const INTERNAL: &str = "celery.fastq";

/// How often somebody looks for a message that moves.
const LOOKS: usize = 300;

fn worker(queues: &[&str]) -> Subscription {
    Subscription { internal: Some(Queue::named(INTERNAL)), ..subscription(queues) }
}

async fn session(subject: &Subject) -> Box<dyn Session> {
    subject.broker.subscribe(worker(&["q"])).await.unwrap()
}

fn chord(size: u32) -> NewChord {
    NewChord { group_id: "g".into(), size, body: br#"{"body":{}}"#.to_vec() }
}

fn part(task_id: &str, place: u32) -> Part {
    Part {
        group_id: "g".into(),
        task_id: task_id.into(),
        place: Some(place),
        state: "SUCCESS".into(),
        body: format!(r#"[1,"{task_id}","SUCCESS",{place}]"#).into_bytes(),
        callback: Vec::new(),
    }
}

fn begin(subject: &Subject, size: u32) {
    let chords = Chords { begun: vec![chord(size)], ..Chords::default() };
    assert!(subject.broker.store().unwrap().count(&chords, None).unwrap().is_empty());
}

/// The Commit of a member's run.
fn ended(delivery: Delivery, place: u32) -> Commit {
    let id = id_of(&delivery);
    let chords = Chords { parts: vec![part(&id, place)], ..Chords::default() };
    Commit { chords: chords.boxed(), ..Commit::settle(delivery.receipt, Verdict::Ack) }
}

/// The Commit of the run that releases the chord.
fn released(delivery: Delivery) -> Commit {
    let chords = Chords { ended: Some("g".into()), ..Chords::default() };
    Commit {
        chords: chords.boxed(),
        publications: vec![to("q", "body")],
        ..Commit::settle(delivery.receipt, Verdict::Ack)
    }
}

fn is_release(delivery: &Delivery) -> bool {
    String::from_utf8_lossy(&delivery.message.headers).contains("fastq.chord_release")
}

/// Everything a session can get.
async fn take_all(session: &mut Box<dyn Session>) -> Vec<Delivery> {
    let mut taken = Vec::new();
    loop {
        let harvest = take(session, 50).await;
        if harvest.deliveries.is_empty() && !harvest.more {
            return taken;
        }
        taken.extend(harvest.deliveries);
    }
}

#[test]
fn the_last_part_releases_the_chord_once() {
    each_that(CAN, |subject| async move {
        begin(&subject, 2);
        subject.send("q", "a");
        subject.send("q", "b");
        let mut session = session(&subject).await;
        let mut members = take_all(&mut session).await.into_iter();
        let first = session.exchange(&mut vec![ended(members.next().unwrap(), 0)], 10).await.unwrap();
        assert!(first.deliveries.is_empty());
        let record = subject.broker.store().unwrap().chord("g").unwrap().unwrap();
        assert_eq!((record.count, record.size, record.state), (1, Some(2), ChordState::Open));
        let last = session.exchange(&mut vec![ended(members.next().unwrap(), 1)], 10).await.unwrap();
        let mut releases = last.deliveries;
        releases.extend(take_all(&mut session).await);
        assert_eq!(releases.len(), 1, "{}", subject.name);
        assert!(is_release(&releases[0]) && &*releases[0].queue == INTERNAL);
        assert!(String::from_utf8_lossy(&releases[0].message.headers).contains(r#""parent_id":"b""#));
        let store = subject.broker.store().unwrap();
        assert_eq!(store.chord("g").unwrap().unwrap().state, ChordState::Released);
        let parts: Vec<String> = store.parts("g").unwrap().into_iter().map(|part| part.task_id).collect();
        assert_eq!(parts, ["a", "b"]);
    });
}

#[test]
fn parts_are_read_in_the_order_of_the_header() {
    each_that(CAN, |subject| async move {
        let store = subject.broker.store().unwrap();
        let mut parts = vec![part("last", 0), part("z", 2), part("a", 10), part("m", 1)];
        parts[0].place = None;
        store.count(&Chords { parts, ..Chords::default() }, Some(Duration::from_secs(60))).unwrap();
        let found: Vec<(String, Option<u32>)> =
            store.parts("g").unwrap().into_iter().map(|part| (part.task_id, part.place)).collect();
        let expected = [("m", Some(1)), ("z", Some(2)), ("a", Some(10)), ("last", None)];
        assert_eq!(found, expected.map(|(id, place)| (id.to_owned(), place)));
        assert_eq!(store.parts("g").unwrap()[0], Part { place: Some(1), ..part("m", 1) });
    });
}

#[test]
fn a_part_that_comes_again_changes_nothing() {
    each_that(CAN, |subject| async move {
        begin(&subject, 2);
        for id in ["a", "a", "a"] {
            subject.send("q", id);
        }
        let mut session = session(&subject).await;
        let mut commits: Vec<Commit> =
            take_all(&mut session).await.into_iter().map(|delivery| ended(delivery, 0)).collect();
        if let Some(chords) = &mut commits[1].chords {
            chords.parts[0].body = br#"[1,"a","SUCCESS","another time"]"#.to_vec();
        }
        session.exchange(&mut commits, 0).await.unwrap();
        assert!(take_all(&mut session).await.is_empty());
        let store = subject.broker.store().unwrap();
        assert_eq!(store.chord("g").unwrap().unwrap().count, 1);
        assert_eq!(store.parts("g").unwrap(), [part("a", 0)]);
    });
}

#[test]
fn members_that_end_in_two_workers_at_once_release_once() {
    each_that(CAN, |subject| async move {
        begin(&subject, 6);
        (0..6).for_each(|number| subject.send("q", &number.to_string()));
        let (mut one, mut other) = (session(&subject).await, session(&subject).await);
        let mine = take(&mut one, 3).await.deliveries;
        let others = take(&mut other, 3).await.deliveries;
        assert_eq!((mine.len(), others.len()), (3, 3), "{}", subject.name);
        for (mine, others) in mine.into_iter().zip(others) {
            let place = |delivery: &Delivery| id_of(delivery).parse().unwrap();
            let (first, second) = (place(&mine), place(&others));
            one.exchange(&mut vec![ended(mine, first)], 0).await.unwrap();
            other.exchange(&mut vec![ended(others, second)], 0).await.unwrap();
        }
        let mut releases = take_all(&mut one).await;
        releases.extend(take_all(&mut other).await);
        assert_eq!(releases.iter().filter(|delivery| is_release(delivery)).count(), 1);
        assert_eq!(releases.len(), 1);
    });
}

#[test]
fn two_members_with_one_id_and_one_result_are_two() {
    each_that(CAN, |subject| async move {
        begin(&subject, 3);
        let store = subject.broker.store().unwrap();
        let twin = |place| Part { place: Some(place), ..part("a", 0) };
        let first = Chords { parts: vec![twin(2), part("b", 1)], ..Chords::default() };
        assert!(store.count(&first, None).unwrap().is_empty());
        assert_eq!(
            store.count(&Chords { parts: vec![twin(0)], ..Chords::default() }, None).unwrap().len(),
            1
        );
        assert_eq!(store.parts("g").unwrap(), [twin(0), part("b", 1), twin(2)]);
    });
}

#[test]
fn a_member_that_is_added_is_waited_for() {
    each_that(CAN, |subject| async move {
        begin(&subject, 1);
        let store = subject.broker.store().unwrap();
        store.grow("g", 1).unwrap();
        subject.send("q", "a");
        let mut session = session(&subject).await;
        let member = take_all(&mut session).await.remove(0);
        session.exchange(&mut vec![ended(member, 0)], 0).await.unwrap();
        assert!(take_all(&mut session).await.is_empty());
        let chords = Chords { parts: vec![part("added", 9)], ..Chords::default() };
        assert_eq!(store.count(&chords, None).unwrap().len(), 1);
    });
}

#[test]
fn a_chord_that_begins_with_a_run_is_known_with_its_members() {
    each_that(CAN, |subject| async move {
        subject.send("q", "sender");
        let mut session = session(&subject).await;
        let sender = take_all(&mut session).await.remove(0);
        let chords = Chords { begun: vec![chord(1)], ..Chords::default() };
        let publications = vec![to("q", "a")];
        let commit =
            Commit { chords: chords.boxed(), publications, ..Commit::settle(sender.receipt, Verdict::Ack) };
        session.exchange(&mut vec![commit], 0).await.unwrap();
        let record = subject.broker.store().unwrap().chord("g").unwrap().unwrap();
        assert_eq!((record.size, record.body), (Some(1), chord(1).body));
        let member = take_all(&mut session).await.remove(0);
        session.exchange(&mut vec![ended(member, 0)], 0).await.unwrap();
        assert!(is_release(&take_all(&mut session).await[0]));
    });
}

#[test]
fn a_chord_ends_once_whoever_releases_it() {
    each_that(CAN, |subject| async move {
        begin(&subject, 1);
        for id in ["first", "second"] {
            subject.send("q", id);
        }
        let mut session = session(&subject).await;
        let mut releases = take_all(&mut session).await.into_iter();
        let (first, second) = (releases.next().unwrap(), releases.next().unwrap());
        session.exchange(&mut vec![released(first)], 0).await.unwrap();
        let harvest = session.exchange(&mut vec![released(second)], 10).await.unwrap();
        assert!(harvest.refused.is_empty());
        let mut bodies = ids(&harvest);
        bodies.extend(take_all(&mut session).await.iter().map(id_of));
        assert_eq!(bodies, ["body"], "{}", subject.name);
        let store = subject.broker.store().unwrap();
        assert_eq!(store.chord("g").unwrap().unwrap().state, ChordState::Ended);
        assert!(store.parts("g").unwrap().is_empty());
    });
}

#[test]
fn a_member_that_runs_once_more_after_the_end_changes_nothing() {
    each_that(CAN, |subject| async move {
        begin(&subject, 1);
        let store = subject.broker.store().unwrap();
        store.count(&Chords { ended: Some("g".into()), ..Chords::default() }, None).unwrap();
        subject.send("q", "a");
        let mut session = session(&subject).await;
        let member = take_all(&mut session).await.remove(0);
        session.exchange(&mut vec![ended(member, 0)], 0).await.unwrap();
        assert!(take_all(&mut session).await.is_empty());
        assert!(store.parts("g").unwrap().is_empty());
    });
}

#[test]
fn a_chord_that_has_ended_may_begin_anew() {
    each_that(CAN, |subject| async move {
        let store = subject.broker.store().unwrap();
        begin(&subject, 1);
        store.count(&Chords { parts: vec![part("a", 0)], ..Chords::default() }, None).unwrap();
        store.count(&Chords { ended: Some("g".into()), ..Chords::default() }, None).unwrap();
        begin(&subject, 2);
        let record = store.chord("g").unwrap().unwrap();
        assert_eq!((record.size, record.count, record.state), (Some(2), 0, ChordState::Open));
        let again = Chords { parts: vec![part("a", 0), part("b", 1)], ..Chords::default() };
        assert_eq!(store.count(&again, None).unwrap().len(), 1);
    });
}

#[test]
fn a_worker_that_lost_its_session_counts_nothing() {
    each_that(CAN, |subject| async move {
        begin(&subject, 1);
        subject.send("q", "a");
        let mut lost = session(&subject).await;
        let member = take_all(&mut lost).await.remove(0);
        lost.close().await.unwrap();
        let mut session = session(&subject).await;
        let harvest = session.exchange(&mut vec![ended(member, 0)], 0).await.unwrap();
        assert_eq!(harvest.refused.len(), 1);
        assert_eq!(subject.broker.store().unwrap().chord("g").unwrap().unwrap().count, 0);
    });
}

#[test]
fn where_the_store_is_another_server_it_says_that_a_chord_is_complete_until_it_has_ended() {
    each_that(CAN, |subject| async move {
        let store = subject.broker.store().unwrap();
        begin(&subject, 1);
        let chords =
            Chords { parts: vec![Part { callback: b"{}".to_vec(), ..part("a", 0) }], ..Chords::default() };
        for _ in 0..2 {
            let complete = store.count(&chords, None).unwrap();
            assert_eq!((complete.len(), &*complete[0].last, &*complete[0].callback), (1, "a", &b"{}"[..]));
        }
        store.count(&Chords { ended: Some("g".into()), ..Chords::default() }, None).unwrap();
        assert!(store.count(&chords, None).unwrap().is_empty());
    });
}

#[test]
fn chords_that_do_not_get_on_are_named_once_in_a_while() {
    each_that(CAN, |subject| async move {
        let store = subject.broker.store().unwrap();
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        let patience = Patience { look_every: minute, release: 2 * minute, members: hour };
        let overdue = || store.overdue(&patience).unwrap().len();
        begin(&subject, 2);
        assert_eq!(overdue(), 0);
        subject.pass(hour / 2);
        store.count(&Chords { parts: vec![part("a", 0)], ..Chords::default() }, None).unwrap();
        assert_eq!(overdue(), 0, "{}: it has got on", subject.name);
        subject.pass(hour.saturating_sub(minute));
        assert_eq!(overdue(), 0, "{}: not long enough ago", subject.name);
        subject.pass(minute);
        assert_eq!((overdue(), overdue()), (1, 0), "{}: nothing for an hour", subject.name);
        store.count(&Chords { parts: vec![part("b", 1)], ..Chords::default() }, None).unwrap();
        subject.pass(minute);
        assert_eq!(overdue(), 0, "{}: its release has just been sent", subject.name);
        subject.pass(minute);
        assert_eq!(overdue(), 1, "{}: its release is late", subject.name);
        store.count(&Chords { ended: Some("g".into()), ..Chords::default() }, None).unwrap();
        subject.pass(hour);
        assert_eq!(overdue(), 0, "{}: it has ended", subject.name);
    });
}

#[test]
fn what_moves_while_somebody_looks_is_held() {
    each_that(CAN, |subject| async move {
        subject.send("q", "sought");
        let broker = Arc::clone(&subject.broker);
        let has_looked = Arc::new(AtomicBool::new(false));
        let looks_done = Arc::clone(&has_looked);
        let looks = std::thread::spawn(move || {
            let missed = (0..LOOKS).filter(|_| !broker.holds("sought").unwrap()).count();
            looks_done.store(true, Ordering::Release);
            missed
        });
        // Steps of a chain, each of which follows the one before it in the Commit that ends it, in worker after worker.
        let mut place = false;
        while !has_looked.load(Ordering::Acquire) {
            let mut worker = subject.session(&["q", "r"]).await;
            for _ in 0..5 {
                for delivery in take(&mut worker, 1).await.deliveries {
                    place = !place;
                    let next = vec![to(if place { "q" } else { "r" }, "sought")];
                    let step =
                        Commit { publications: next, ..Commit::settle(delivery.receipt, Verdict::Ack) };
                    worker.exchange(&mut vec![step], 0).await.unwrap();
                }
            }
            worker.close().await.unwrap();
        }
        assert_eq!(looks.join().unwrap(), 0, "{}: missed, of {LOOKS}", subject.name);
        let mut last = subject.session(&["q", "r"]).await;
        let delivery = take_all(&mut last).await.remove(0);
        last.exchange(&mut vec![Commit::settle(delivery.receipt, Verdict::Ack)], 0).await.unwrap();
        assert!(!subject.broker.holds("sought").unwrap(), "{}", subject.name);
    });
}
