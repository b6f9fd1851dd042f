//! Workers that stall: which of them are taken for dead, and what such a worker can still do.

use std::time::Duration;

use fastq_core::broker::Session;
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::{Commit, Verdict};
use fastq_core::pool::page::PAGE_BYTES;

use crate::support::{Subject, ids, record, run, sqlite, subscription, take, to};

#[test]
fn a_lease_that_ran_out_fences_its_worker() {
    run(sqlite(), |subject| async move {
        subject.send("q", "1");
        subject.send("q", "2");
        let mut stalled = subject.session(&["q"]).await;
        let mut other = subject.session(&["q"]).await;
        let delivery = take(&mut stalled, 1).await.deliveries.remove(0);
        for _ in 0..5 {
            stalled.renew().await.unwrap();
            assert_eq!(renew_for(&subject, &mut other, 4).await, 0, "renewed in time");
        }
        assert_eq!(renew_for(&subject, &mut other, 4).await, 0, "not silent for a whole lease");
        assert_eq!(renew_for(&subject, &mut other, 6).await, 1);
        // Without a slot page nobody knows whether it had started, so it is marked.
        let harvest = take(&mut other, 1).await;
        assert_eq!((ids(&harvest), harvest.deliveries[0].redelivered), (vec!["1".into()], true));

        let mut commits = vec![Commit {
            settle: Some((delivery.receipt, Verdict::Ack)),
            records: vec![record("1", "SUCCESS")],
            publications: vec![to("q", "next")],
            chords: None,
            ..Commit::default()
        }];
        let error = stalled.exchange(&mut commits, 5).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Closed && !error.is_temporary(), "{error}");
        assert_eq!((commits.len(), commits[0].records.len()), (1, 1));
        assert_eq!(stalled.renew().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(subject.broker.store().unwrap().load(&["1".into()]).unwrap(), [None]);
        let depth = subject.depth("q");
        assert_eq!((depth.ready, depth.in_flight), (1, 1));
    });
}

/// Lets time pass in which only this session renews, as often as a worker does; returns what it has recovered.
async fn renew_for(subject: &Subject, session: &mut Box<dyn Session>, seconds: u64) -> u64 {
    let mut recovered = 0;
    for _ in 0..seconds / 2 {
        subject.clock.advance(Duration::from_secs(2));
        recovered += session.renew().await.unwrap().recovered;
    }
    recovered
}

/// Two workers, the first of which holds a message.
async fn holder_and_other(subject: &Subject) -> [Box<dyn Session>; 2] {
    subject.send("q", "1");
    let mut holder = subject.session(&["q"]).await;
    take(&mut holder, 1).await;
    [holder, subject.session(&["q"]).await]
}

fn file_of(subject: &Subject) -> rusqlite::Connection {
    let path = subject.broker.run_directory().unwrap().unwrap().with_file_name("queue.db");
    rusqlite::Connection::open(path).unwrap()
}

#[test]
fn a_wall_clock_that_is_set_makes_nobody_dead() {
    run(sqlite(), |subject| async move {
        let [mut holder, mut other] = holder_and_other(&subject).await;
        for hours in [-1, 1] {
            // What everyone sees of the others when the clock is set the other way.
            let set = format!("UPDATE worker SET lease_until = lease_until + {hours} * 3600000");
            file_of(&subject).execute_batch(&set).unwrap();
            assert_eq!(renew_for(&subject, &mut other, 2).await, 0);
            holder.renew().await.unwrap();
        }
        assert_eq!(subject.broker.workers().unwrap().len(), 2);
    });
}

#[test]
fn after_a_stall_of_everyone_the_first_to_renew_takes_nobody_for_dead() {
    run(sqlite(), |subject| async move {
        let [mut holder, mut other] = holder_and_other(&subject).await;
        assert_eq!(renew_for(&subject, &mut other, 4).await, 0);
        subject.clock.advance(Duration::from_secs(60));
        assert_eq!(other.renew().await.unwrap().recovered, 0);
        assert_eq!(renew_for(&subject, &mut other, 8).await, 0);
        holder.renew().await.unwrap();
        assert_eq!(renew_for(&subject, &mut other, 8).await, 0);
        assert_eq!(renew_for(&subject, &mut other, 4).await, 1, "still, a worker that stays silent is dead");
    });
}

#[test]
fn a_worker_that_could_not_renew_itself_waits_a_whole_lease_for_the_others() {
    run(sqlite(), |subject| async move {
        let [_holder, mut other] = holder_and_other(&subject).await;
        assert_eq!(renew_for(&subject, &mut other, 8).await, 0);
        let file = file_of(&subject);
        file.execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE ON worker BEGIN SELECT RAISE(FAIL, 'the disk is full'); END",
        )
        .unwrap();
        subject.clock.advance(Duration::from_secs(2));
        other.renew().await.unwrap_err();
        file.execute_batch("DROP TRIGGER full").unwrap();
        assert_eq!(renew_for(&subject, &mut other, 10).await, 0);
        assert_eq!(renew_for(&subject, &mut other, 2).await, 1);
    });
}

#[test]
fn a_longer_lease_than_ones_own_is_respected() {
    run(sqlite(), |subject| async move {
        let [_holder, other] = holder_and_other(&subject).await;
        other.close().await.unwrap();
        let mut subscription = subscription(&["q"]);
        subscription.lease = Duration::from_secs(5);
        let mut hasty = subject.broker.subscribe(subscription).await.unwrap();
        assert_eq!(renew_for(&subject, &mut hasty, 8).await, 0);
        assert_eq!(renew_for(&subject, &mut hasty, 2).await, 1);
    });
}

#[test]
fn a_worker_that_comes_back_from_a_stop_finds_its_page_and_bell() {
    run(sqlite(), |subject| async move {
        let directory = subject.broker.run_directory().unwrap().unwrap();
        let mut with_page = subscription(&["q"]);
        with_page.page = Some(directory.join("w-1-stopped.page"));
        let page = with_page.page.clone().unwrap();
        std::fs::write(&page, vec![0; PAGE_BYTES]).unwrap();
        let mut stopped = subject.broker.subscribe(with_page.clone()).await.unwrap();
        let mut other = subject.session(&["q"]).await;
        subject.send("q", "1");
        take(&mut stopped, 1).await;
        assert_eq!(renew_for(&subject, &mut other, 10).await, 1);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 3, "two bells and the page");

        // Its next session goes on with the page.
        assert_eq!(stopped.renew().await.unwrap_err().kind(), ErrorKind::Closed);
        stopped.close().await.unwrap();
        assert!(page.exists());
        subject.broker.subscribe(with_page).await.unwrap().close().await.unwrap();
        assert!(!page.exists());
    });
}

#[test]
fn a_fenced_worker_stores_no_progress() {
    run(sqlite(), |subject| async move {
        let [mut holder, mut other] = holder_and_other(&subject).await;
        assert_eq!(renew_for(&subject, &mut other, 10).await, 1);
        let mut commits = vec![Commit {
            settle: None,
            records: vec![record("1", "PROGRESS")],
            publications: vec![to("q", "next")],
            chords: None,
            ..Commit::default()
        }];
        let error = holder.exchange(&mut commits, 0).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Closed && !error.is_temporary(), "{error}");
        assert_eq!(commits.len(), 1);
        assert_eq!(subject.broker.store().unwrap().load(&["1".into()]).unwrap(), [None]);
        assert_eq!(subject.depth("q").ready, 1);
    });
}
