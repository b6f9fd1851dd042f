//! One life each.

use std::sync::Arc;
use std::time::Duration;

use fastq_core::clock::WallTime;
use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::Input;
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::ending::{Ending, Verdict};
use fastq_core::job::policy::Policy;

use crate::world::{World, outcome};

const SLOT: SlotId = SlotId(0);
const LONG: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_micros(10);

fn early(change: impl FnOnce(&mut Policy)) -> Arc<Policy> {
    let mut policy = Policy::named("early");
    policy.acks_late = false;
    change(&mut policy);
    Arc::new(policy)
}

#[test]
fn a_late_acknowledged_job_is_settled_when_it_ends_and_not_before() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|_| {});
    world.begin(SLOT);
    assert_eq!(world.verdict(tag), None);
    world.end(SLOT);
    world.tell(SLOT, LONG);
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    assert!(world.machine.is_empty());
}

#[test]
fn an_early_acknowledged_job_is_settled_before_it_is_sent_and_fails_when_its_child_dies() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|job| job.policy = early(|_| {}));
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack), "a slot is free");
    assert!(!world.begin(SLOT), "not before the broker has answered");
    world.answer();
    assert!(world.begin(SLOT));
    world.die(SLOT);
    assert_eq!(world.records, [("id-1".to_owned(), "FAILURE".to_owned())]);
}

#[test]
fn an_early_acknowledged_job_waits_for_a_free_slot_before_it_is_settled() {
    let mut world = World::new(Prefetch::PerSlot(2), 1);
    world.deliver(|_| {});
    let tag = world.deliver(|job| job.policy = early(|_| {}));
    world.begin(SLOT);
    assert_eq!(world.verdict(tag), None);
    world.end(SLOT);
    world.tell(SLOT, LONG);
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    world.finish();
    assert_eq!(world.runs[&tag], 1);
}

#[test]
fn an_early_acknowledged_job_that_never_started_is_published_again_at_a_stop() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|job| job.policy = early(|_| {}));
    world.step(Input::Stop { at_once: false });
    world.answer();
    assert_eq!(world.published, 1);
    assert!(world.machine.is_empty() && !world.runs.contains_key(&tag));
}

#[test]
fn a_job_whose_child_dies_goes_back_with_one_more_death_and_one_that_never_started_does_not() {
    let mut world = World::new(Prefetch::PerSlot(4), 1);
    let running = world.deliver(|_| {});
    let waiting = world.deliver(|_| {});
    world.begin(SLOT);
    world.die(SLOT);
    assert_eq!(world.verdict(running), Some(&Verdict::Requeue { died: true }));
    assert_eq!(world.verdict(waiting), None);
    world.birth(SLOT);
    world.finish();
    assert_eq!(world.verdict(waiting), Some(&Verdict::Ack));
}

#[test]
fn a_job_that_killed_three_children_is_set_aside_with_a_stored_failure() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|job| job.delivery.deaths = 2);
    world.begin(SLOT);
    world.die(SLOT);
    assert!(matches!(world.verdict(tag), Some(Verdict::Bury { died: true, .. })));
    assert_eq!(world.records.len(), 1);
}

#[test]
fn long_jobs_go_one_to_a_slot_and_known_short_ones_in_batches() {
    let mut world = World::new(Prefetch::PerSlot(0), 2);
    for _ in 0..6 {
        world.deliver(|_| {});
    }
    assert_eq!(world.children[&SLOT].pipe.len(), 1, "nothing is known of them yet");
    for _ in 0..3 {
        world.run_one(SLOT, SHORT);
        world.run_one(SlotId(1), SHORT);
    }
    for _ in 0..100 {
        world.deliver(|_| {});
    }
    assert!(world.children[&SLOT].pipe.len() > 10, "short ones are handed over together");
    assert!(world.children[&SlotId(1)].pipe.len() > 10, "and evenly");
    world.finish();
    assert!(world.verdicts.values().all(|verdict| *verdict == Verdict::Ack));
    assert_eq!(world.verdicts.len(), 106);
}

#[test]
fn jobs_behind_one_that_turns_out_long_are_given_to_another_slot_and_run_once() {
    let mut world = World::new(Prefetch::PerSlot(0), 2);
    for _ in 0..8 {
        world.deliver(|_| {});
        world.run_one(SLOT, SHORT);
        world.run_one(SlotId(1), SHORT);
    }
    let tags: Vec<Tag> = (0..20).map(|_| world.deliver(|_| {})).collect();
    world.begin(SLOT); // and it takes long
    while world.run_one(SlotId(1), SHORT) {}
    world.pass(Duration::from_millis(25));
    while world.run_one(SlotId(1), SHORT) {}
    let settled = tags.iter().filter(|tag| world.verdict(**tag).is_some()).count();
    assert_eq!(settled, 19, "all but the long one");
    world.end(SLOT);
    world.tell(SLOT, LONG);
    world.finish();
    assert!(tags.iter().all(|tag| world.runs[tag] == 1));
}

