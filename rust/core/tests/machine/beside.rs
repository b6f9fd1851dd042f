//! Lives of jobs that run beside others in one executor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastq_core::consumer::credit::Prefetch;
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::ending::Verdict;
use fastq_core::job::policy::Policy;

use crate::world::World;

const SLOT: SlotId = SlotId(0);
const OTHER: SlotId = SlotId(1);
const LIMIT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(30);

fn begin_all(world: &mut World, slot: SlotId) {
    while world.begin(slot) {}
}

fn running(world: &World, slot: SlotId) -> &[Tag] {
    &world.children[&slot].running
}

#[test]
fn as_many_run_at_once_as_there_are_permits_shared_out_evenly() {
    let mut world = World::with_permits(Prefetch::Auto, 2, 10);
    assert_eq!(world.machine.credit(world.now), 20);
    for _ in 0..24 {
        world.deliver(|_| {});
    }
    begin_all(&mut world, SLOT);
    begin_all(&mut world, OTHER);
    assert_eq!((running(&world, SLOT).len(), running(&world, OTHER).len()), (10, 10));
    assert_eq!(world.machine.credit(world.now), 0);
    world.finish();
}

#[test]
fn a_run_over_its_limit_is_settled_and_cancelled_and_the_others_go_on() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 2);
    let slow = world.deliver(|job| job.time_limit = Some(LIMIT));
    let other = world.deliver(|_| {});
    begin_all(&mut world, SLOT);
    world.pass(LIMIT);
    assert_eq!(world.verdict(slow), Some(&Verdict::Ack));
    assert_eq!(world.records, [("id-1".to_owned(), "FAILURE".to_owned())]);
    assert_eq!(world.children[&SLOT].cancelled, [slow]);
    assert!(world.killed.is_empty());
    let third = world.deliver(|_| {});
    begin_all(&mut world, SLOT);
    assert_eq!(running(&world, SLOT), [slow, other], "the permit is kept");
    world.heed(SLOT);
    begin_all(&mut world, SLOT);
    assert_eq!(running(&world, SLOT), [other, third], "and free when the executor let go of it");
    world.finish();
}

#[test]
fn an_executor_that_does_not_let_go_is_killed_and_its_other_jobs_run_again() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 2);
    world.deliver(|job| job.time_limit = Some(LIMIT));
    let other = world.deliver(|_| {});
    begin_all(&mut world, SLOT);
    world.pass(LIMIT);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.killed, [SLOT]);
    world.die(SLOT);
    assert_eq!(world.verdict(other), Some(&Verdict::Requeue { died: false }), "no death is counted for it");
    assert!(world.machine.is_empty());
}

#[test]
fn one_that_ends_in_the_moment_it_is_settled_frees_its_permit() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 1 + 1);
    world.deliver(|job| job.time_limit = Some(LIMIT));
    begin_all(&mut world, SLOT);
    world.end(SLOT);
    world.pass(LIMIT);
    world.tell(SLOT, LIMIT);
    world.pass(LONG);
    assert!(world.killed.is_empty(), "nothing hangs");
    for _ in 0..2 {
        world.deliver(|_| {});
    }
    begin_all(&mut world, SLOT);
    assert_eq!(running(&world, SLOT).len(), 2);
    world.finish();
}

#[test]
fn a_job_that_comes_back_does_not_run_while_its_abandoned_run_goes_on() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 4);
    let strict = Policy { acks_on_timeout: false, ..Policy::named("strict") };
    let tag = world.deliver(|job| (job.policy, job.time_limit) = (Arc::new(strict), Some(LIMIT)));
    begin_all(&mut world, SLOT);
    world.pass(LIMIT);
    assert_eq!(world.verdict(tag), Some(&Verdict::Requeue { died: true }));
    world.lose_session();
    world.deliver_as(tag, |_| {});
    begin_all(&mut world, SLOT);
    assert_eq!(world.runs[&tag], 1);
    world.heed(SLOT);
    world.pass(Duration::from_secs(1));
    begin_all(&mut world, SLOT);
    assert_eq!(world.runs[&tag], 2);
    world.finish();
}

#[test]
fn jobs_not_begun_by_a_stuck_executor_go_to_another_and_what_it_runs_stays() {
    let mut world = World::with_permits(Prefetch::Auto, 1, 8);
    let first = world.deliver(|_| {});
    begin_all(&mut world, SLOT);
    world.pass(Duration::from_millis(30));
    let late = world.deliver(|_| {});
    world.birth(OTHER);
    world.pass(Duration::from_millis(30));
    assert_eq!(world.children[&OTHER].pipe.iter().map(|(_, tag)| *tag).collect::<Vec<_>>(), [late]);
    assert_eq!(running(&world, SLOT), [first]);
    begin_all(&mut world, OTHER);
    begin_all(&mut world, SLOT);
    for _ in 0..14 {
        world.deliver(|_| {});
    }
    begin_all(&mut world, SLOT);
    assert_eq!(running(&world, SLOT).len(), 8, "it was opened again beside what it runs");
    world.finish();
}

#[test]
fn in_the_end_the_job_that_kills_its_executors_is_set_aside_and_no_other() {
    let mut world = World::with_permits(Prefetch::PerSlot(1), 1, 64);
    let killer = world.deliver(|_| {});
    for _ in 0..63 {
        world.deliver(|_| {});
    }
    let mut deaths = BTreeMap::new();
    while deaths.get(&killer).is_none_or(|deaths| *deaths != 3) {
        begin_all(&mut world, SLOT);
        if !running(&world, SLOT).contains(&killer) {
            world.end(SLOT);
            world.tell(SLOT, LONG);
            world.pass(Duration::from_secs(1));
            assert!(!world.machine.is_empty(), "the killer waits for ever");
            continue;
        }
        world.die(SLOT);
        world.birth(SLOT);
        let mut ended: Vec<_> = world.verdicts.drain().map(|((_, tag), verdict)| (tag, verdict)).collect();
        ended.sort_by_key(|(tag, _)| *tag);
        for (tag, verdict) in ended {
            assert!(tag == killer || !matches!(verdict, Verdict::Bury { .. }), "{tag:?} has a bad neighbour");
            if verdict != Verdict::Ack {
                let died = deaths.entry(tag).or_insert(0);
                *died += 1;
                let died = *died;
                if died < 3 {
                    world.deliver_as(tag, |job| job.delivery.deaths = died);
                }
            }
        }
    }
    assert_eq!(deaths.values().filter(|deaths| **deaths == 3).count(), 1, "only the killer is set aside");
    world.finish();
}
