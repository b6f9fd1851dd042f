//! What every native store must do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastq_core::job::ending::Commit;
use fastq_core::store::Store;

use crate::support::{LIMIT, Subject, brokers, each, record};

fn each_store(check: impl Fn(Subject, Arc<dyn Store>)) {
    for subject in brokers() {
        if let Some(store) = subject.broker.store() {
            check(subject, store);
        }
    }
}

fn texts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn records_are_read_in_the_order_asked_for() {
    each_store(|_subject, store| {
        store.save(&[record("a", "SUCCESS"), record("b", "FAILURE")], None).unwrap();
        let found = store.load(&texts(&["b", "unknown", "a"])).unwrap();
        assert_eq!(found, [Some(record("b", "FAILURE")), None, Some(record("a", "SUCCESS"))]);
    });
}

#[test]
fn the_last_record_stands_except_after_success() {
    each_store(|_subject, store| {
        for (states, expected) in [
            (["STARTED", "PROGRESS", "SUCCESS"], "SUCCESS"),
            (["SUCCESS", "STARTED", "FAILURE"], "SUCCESS"),
            (["FAILURE", "STARTED", "RETRY"], "RETRY"),
        ] {
            let records = states.map(|state| record(expected, state));
            store.save(&records, None).unwrap();
            assert_eq!(store.load(&texts(&[expected])).unwrap(), [Some(record(expected, expected))]);
            store.forget(&texts(&[expected])).unwrap();
        }
    });
}

#[test]
fn an_expired_record_is_unknown_and_is_cleaned_away() {
    each_store(|subject, store| {
        store.save(&[record("a", "SUCCESS")], Some(Duration::from_secs(60))).unwrap();
        store.save(&[record("b", "SUCCESS")], None).unwrap();
        assert_eq!(store.clean().unwrap(), 0);
        subject.pass(Duration::from_secs(60));
        assert_eq!(store.load(&texts(&["a", "b"])).unwrap(), [None, Some(record("b", "SUCCESS"))]);
        assert!(store.wait(&texts(&["a"]), Duration::from_millis(1)).unwrap().is_empty());
        // A server deletes what has expired by itself.
        assert_eq!(store.clean().unwrap(), u64::from(subject.name != "redis"));
        assert_eq!(store.clean().unwrap(), 0);
    });
}

#[test]
fn a_task_that_runs_again_after_its_result_expired_is_stored_again() {
    each_store(|subject, store| {
        store.save(&[record("a", "SUCCESS")], Some(Duration::from_secs(60))).unwrap();
        subject.pass(Duration::from_secs(61));
        store.save(&[record("a", "FAILURE")], None).unwrap();
        assert_eq!(store.load(&texts(&["a"])).unwrap(), [Some(record("a", "FAILURE"))]);
    });
}

#[test]
fn forgetting_removes_and_unknown_ids_are_no_error() {
    each_store(|_subject, store| {
        store.save(&[record("a", "SUCCESS"), record("b", "SUCCESS")], None).unwrap();
        store.forget(&texts(&["a", "unknown"])).unwrap();
        assert_eq!(store.load(&texts(&["a", "b"])).unwrap(), [None, Some(record("b", "SUCCESS"))]);
    });
}

#[test]
fn waiting_for_what_has_ended_returns_at_once_with_all_of_it() {
    each_store(|_subject, store| {
        store.save(&[record("a", "SUCCESS"), record("b", "FAILURE"), record("c", "STARTED")], None).unwrap();
        let ended = store.wait(&texts(&["a", "b", "c", "d"]), LIMIT).unwrap();
        assert_eq!(ended, [record("a", "SUCCESS"), record("b", "FAILURE")]);
    });
}

#[test]
fn waiting_ends_empty_when_the_time_is_up() {
    each_store(|_subject, store| {
        store.save(&[record("a", "STARTED")], None).unwrap();
        assert!(store.wait(&texts(&["a", "b"]), Duration::from_millis(30)).unwrap().is_empty());
        assert!(store.wait(&texts(&["a"]), Duration::ZERO).unwrap().is_empty());
        assert!(store.wait(&[], Duration::from_millis(1)).unwrap().is_empty());
    });
}

#[test]
fn a_waiter_is_woken_by_the_worker_that_ends_its_task() {
    each(|subject| async move {
        let Some(store) = subject.broker.store() else { return };
        let mut session = subject.session(&["q"]).await;
        let waiter = std::thread::spawn(move || store.wait(&texts(&["a", "b"]), LIMIT).unwrap());
        for state in ["STARTED", "SUCCESS"] {
            session.exchange(&mut vec![Commit::store(vec![record("b", state)])], 0).await.unwrap();
        }
        assert_eq!(waiter.join().unwrap(), [record("b", "SUCCESS")]);
    });
}

