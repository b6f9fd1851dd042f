use std::time::Duration;

use fastq_core::clock::Clock;

use crate::support::{each, take, to};

#[test]
fn purging_removes_what_waits_and_leaves_what_is_in_flight() {
    each(|subject| async move {
        for id in ["1", "2", "3"] {
            subject.send("q", id);
        }
        subject.send("other", "4");
        let mut later = to("q", "5");
        later.due = Some(Clock::Hand(subject.clock.clone()).wall().after(Duration::from_secs(60)));
        subject.broker.publish(&[later]).unwrap();
        let mut session = subject.session(&["q"]).await;
        take(&mut session, 1).await;
        assert_eq!(subject.broker.purge("q").unwrap(), 3);
        assert_eq!(subject.depth("q").ready, 0);
        subject.delayed("q", 0);
        subject.in_flight("q", 1);
        assert_eq!(subject.depth("other").ready, 1);
    });
}

#[test]
fn purging_an_unknown_queue_removes_nothing_and_makes_nothing() {
    each(|subject| async move {
        assert_eq!(subject.broker.purge("unknown").unwrap(), 0);
        assert!(subject.broker.depths().unwrap().is_empty());
    });
}
