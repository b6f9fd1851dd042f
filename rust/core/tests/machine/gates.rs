//! Jobs that need a turn or a token of the server: who asks for how much, and when a job may run.

use std::sync::Arc;
use std::time::Duration;

use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::Input;
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::Job;
use fastq_core::job::ending::Verdict;
use fastq_core::job::limits::{Ask, Asked, Granted, Keys};
use fastq_core::job::policy::Policy;

use crate::world::World;

const SHORT: Duration = Duration::from_micros(10);

fn one_at_a_time(job: &mut Job) {
    job.policy = Arc::new(Policy { max_concurrency: Some(1), ..Policy::named("mail") });
}

fn ten_a_second(job: &mut Job) {
    job.policy = Arc::new(Policy { rate_limit: Some(10.0), rate_is_global: true, ..Policy::named("mail") });
}

fn wanted(asks: &[Ask]) -> Vec<(&str, u32)> {
    asks.iter().map(|ask| (&*ask.key, ask.wanted)).collect()
}

fn tokens(key: &str, count: u32) -> Input {
    Input::Granted(vec![Granted { key: key.into(), turns: false, count, after: Duration::ZERO }])
}

fn turn(key: &str, count: u32, after: u64) -> Input {
    let after = Duration::from_millis(after);
    Input::Granted(vec![Granted { key: key.into(), turns: true, count, after }])
}

fn asks(world: &mut World) -> Vec<Ask> {
    world.machine.asks(world.now)
}

#[test]
fn a_job_without_a_token_holds_neither_slot_nor_credit() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let tag = world.deliver(one_at_a_time);
    assert_eq!(world.machine.credit(world.now), 1, "it does not count as taken");
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
    assert_eq!(asks(&mut world), [], "one ask is under way");
    let other = world.deliver(|_| {});
    assert!(world.run_one(SlotId(0), SHORT));
    assert_eq!(world.verdict(other), Some(&Verdict::Ack));
    assert!(!world.run_one(SlotId(0), SHORT), "it has no token");
    world.step(tokens("mail", 1));
    assert!(world.run_one(SlotId(0), SHORT));
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
    assert_eq!(world.tokens, ["mail"], "given back with its end");
}

#[test]
fn no_more_is_asked_for_than_slots_can_take() {
    let mut world = World::new(Prefetch::PerSlot(4), 2);
    for _ in 0..6 {
        world.deliver(one_at_a_time);
    }
    assert_eq!(wanted(&asks(&mut world)), [("mail", 2)]);
    world.step(tokens("mail", 2));
    assert_eq!(asks(&mut world), [], "both slots have something to do");
    world.pass(Duration::from_millis(200));
    assert!(world.run_one(SlotId(0), SHORT));
    assert_eq!(asks(&mut world).len(), 1);
}

#[test]
fn a_worker_that_got_none_asks_again_when_it_is_called_or_gave_one_back_or_after_a_while() {
    let mut world = World::new(Prefetch::PerSlot(4), 2);
    world.deliver(one_at_a_time);
    world.deliver(one_at_a_time);
    asks(&mut world);
    world.step(tokens("mail", 1));
    assert_eq!(asks(&mut world), [], "there are no more");
    let slot = if world.begin(SlotId(0)) { SlotId(0) } else { SlotId(1) };
    world.begin(slot);
    world.pass(Duration::from_millis(60));
    world.end(slot);
    world.tell(slot, SHORT);
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)], "its own came back");
    world.step(tokens("mail", 0));
    assert_eq!(asks(&mut world), []);
    world.step(Input::Freed);
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)], "it was called");
    world.step(tokens("mail", 0));
    let wake = world.machine.next_wake(world.now).unwrap();
    world.pass(wake.since(world.now.monotonic));
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)], "calls may get lost");
}

#[test]
fn a_token_is_passed_on_for_a_while_and_then_goes_back() {
    let mut world = World::new(Prefetch::PerSlot(4), 1);
    let tags: Vec<Tag> = (0..4).map(|_| world.deliver(one_at_a_time)).collect();
    asks(&mut world);
    world.step(tokens("mail", 1));
    assert!(world.run_one(SlotId(0), SHORT) && world.run_one(SlotId(0), SHORT));
    assert_eq!((world.verdict(tags[1]), world.tokens.len()), (Some(&Verdict::Ack), 0), "at no cost");
    world.begin(SlotId(0));
    world.pass(Duration::from_millis(60));
    world.end(SlotId(0));
    world.tell(SlotId(0), SHORT);
    assert_eq!(world.tokens, ["mail"], "others may wait for it, too");
    assert!(!world.run_one(SlotId(0), SHORT));
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
}