#[test]
fn a_job_that_a_stopped_child_has_not_begun_is_given_to_another() {
    let mut world = World::new(Prefetch::Auto, 2);
    let tag = world.deliver(|_| {});
    assert_eq!(world.children[&SLOT].pipe.len(), 1);
    world.pass(Duration::from_millis(25));
    assert!(world.run_one(SlotId(1), SHORT));
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    world.finish();
    assert_eq!(world.runs[&tag], 1);
}

#[test]
fn after_jobs_went_back_no_more_are_asked_for_until_a_slot_gets_on() {
    let mut world = World::new(Prefetch::PerSlot(4), 1);
    for _ in 0..3 {
        world.deliver(|_| {});
    }
    world.begin(SLOT);
    world.pass(Duration::from_millis(1200));
    assert_eq!(world.machine.credit(world.now), 0);
    world.end(SLOT);
    world.tell(SLOT, LONG);
    assert_eq!(world.machine.credit(world.now), 4);
}

#[test]
fn a_job_due_soon_waits_here_and_one_due_much_later_in_the_broker() {
    let mut world = World::new(Prefetch::Auto, 1);
    let soon = world.deliver(|job| job.due = Some(WallTime(1_000_500)));
    let later = world.deliver(|job| job.due = Some(WallTime(1_000_000 + 3_600_000)));
    assert_eq!(world.verdict(later), Some(&Verdict::Ack), "it was published again as delayed");
    assert!(!world.begin(SLOT));
    world.pass(Duration::from_millis(500));
    assert!(world.run_one(SLOT, SHORT));
    assert_eq!(world.verdict(soon), Some(&Verdict::Ack));
}

#[test]
fn a_job_that_expired_before_a_slot_was_free_is_revoked() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.deliver(|_| {});
    world.begin(SLOT);
    let tag = world.deliver(|job| job.expires = Some(WallTime(1_000_100)));
    world.pass(Duration::from_millis(200));
    world.end(SLOT);
    world.tell(SLOT, LONG);
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    assert_eq!(world.records, [("id-2".to_owned(), "REVOKED".to_owned())]);
}

#[test]
fn the_soft_limit_interrupts_and_the_hard_limit_kills_and_stores_the_failure() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|job| {
        job.soft_time_limit = Some(Duration::from_secs(1));
        job.time_limit = Some(Duration::from_secs(2));
    });
    world.pass(Duration::from_secs(5));
    assert!(world.killed.is_empty(), "the time counts from the start of the run");
    world.begin(SLOT); // drops what was taken back meanwhile
    world.begin(SLOT);
    world.pass(Duration::from_secs(1));
    assert_eq!((world.interrupted.len(), world.killed.len()), (1, 0));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.killed, [SLOT]);
    world.die(SLOT);
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    assert_eq!(world.records, [("id-1".to_owned(), "FAILURE".to_owned())]);
}

#[test]
fn a_warm_stop_gives_back_what_has_not_started_and_lets_the_rest_finish() {
    let mut world = World::new(Prefetch::PerSlot(4), 1);
    let running = world.deliver(|_| {});
    let ready = world.deliver(|_| {});
    let waiting = world.deliver(|job| job.due = Some(WallTime(1_030_000)));
    world.begin(SLOT);
    world.step(Input::Stop { at_once: false });
    assert_eq!(world.verdict(ready), Some(&Verdict::Release));
    assert_eq!(world.verdict(waiting), Some(&Verdict::Release));
    assert_eq!(world.machine.credit(world.now), 0);
    let late = world.deliver(|_| {});
    assert_eq!(world.verdict(late), Some(&Verdict::Release), "what was on its way goes back, too");
    world.end(SLOT);
    world.tell(SLOT, LONG);
    assert_eq!(world.verdict(running), Some(&Verdict::Ack));
    assert!(world.machine.is_empty());
}

#[test]
fn a_cold_stop_kills_and_puts_the_running_job_back_without_counting_a_death() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(|_| {});
    world.begin(SLOT);
    world.step(Input::Stop { at_once: true });
    assert_eq!(world.killed, [SLOT]);
    world.die(SLOT);
    assert_eq!(world.verdict(tag), Some(&Verdict::Requeue { died: false }));
    assert!(world.records.is_empty());
}

#[test]
fn jobs_that_no_slot_can_take_go_back_after_a_second() {
    let mut world = World::new(Prefetch::PerSlot(3), 1);
    let running = world.deliver(|_| {});
    let others: Vec<Tag> = (0..2).map(|_| world.deliver(|_| {})).collect();
    world.begin(SLOT);
    world.pass(Duration::from_millis(900));
    assert!(others.iter().all(|tag| world.verdict(*tag).is_none()));
    world.pass(Duration::from_millis(200));
    assert!(others.iter().all(|tag| world.verdict(*tag) == Some(&Verdict::Release)));
    assert_eq!(world.verdict(running), None);
}

#[test]
fn a_delivery_that_comes_again_while_its_job_still_runs_is_adopted_and_not_run_twice() {
    let mut world = World::new(Prefetch::Auto, 2);
    let tag = world.deliver(|_| {});
    world.begin(SLOT);
    world.lose_session();
    world.deliver_as(tag, |_| {});
    world.end(SLOT);
    world.tell(SLOT, LONG);
    world.finish();
    assert_eq!(world.runs[&tag], 1);
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
}

