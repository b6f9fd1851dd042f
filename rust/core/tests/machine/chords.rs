//! Members of chords that end without a run that could tell: each is a part, once, or its chord would wait for ever.

use std::sync::Arc;
use std::time::Duration;

use fastq_core::clock::WallTime;
use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::Input;
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::Job;
use fastq_core::job::ending::Ending;
use fastq_core::job::policy::Policy;
use fastq_core::message::Message;
use fastq_core::store::{Chords, Part};

use crate::world::{World, outcome};

const SLOT: SlotId = SlotId(0);
const SHORT: Duration = Duration::from_micros(10);

fn member(job: &mut Job) {
    let headers = format!(r#"{{"id":"{}","task":"plain","group":"g","group_index":0}}"#, job.id);
    job.has_family = true;
    job.delivery.message = Message {
        headers: headers.into(),
        properties: r#"{"content_type":"application/json"}"#.into(),
        body: r#"[[],{},{"chord":{"task":"fastq.chord_body"}}]"#.into(),
    };
}

fn with(change: impl FnOnce(&mut Policy)) -> Arc<Policy> {
    let mut policy = Policy::named("plain");
    change(&mut policy);
    Arc::new(policy)
}

fn parts(world: &World) -> Vec<(&str, &str)> {
    world.parts.iter().map(|(id, state)| (id.as_str(), state.as_str())).collect()
}

#[test]
fn one_that_has_expired_is_a_part() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.deliver(|job| {
        member(job);
        job.expires = Some(WallTime(0));
    });
    assert_eq!(parts(&world), [("id-1", "REVOKED")]);
}

#[test]
fn one_that_is_called_off_is_a_part() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.revoke(Tag(1), false);
    world.deliver(member);
    assert_eq!(parts(&world), [("id-1", "REVOKED")]);
}

#[test]
fn one_whose_child_dies_is_a_part_when_it_is_not_run_again() {
    for (policy, deaths, expected) in [
        (with(|_| {}), 0, &[][..]),
        (with(|_| {}), 2, &[("id-1", "FAILURE")]),
        (with(|policy| policy.reject_on_worker_lost = false), 0, &[("id-1", "FAILURE")]),
        (with(|policy| policy.acks_late = false), 0, &[("id-1", "FAILURE")]),
    ] {
        let mut world = World::new(Prefetch::Auto, 1);
        world.deliver(|job| {
            member(job);
            (job.policy, job.delivery.deaths) = (policy, deaths);
        });
        world.answer();
        world.begin(SLOT);
        world.die(SLOT);
        assert_eq!(parts(&world), expected, "{deaths}");
    }
}

#[test]
fn one_that_runs_out_of_time_is_a_part_though_nobody_wants_its_result() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.deliver(|job| {
        member(job);
        (job.time_limit, job.ignore_result) = (Some(Duration::from_secs(1)), Some(true));
    });
    world.begin(SLOT);
    world.pass(Duration::from_secs(2));
    world.die(SLOT);
    assert_eq!((parts(&world), world.records.len()), (vec![("id-1", "FAILURE")], 0));
}

#[test]
fn one_that_is_refused_is_a_part_and_one_that_goes_on_is_none() {
    for (ending, expected) in [
        (Ending::Rejected, &[("id-1", "FAILURE")][..]),
        (Ending::Undecodable, &[("id-1", "FAILURE")]),
        (Ending::Requeued, &[]),
        (Ending::Retried, &[]),
        (Ending::Ignored, &[]),
    ] {
        let mut world = World::new(Prefetch::Auto, 1);
        let tag = world.deliver(member);
        world.begin(SLOT);
        world.step(Input::Finished(SLOT, tag, Box::new(outcome(ending, SHORT))));
        assert_eq!(parts(&world), expected, "{ending:?}");
    }
}

#[test]
fn what_the_executor_tells_of_a_chord_is_passed_on_as_it_is() {
    let mut world = World::new(Prefetch::Auto, 1);
    let tag = world.deliver(member);
    world.begin(SLOT);
    let part = Part {
        group_id: "g".into(),
        task_id: "id-1".into(),
        place: Some(0),
        state: "SUCCESS".into(),
        body: Vec::new(),
        callback: Vec::new(),
    };
    let mut told = outcome(Ending::Done, SHORT);
    told.chords = Chords::of(Some(part));
    world.step(Input::Finished(SLOT, tag, Box::new(told)));
    assert_eq!(parts(&world), [("id-1", "SUCCESS")]);
}

#[test]
fn one_that_is_no_member_is_no_part() {
    let mut world = World::new(Prefetch::Auto, 1);
    world.deliver(|job| job.expires = Some(WallTime(0)));
    world.deliver(|job| {
        member(job);
        job.delivery.message.body = r#"[[],{},{"chord":null}]"#.into();
        job.expires = Some(WallTime(0));
    });
    assert!(world.parts.is_empty());
}
