//! Chords that are counted by workers of Celery 5.6, too: these claim nothing before they call a body.

use std::time::Duration;

use fastq_core::store::{Chords, NewChord, Patience};

use crate::redis_server::is_installed;
use crate::support::redis;

#[test]
fn a_chord_that_a_worker_of_celery_5_6_has_completed_is_left_to_it_for_a_while() {
    if !is_installed() {
        return;
    }
    let subject = redis();
    let (store, server) = (subject.broker.store().unwrap(), subject.server.as_ref().unwrap());
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let patience = Patience { look_every: minute, release: 2 * minute, members: hour };
    let overdue = || store.overdue(&patience).unwrap().len();
    let begun = NewChord { group_id: "g".into(), size: 1, body: b"{}".to_vec() };
    store.count(&Chords { begun: vec![begun], ..Chords::default() }, None).unwrap();
    let parts = server.command(&["KEYS", "*celery-taskset-meta-g.s"]).replace("-g.s", "-g.j");
    server.command(&["ZADD", &parts, "0", r#"[1,"a","SUCCESS",1]"#]);
    subject.pass(minute);
    assert_eq!(overdue(), 0, "it reads the results now, and calls the body");
    subject.pass(minute);
    assert_eq!(overdue(), 0, "still");
    subject.pass(minute);
    assert_eq!(overdue(), 1, "it has died on the way");
}
