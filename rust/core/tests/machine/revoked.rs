//! Tasks that are called off, at each moment of a job's life.

use std::sync::Arc;
use std::time::Duration;

use fastq_core::clock::WallTime;
use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::Input;
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::ending::{Ending, Verdict};
use fastq_core::job::policy::Policy;
use fastq_core::job::revocation::{Revocation, Target};

use crate::world::{World, outcome};

const SLOT: SlotId = SlotId(0);
const SHORT: Duration = Duration::from_micros(10);

fn early() -> Arc<Policy> {
    Arc::new(Policy { acks_late: false, ..Policy::named("early") })
}

/// A world whose executors get several short jobs at once.
fn quick(slots: u32) -> World {
    let mut world = World::new(Prefetch::Auto, slots);
    for _ in 0..6 {
        world.deliver(|_| {});
        world.run_one(SLOT, SHORT);
    }
    world
}

fn is_revoked(world: &World, tag: Tag) -> bool {
    world.records.iter().filter(|(id, state)| *id == format!("id-{}", tag.0) && state == "REVOKED").count()
        == 1
}

fn revoked_and_acknowledged(world: &World, tag: Tag) {
    assert!(is_revoked(world, tag), "{:?}", world.records);
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
}

#[test]
fn one_that_arrives_when_it_is_called_off_never_begins() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.revoke(Tag(1), false);
    let tag = world.deliver(|_| {});
    revoked_and_acknowledged(&world, tag);
    assert!(!world.begin(SLOT) && world.machine.is_empty());
}

#[test]
fn one_that_arrives_when_that_is_forgotten_runs() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.revoke(Tag(1), false);
    world.pass(Duration::from_secs(3600));
    let tag = world.deliver(|_| {});
    assert!(world.run_one(SLOT, SHORT));
    assert!(!is_revoked(&world, tag));
}

#[test]
fn one_that_bears_a_stamp_is_called_off_with_it() {
    let mut world = World::new(Prefetch::Auto, 1);
    let target = Target::Stamp { header: "tenant".into(), value: "7".into() };
    let until = world.now.wall.after(Duration::from_secs(1));
    world.step(Input::Revoked(vec![Revocation { target, terminate: None, until }]));
    let headers = r#"{"stamped_headers":["tenant"],"stamps":{"tenant":[7]}}"#;
    let (tag, other) = (
        world.deliver(|job| job.delivery.message.headers = headers.into()),
        world.deliver(|job| job.delivery.message.headers = headers.replace('7', "8").into()),
    );
    revoked_and_acknowledged(&world, tag);
    world.finish();
    assert_eq!((world.runs.get(&tag), world.runs.get(&other)), (None, Some(&1)));
}

#[test]
fn one_that_waits_for_its_time_is_settled_at_once() {
    let mut world = World::new(Prefetch::Auto, 1);
    let due = WallTime(world.now.wall.0 + 30_000);
    let tag = world.deliver(|job| job.due = Some(due));
    world.revoke(tag, false);
    revoked_and_acknowledged(&world, tag);
    assert_eq!(world.machine.next_wake(world.now), None, "nothing is waited for any more");
    assert!(world.machine.credit(world.now) > 0);
}

#[test]
fn one_that_waits_for_its_turn_is_settled_at_once_and_takes_none() {
    let mut world = World::new(Prefetch::Auto, 1);
    let limited = Arc::new(Policy { rate_limit: Some(1.0), ..Policy::named("limited") });
    let tags: Vec<Tag> = (0..3).map(|_| world.deliver(|job| job.policy = Arc::clone(&limited))).collect();
    world.run_one(SLOT, SHORT);
    world.revoke(tags[1], false);
    revoked_and_acknowledged(&world, tags[1]);
    world.pass(Duration::from_secs(1));
    assert!(world.run_one(SLOT, SHORT), "the turn is the next one's");
    assert_eq!(world.verdict(tags[2]), Some(&Verdict::Ack));
}