#[test]
fn runs_of_a_session_that_is_over_are_ended_where_that_is_wanted_and_only_those_acknowledged_late() {
    for wanted in [false, true] {
        let mut world = World::new(Prefetch::Auto, 2);
        world.machine.ends_lost_runs = wanted;
        world.deliver(|_| {});
        world.begin(SLOT);
        world.deliver(|job| job.policy = early(|_| {}));
        world.answer();
        world.begin(SlotId(1));
        world.lose_session();
        assert_eq!(world.killed, if wanted { vec![SLOT] } else { vec![] });
        world.die(SLOT);
        assert!(world.records.is_empty(), "its next run is another worker's");
    }
}

fn at_most(per_second: f64) -> Arc<Policy> {
    let mut policy = Policy::named("mail");
    policy.rate_limit = Some(per_second);
    Arc::new(policy)
}

fn deliver_limited(world: &mut World) -> Tag {
    world.deliver(|job| (job.policy, job.name) = (at_most(10.0), "mail".into()))
}

#[test]
fn a_job_whose_turn_has_not_come_holds_neither_a_slot_nor_credit() {
    let mut world = World::new(Prefetch::Auto, 1);
    let limited: Vec<Tag> = (0..3).map(|_| deliver_limited(&mut world)).collect();
    world.begin(SLOT);
    world.end(SLOT);
    world.tell(SLOT, SHORT);
    assert_eq!(world.machine.credit(world.now), 1, "as if nothing were held");
    let other = world.deliver(|_| {});
    assert!(world.begin(SLOT), "others pass them");
    world.end(SLOT);
    world.tell(SLOT, SHORT);
    assert_eq!(world.verdict(other), Some(&Verdict::Ack));
    assert_eq!(world.verdict(limited[1]), None);
    world.pass(Duration::from_millis(100));
    assert!(world.begin(SLOT), "its turn has come");
    world.finish();
    assert!(limited.iter().all(|tag| world.verdict(*tag) == Some(&Verdict::Ack)));
}

#[test]
fn jobs_that_wait_for_their_turn_go_back_at_a_stop_and_are_forgotten_with_their_session() {
    let mut world = World::new(Prefetch::Auto, 1);
    let limited: Vec<Tag> = (0..3).map(|_| deliver_limited(&mut world)).collect();
    world.step(Input::Stop { at_once: false });
    assert!(limited[1..].iter().all(|tag| world.verdict(*tag) == Some(&Verdict::Release)));
    world.finish();

    let mut world = World::new(Prefetch::Auto, 1);
    deliver_limited(&mut world);
    deliver_limited(&mut world);
    world.lose_session();
    world.finish();
    assert!(world.machine.is_empty());
}

#[test]
fn of_limited_jobs_a_thousand_wait_here_and_the_others_in_the_broker() {
    let mut world = World::new(Prefetch::PerSlot(0), 1);
    for _ in 0..1100 {
        deliver_limited(&mut world);
    }
    assert_eq!(
        world.published, 99,
        "one runs, a thousand wait, the rest is published again with the time of its turn"
    );
}

#[test]
fn a_job_whose_time_comes_after_an_idle_while_runs_here_and_does_not_go_back() {
    let mut world = World::new(Prefetch::Auto, 1);
    let due = world.now.wall.after(LONG);
    let waiting = world.deliver(|job| job.due = Some(due));
    world.pass(LONG);
    assert_eq!(world.verdict(waiting), None);
    assert!(world.begin(SLOT));

    let mut world = World::new(Prefetch::Auto, 1);
    deliver_limited(&mut world);
    world.begin(SLOT);
    world.end(SLOT);
    world.tell(SLOT, SHORT);
    let limited = deliver_limited(&mut world);
    world.pass(LONG);
    assert_eq!(world.verdict(limited), None);
    assert!(world.begin(SLOT));
}

#[test]
fn an_executor_that_retires_gets_nothing_new() {
    let mut world = World::new(Prefetch::Auto, 2);
    world.step(Input::SlotRetires(SLOT));
    for _ in 0..3 {
        world.deliver(|_| {});
    }
    assert!(world.children[&SLOT].pipe.is_empty());
    world.die(SLOT);
    world.finish();
    assert_eq!(world.verdicts.len(), 3);
}

#[test]
fn endings_become_verdicts_as_the_table_says() {
    for (ending, expected) in [
        (Ending::Failed, Verdict::Ack),
        (Ending::Retried, Verdict::Ack),
        (Ending::Requeued, Verdict::Requeue { died: false }),
        (Ending::Rejected, Verdict::Bury { reason: "the task rejected its message".into(), died: false }),
    ] {
        let mut world = World::new(Prefetch::Auto, 1);
        let tag = world.deliver(|_| {});
        world.begin(SLOT);
        world.step(Input::Finished(SLOT, tag, Box::new(outcome(ending, LONG))));
        assert_eq!(world.verdict(tag), Some(&expected));
    }
}
