//! In one file everything has an order: what was called off before it was sent never runs, whoever takes it when.

use std::time::Duration;

use crate::support::{ids, run, sqlite, take};

#[test]
fn the_exchange_that_brings_a_message_brings_what_was_called_off_before_it() {
    run(sqlite(), |subject| async move {
        let mut session = subject.session(&["q"]).await;
        assert!(take(&mut session, 1).await.revoked.is_empty());
        for id in ["1", "2", "3"] {
            subject.revoke(&[id]);
            subject.send("q", id);
            let harvest = take(&mut session, 1).await;
            assert_eq!((ids(&harvest), harvest.revoked.len()), (vec![id.to_owned()], 1));
        }
    });
}

#[test]
fn a_session_that_is_over_takes_the_bell_of_its_ear_along() {
    run(sqlite(), |subject| async move {
        let directory = subject.broker.run_directory().unwrap().unwrap();
        let ears = || {
            let names = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().starts_with("c-")).count()
        };
        let mut session = subject.session(&["q"]).await;
        let ear = session.ear().unwrap();
        assert_eq!(ears(), 1);
        drop(ear);
        assert_eq!(ears(), 0);
        session.close().await.unwrap();
        subject.pass(Duration::from_secs(1));
    });
}