#[test]
fn a_line_is_left_as_soon_as_nobody_here_waits_in_it() {
    let mut world = World::new(Prefetch::PerSlot(4), 2);
    for _ in 0..2 {
        world.deliver(one_at_a_time);
    }
    asks(&mut world);
    world.step(tokens("mail", 1));
    assert_eq!(asks(&mut world), [], "in line for the second");
    let slot = if world.begin(SlotId(0)) { SlotId(0) } else { SlotId(1) };
    world.end(slot);
    world.tell(slot, SHORT);
    assert!(world.tokens.is_empty(), "passed on");
    assert_eq!(wanted(&asks(&mut world)), [("mail", 0)], "however long it runs, it holds up nobody");
}

#[test]
fn keys_are_counted_apart_and_named_by_the_message() {
    let mut world = World::new(Prefetch::PerSlot(4), 4);
    for tenant in ["acme", "bolt", "acme"] {
        world.deliver(|job| {
            one_at_a_time(job);
            job.keys = Some(Box::new(Keys { concurrency: Some(tenant.into()), ..Keys::default() }));
        });
    }
    let found = asks(&mut world);
    assert_eq!(wanted(&found), [("acme", 2), ("bolt", 1)]);
    assert!(found.iter().all(|ask| ask.what == Asked::Tokens { most: 1 }));
}

#[test]
fn a_token_for_which_no_job_waits_any_more_goes_back() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    world.deliver(one_at_a_time);
    asks(&mut world);
    world.step(Input::Stop { at_once: false });
    world.step(tokens("mail", 1));
    assert_eq!(world.tokens, ["mail"]);
}

#[test]
fn a_job_that_goes_back_unstarted_gives_its_token_back() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let tag = world.deliver(one_at_a_time);
    asks(&mut world);
    world.step(tokens("mail", 1));
    world.die(SlotId(0));
    world.step(Input::Stop { at_once: false });
    assert_eq!(world.verdict(tag), Some(&Verdict::Release));
    assert_eq!(world.tokens, ["mail"]);
}

#[test]
fn a_run_that_dies_gives_its_token_back_and_keeps_its_lock() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let tag = world.deliver(|job| {
        one_at_a_time(job);
        job.keys = Some(Box::new(Keys { lock: Some("only".into()), ..Keys::default() }));
    });
    asks(&mut world);
    world.step(tokens("mail", 1));
    world.begin(SlotId(0));
    world.die(SlotId(0));
    assert_eq!(world.verdict(tag), Some(&Verdict::Requeue { died: true }));
    assert_eq!((world.tokens.len(), world.unlocked.len()), (1, 0));
}

#[test]
fn a_lock_goes_with_the_end_of_its_task() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let tag = world.deliver(|job| {
        job.keys = Some(Box::new(Keys { lock: Some("only".into()), ..Keys::default() }));
    });
    assert!(world.run_one(SlotId(0), SHORT));
    assert_eq!(world.unlocked, [("only".to_owned(), format!("id-{}", tag.0))]);
}

#[test]
fn a_job_runs_at_its_turn_and_not_before() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    world.deliver(ten_a_second);
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
    world.step(turn("mail", 1, 80));
    assert_eq!(world.machine.credit(world.now), 1, "it waits for its turn");
    world.pass(Duration::from_millis(79));
    assert!(!world.run_one(SlotId(0), SHORT));
    world.pass(Duration::from_millis(1));
    assert!(world.run_one(SlotId(0), SHORT));
}

#[test]
fn a_turn_that_is_far_is_asked_for_when_it_is_near() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    world.deliver(ten_a_second);
    asks(&mut world);
    world.step(turn("mail", 0, 900));
    assert_eq!(asks(&mut world), []);
    let wake = world.machine.next_wake(world.now).unwrap();
    assert_eq!(wake.since(world.now.monotonic), Duration::from_millis(890));
    world.pass(Duration::from_millis(890));
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
}

#[test]
fn a_turn_that_no_slot_could_take_is_lost_and_another_is_asked_for() {
    let mut world = World::new(Prefetch::PerSlot(2), 1);
    let tag = world.deliver(ten_a_second);
    asks(&mut world);
    world.step(turn("mail", 1, 50));
    world.deliver(|_| {});
    world.begin(SlotId(0));
    world.pass(Duration::from_millis(200));
    assert!(world.machine.job(tag).is_some());
    world.end(SlotId(0));
    world.tell(SlotId(0), Duration::from_millis(200));
    assert!(!world.run_one(SlotId(0), SHORT), "its turn was a while ago");
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
}

#[test]
fn jobs_behind_gates_go_back_when_no_slot_is_free_for_a_second() {
    let mut world = World::new(Prefetch::PerSlot(2), 1);
    world.deliver(|_| {});
    world.begin(SlotId(0));
    world.pass(Duration::from_millis(500));
    let tag = world.deliver(one_at_a_time);
    assert_eq!(asks(&mut world), []);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.verdict(tag), Some(&Verdict::Release));
}