#[test]
fn one_that_waits_for_a_slot_is_settled_at_once() {
    let mut world = World::new(Prefetch::PerSlot(4), 1);
    let (running, waiting) = (world.deliver(|_| {}), world.deliver(|_| {}));
    world.begin(SLOT);
    world.revoke(waiting, true);
    revoked_and_acknowledged(&world, waiting);
    world.end(SLOT);
    world.tell(SLOT, SHORT);
    assert_eq!(world.verdict(running), Some(&Verdict::Ack));
    assert!(world.machine.is_empty() && world.killed.is_empty());
}

#[test]
fn one_that_lies_in_a_pipe_is_taken_back_and_its_neighbours_run() {
    let mut world = quick(1);
    let tags: Vec<Tag> = (0..4).map(|_| world.deliver(|_| {})).collect();
    world.begin(SLOT);
    assert_eq!(world.children[&SLOT].pipe.len(), 3);
    world.revoke(tags[2], false);
    world.finish();
    revoked_and_acknowledged(&world, tags[2]);
    assert_eq!(world.runs.get(&tags[2]), None);
    for tag in [tags[0], tags[1], tags[3]] {
        assert_eq!(world.runs.get(&tag), Some(&1));
    }
}

#[test]
fn a_run_that_is_not_to_be_ended_goes_on() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|_| {});
    world.begin(SLOT);
    world.revoke(tag, false);
    assert!(!world.children[&SLOT].signalled);
    world.finish();
    assert!(!is_revoked(&world, tag));
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
}

#[test]
fn a_run_that_is_to_be_ended_is_and_what_lay_behind_it_runs_elsewhere() {
    let mut world = quick(1);
    let tags: Vec<Tag> = (0..4).map(|_| world.deliver(|_| {})).collect();
    world.begin(SLOT);
    world.revoke(tags[0], true);
    assert!(world.children[&SLOT].signalled);
    world.birth(SlotId(1));
    while world.run_one(SlotId(1), SHORT) {}
    assert_eq!(world.verdict(tags[3]), Some(&Verdict::Ack), "the others need not wait for the end");
    world.die(SLOT);
    revoked_and_acknowledged(&world, tags[0]);
    world.finish();
    for tag in &tags {
        assert_eq!(world.runs.get(tag), Some(&1));
    }
}

#[test]
fn an_executor_that_has_moved_on_is_left_alone() {
    let mut world = quick(1);
    let (first, second) = (world.deliver(|_| {}), world.deliver(|_| {}));
    world.begin(SLOT);
    world.end(SLOT); // it has not told yet
    world.begin(SLOT);
    world.revoke(first, true);
    assert!(!world.children[&SLOT].signalled);
    world.finish();
    for tag in [first, second] {
        assert_eq!((world.runs.get(&tag), world.verdict(tag)), (Some(&1), Some(&Verdict::Ack)));
        assert!(!is_revoked(&world, tag));
    }
}

#[test]
fn an_executor_is_not_ended_before_it_has_told_of_the_runs_before() {
    let mut world = quick(1);
    let (first, second) = (world.deliver(|_| {}), world.deliver(|_| {}));
    world.begin(SLOT);
    world.end(SLOT);
    world.begin(SLOT);
    world.revoke(second, true);
    assert!(!world.children[&SLOT].signalled, "the end of the first would be lost");
    world.tell(SLOT, SHORT);
    assert!(world.children[&SLOT].signalled);
    world.die(SLOT);
    revoked_and_acknowledged(&world, second);
    assert!(!is_revoked(&world, first));
    assert_eq!(world.runs[&first], 1);
}