#[test]
fn many_threads_wait_at_once_each_for_its_own() {
    each_store(|_subject, store| {
        let ids: Vec<String> = (0..16).map(|number| format!("task {number}")).collect();
        std::thread::scope(|scope| {
            let waiters: Vec<_> = ids
                .iter()
                .map(|id| {
                    let store = Arc::clone(&store);
                    scope.spawn(move || store.wait(&[id.clone(), "never".into()], LIMIT).unwrap())
                })
                .collect();
            for id in ids.iter().rev() {
                store.save(&[record(id, "SUCCESS")], None).unwrap();
            }
            for (id, waiter) in ids.iter().zip(waiters) {
                assert_eq!(waiter.join().unwrap(), [record(id, "SUCCESS")]);
            }
        });
    });
}

#[test]
fn a_very_long_timeout_is_no_overflow() {
    each_store(|_subject, store| {
        store.save(&[record("a", "SUCCESS")], None).unwrap();
        let began = Instant::now();
        assert_eq!(store.wait(&texts(&["a"]), Duration::MAX).unwrap().len(), 1);
        assert!(began.elapsed() < LIMIT);
    });
}

#[test]
fn a_watch_tells_of_each_task_once_whenever_it_was_added() {
    each_store(|subject, store| {
        store.save(&[record("ended before", "SUCCESS"), record("runs", "STARTED")], None).unwrap();
        let watch = Arc::clone(&store).watch().unwrap();
        watch.add(&texts(&["ended before", "runs", "later"]));
        assert_eq!(watch.next(LIMIT).unwrap(), [record("ended before", "SUCCESS")], "{}", subject.name);
        store.save(&[record("later", "FAILURE")], None).unwrap();
        assert_eq!(watch.next(LIMIT).unwrap(), [record("later", "FAILURE")], "{}", subject.name);
        assert!(watch.next(Duration::from_millis(30)).unwrap().is_empty(), "{}", subject.name);
    });
}

#[test]
fn tasks_are_added_to_and_taken_from_a_watch_while_a_thread_waits() {
    each_store(|_subject, store| {
        let watch = Arc::clone(&store).watch().unwrap();
        std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let waiting = &watch;
            scope.spawn(move || {
                while let Ok([record]) = <[_; 1]>::try_from(waiting.next(LIMIT).unwrap()) {
                    tell.send(record).unwrap();
                }
            });
            store.save(&[record("a", "SUCCESS")], None).unwrap();
            watch.add(&texts(&["unwanted", "a"]));
            assert_eq!(told.recv_timeout(LIMIT).unwrap(), record("a", "SUCCESS"));
            watch.add(&texts(&["b"]));
            watch.remove(&texts(&["unwanted", "unknown"]));
            store.save(&[record("unwanted", "SUCCESS")], None).unwrap();
            store.save(&[record("b", "SUCCESS")], None).unwrap();
            assert_eq!(told.recv_timeout(LIMIT).unwrap(), record("b", "SUCCESS"));
            watch.interrupt();
        });
    });
}

#[test]
fn a_watch_is_interrupted_now_or_the_next_time_it_waits() {
    each_store(|_subject, store| {
        let watch = store.watch().unwrap();
        watch.add(&texts(&["never"]));
        watch.interrupt();
        assert!(watch.next(LIMIT).unwrap().is_empty());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| watch.next(LIMIT).unwrap());
            while !waiting.is_finished() {
                watch.interrupt();
                std::thread::yield_now();
            }
            assert!(waiting.join().unwrap().is_empty());
        });
    });
}

#[test]
fn a_watch_and_waiting_threads_do_not_disturb_each_other() {
    each_store(|_subject, store| {
        let watch = Arc::clone(&store).watch().unwrap();
        watch.add(&texts(&["both", "watched"]));
        std::thread::scope(|scope| {
            let watched = scope.spawn(|| {
                let mut ended = Vec::new();
                while ended.len() < 2 {
                    ended.extend(watch.next(LIMIT).unwrap());
                }
                ended
            });
            let waited = scope.spawn(|| store.wait(&texts(&["both", "other"]), LIMIT).unwrap());
            store.save(&[record("both", "SUCCESS")], None).unwrap();
            store.save(&[record("watched", "SUCCESS")], None).unwrap();
            assert_eq!(waited.join().unwrap(), [record("both", "SUCCESS")]);
            let mut watched = watched.join().unwrap();
            watched.sort_by(|one, other| one.task_id.cmp(&other.task_id));
            assert_eq!(watched, [record("both", "SUCCESS"), record("watched", "SUCCESS")]);
        });
    });
}