#[test]
fn a_gate_whose_jobs_went_back_is_asked_for_again_when_the_next_one_comes() {
    let mut world = World::new(Prefetch::PerSlot(2), 1);
    world.deliver(ten_a_second);
    let second = world.deliver(ten_a_second);
    asks(&mut world);
    world.step(turn("mail", 1, 0));
    assert!(world.begin(SlotId(0)));
    assert_eq!(asks(&mut world), [], "no slot is free");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.verdict(second), Some(&Verdict::Release));
    world.end(SlotId(0));
    world.tell(SlotId(0), Duration::from_secs(1));
    assert_eq!(asks(&mut world), [], "no job waits");
    let third = world.deliver(ten_a_second);
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
    world.step(turn("mail", 1, 0));
    assert!(world.run_one(SlotId(0), SHORT));
    assert_eq!(world.verdict(third), Some(&Verdict::Ack));
}

#[test]
fn a_worker_in_line_whose_slots_others_fill_leaves_the_line() {
    let mut world = World::new(Prefetch::PerSlot(2), 1);
    world.deliver(one_at_a_time);
    asks(&mut world);
    world.step(tokens("mail", 0));
    assert_eq!(asks(&mut world), [], "the server will call");
    world.deliver(|_| {});
    assert!(world.begin(SlotId(0)));
    assert_eq!(asks(&mut world), [], "it may be a short one");
    world.pass(Duration::from_millis(500));
    assert_eq!(wanted(&asks(&mut world)), [("mail", 0)], "others may have a free slot");
}

#[test]
fn a_worker_put_in_line_for_a_job_that_was_called_off_leaves_the_line() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let tag = world.deliver(one_at_a_time);
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
    world.revoke(tag, false);
    world.step(tokens("mail", 0));
    assert_eq!(wanted(&asks(&mut world)), [("mail", 0)]);
    world.step(tokens("mail", 0));
    assert_eq!(asks(&mut world), []);
}

#[test]
fn a_job_whose_turn_is_more_than_a_minute_away_waits_in_the_broker() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let once_a_minute = |job: &mut Job| {
        ten_a_second(job);
        let policy = Policy { rate_limit: Some(1.0 / 60.0), ..(*job.policy).clone() };
        job.policy = Arc::new(policy);
    };
    let first = world.deliver(once_a_minute);
    asks(&mut world);
    world.step(turn("mail", 0, 50_000));
    let second = world.deliver(once_a_minute);
    assert_eq!((world.verdict(first), world.published), (None, 1));
    assert_eq!(world.verdict(second), Some(&Verdict::Ack), "published again, for its time");
}

#[test]
fn with_its_session_a_worker_loses_its_tokens_and_its_places() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    world.deliver(one_at_a_time);
    asks(&mut world);
    world.step(tokens("mail", 1));
    world.begin(SlotId(0));
    world.lose_session();
    world.end(SlotId(0));
    world.tell(SlotId(0), SHORT);
    assert_eq!(world.tokens, Vec::<String>::new(), "they are not the next session's to give back");
    let tag: Tag = world.deliver(one_at_a_time);
    assert_eq!(wanted(&asks(&mut world)), [("mail", 1)]);
    world.step(tokens("mail", 1));
    assert!(world.run_one(SlotId(0), SHORT));
    assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
}

#[test]
fn a_run_that_dies_is_retried_where_its_task_says_so_and_keeps_its_lock() {
    let mut world = World::new(Prefetch::PerSlot(1), 1);
    let policy = Arc::new(Policy { retries_when_lost: Some(2), ..Policy::named("plain") });
    let deliver = |world: &mut World, retries: u32| {
        world.deliver(|job| {
            job.policy = policy.clone();
            job.id = "it".into();
            job.keys = Some(Box::new(Keys { lock: Some("only".into()), ..Keys::default() }));
            let headers = format!(
                r#"{{"task":"plain","id":"it","retries":{retries},"x-fastq-unique-key":"only","stamps":{{}}}}"#
            );
            job.delivery.message.headers = headers.into();
        })
    };
    for retries in 0..2 {
        let tag = deliver(&mut world, retries);
        world.begin(SlotId(0));
        world.die(SlotId(0));
        assert_eq!(world.verdict(tag), Some(&Verdict::Ack));
        assert_eq!(world.records.pop(), Some(("it".into(), "RETRY".into())));
        let next = world.sent.pop().unwrap();
        let headers = String::from_utf8(next.message.headers.to_vec()).unwrap();
        assert!(headers.contains(&format!(r#""retries":{},"#, retries + 1)), "{headers}");
        assert!(world.unlocked.is_empty(), "it goes on");
        world.birth(SlotId(0));
    }
    let tag = deliver(&mut world, 2);
    world.begin(SlotId(0));
    world.die(SlotId(0));
    assert_eq!(world.verdict(tag), Some(&Verdict::Requeue { died: true }), "no tries are left: as any other");
    assert!(world.sent.is_empty());
}