#[test]
fn a_run_that_ended_before_the_signal_came_has_ended() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|_| {});
    world.begin(SLOT);
    world.revoke(tag, true);
    world.end(SLOT);
    world.tell(SLOT, SHORT);
    assert!(!is_revoked(&world, tag));
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    let next = world.deliver(|_| {});
    assert!(world.children[&SLOT].pipe.is_empty(), "the signal may still come");
    world.die(SLOT);
    world.birth(SLOT);
    world.finish();
    assert_eq!(world.runs[&next], 1);
}

#[test]
fn a_second_signal_follows_when_the_first_was_not_enough() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|_| {});
    world.begin(SLOT);
    world.revoke(tag, true);
    world.children.get_mut(&SLOT).unwrap().signalled = false;
    world.revoke(tag, true);
    assert!(world.children[&SLOT].signalled);
}

#[test]
fn the_hard_limit_still_holds_for_a_run_that_does_not_heed_the_signal() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|job| job.time_limit = Some(Duration::from_secs(1)));
    world.begin(SLOT);
    world.revoke(tag, true);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.killed, [SLOT]);
    world.die(SLOT);
    revoked_and_acknowledged(&world, tag);
}

#[test]
fn a_run_beside_others_is_cancelled_and_they_go_on() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 3);
    let tags: Vec<Tag> = (0..3).map(|_| world.deliver(|_| {})).collect();
    while world.begin(SLOT) {}
    world.revoke(tags[1], true);
    revoked_and_acknowledged(&world, tags[1]);
    assert_eq!(world.children[&SLOT].cancelled, [tags[1]]);
    world.finish();
    for tag in [tags[0], tags[2]] {
        assert_eq!((world.runs[&tag], is_revoked(&world, tag)), (1, false));
    }
}

#[test]
fn in_a_slot_that_cannot_be_ended_the_run_tells_of_its_end() {
    let mut world = World::new(Prefetch::Auto, 0);
    world.children.insert(SLOT, crate::world::Child::default());
    world.step(Input::SlotMade { slot: SLOT, killable: false, after: None });
    world.step(Input::SlotUp(SLOT));
    let (tag, next) = (world.deliver(|_| {}), world.deliver(|_| {}));
    world.begin(SLOT);
    world.revoke(tag, true);
    assert!(std::mem::take(&mut world.children.get_mut(&SLOT).unwrap().signalled));
    world.end(SLOT);
    world.children.get_mut(&SLOT).unwrap().ended.clear();
    world.step(Input::Finished(SLOT, tag, Box::new(outcome(Ending::Ignored, SHORT))));
    revoked_and_acknowledged(&world, tag);
    world.finish();
    assert_eq!(world.runs[&next], 1, "the slot is opened again");
}

#[test]
fn one_that_is_being_acknowledged_is_called_off_when_the_answer_comes() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|job| job.policy = early());
    world.revoke(tag, false);
    assert!(!is_revoked(&world, tag), "nobody knows yet whose it is");
    world.answer();
    revoked_and_acknowledged(&world, tag);
    assert!(!world.begin(SLOT) && world.machine.is_empty());
    let next = world.deliver(|_| {});
    assert!(world.run_one(SLOT, SHORT), "the slot that was kept is free");
    assert_eq!(world.verdict(next), Some(&Verdict::Ack));
}

#[test]
fn one_that_has_ended_stays_as_it_is() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|_| {});
    world.run_one(SLOT, SHORT);
    world.revoke(tag, true);
    assert!(world.records.is_empty() && !world.children[&SLOT].signalled);
}

#[test]
fn one_that_lies_with_a_dead_executor_is_called_off_in_the_next() {
    let mut world = quick(1);
    let (first, second) = (world.deliver(|_| {}), world.deliver(|_| {}));
    world.begin(SLOT);
    world.revoke(second, true);
    world.die(SLOT);
    world.birth(SLOT);
    world.finish();
    revoked_and_acknowledged(&world, second);
    assert_eq!(world.runs.get(&second), None);
    assert!(matches!(world.verdict(first), Some(Verdict::Requeue { died: true })));
}
