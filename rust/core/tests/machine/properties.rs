//! Random schedules: whatever happens in whatever order, every delivery gets one verdict and no job is lost.

use std::time::Duration;

use fastq_core::clock::WallTime;
use fastq_core::consumer::credit::Prefetch;
use fastq_core::dispatch::Input;
use fastq_core::ident::{SlotId, Tag};
use fastq_core::job::policy::Policy;
use proptest::prelude::*;

use crate::world::World;

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    /// As many deliveries as there is credit for, at most so many; the kind of each.
    Deliver(Vec<Kind>),
    Begin(u32),
    End(u32),
    Tell(u32, u64),
    Die(u32),
    Birth(u32),
    Pass(u64),
    Heed(u32),
    Retire(u32),
    Succeed(u32, u32),
    LoseSession,
    Answer,
    Revoke(usize, bool),
    Heard(u32),
    Serve,
    Freed,
    Stop(bool),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Early,
    Due(u16),
    Expires(u16),
    Limited,
    Token(u32),
    Turn,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Plain),
        1 => Just(Kind::Early),
        1 => (1..500_u16).prop_map(Kind::Due),
        1 => (1..500_u16).prop_map(Kind::Expires),
        1 => Just(Kind::Limited),
        2 => (1..3_u32).prop_map(Kind::Token),
        1 => Just(Kind::Turn),
    ]
}

fn happenings() -> impl Strategy<Value = Happening> {
    let slot = 0..4_u32;
    prop_oneof![
        8 => prop::collection::vec(kinds(), 1..40).prop_map(Happening::Deliver),
        20 => slot.clone().prop_map(Happening::Begin),
        20 => slot.clone().prop_map(Happening::End),
        12 => (slot.clone(), 1..3_000_u64).prop_map(|(slot, micros)| Happening::Tell(slot, micros)),
        2 => slot.clone().prop_map(Happening::Die),
        4 => slot.clone().prop_map(Happening::Birth),
        8 => (0..200_u64).prop_map(Happening::Pass),
        4 => slot.clone().prop_map(Happening::Heed),
        1 => slot.clone().prop_map(Happening::Retire),
        4 => (slot.clone(), slot).prop_map(|(slot, successor)| Happening::Succeed(slot, successor)),
        6 => Just(Happening::Answer),
        12 => Just(Happening::Serve),
        1 => Just(Happening::Freed),
        1 => Just(Happening::LoseSession),
        6 => (0..60_usize, any::<bool>()).prop_map(|(back, ends)| Happening::Revoke(back, ends)),
        6 => (0..4_u32).prop_map(Happening::Heard),
    ]
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Deliver(kinds) => {
            let credit = world.machine.credit(world.now);
            assert!(credit <= 4096, "credit is bounded");
            for kind in kinds.into_iter().take(credit) {
                let wall = world.now.wall;
                let after = |milliseconds: u16| Some(WallTime(wall.0 + i64::from(milliseconds)));
                world.deliver(|job| match kind {
                    Kind::Plain => {}
                    Kind::Early => {
                        let mut policy = (*job.policy).clone();
                        policy.acks_late = false;
                        job.policy = policy.into();
                    }
                    Kind::Due(milliseconds) => job.due = after(milliseconds),
                    Kind::Expires(milliseconds) => job.expires = after(milliseconds),
                    Kind::Limited => job.time_limit = Some(Duration::from_millis(50)),
                    Kind::Token(most) => {
                        let name = format!("token-{most}");
                        let max_concurrency = Some(most);
                        job.policy = Policy { max_concurrency, ..Policy::named(name) }.into();
                    }
                    Kind::Turn => {
                        let (rate_limit, rate_is_global) = (Some(50.0), true);
                        job.policy = Policy { rate_limit, rate_is_global, ..Policy::named("turn") }.into();
                    }
                });
            }
        }
        Happening::Begin(slot) => {
            world.begin(SlotId(slot));
        }
        Happening::End(slot) => world.end(SlotId(slot)),
        Happening::Tell(slot, micros) => world.tell(SlotId(slot), Duration::from_micros(micros)),
        Happening::Die(slot) => world.die(SlotId(slot)),
        Happening::Birth(slot) if !world.children.contains_key(&SlotId(slot)) => world.birth(SlotId(slot)),
        Happening::Birth(_) => {}
        Happening::Pass(milliseconds) => world.pass(Duration::from_millis(milliseconds)),
        Happening::Retire(slot) if world.children.contains_key(&SlotId(slot)) => {
            world.step(Input::SlotRetires(SlotId(slot)));
        }
        Happening::Retire(_) => {}
        Happening::Succeed(slot, successor) => world.succeed(SlotId(slot), SlotId(successor)),
        Happening::LoseSession => world.lose_session(),
        Happening::Heed(slot) => world.heed(SlotId(slot)),
        Happening::Answer => world.answer(),
        // Of those that came last, which are still here; and of one that comes next.
        Happening::Revoke(back, ends) => {
            world.revoke(Tag((world.next_tag + 1).saturating_sub(back as u64).max(1)), ends);
        }
        Happening::Heard(slot) if world.children.get(&SlotId(slot)).is_some_and(|child| child.signalled) => {
            world.die(SlotId(slot));
        }
        Happening::Heard(_) => {}
        Happening::Serve => {
            world.serve();
        }
        Happening::Freed => world.step(Input::Freed),
        Happening::Stop(at_once) => world.step(Input::Stop { at_once }),
    }
    // A killed executor dies before anything else happens.
    for slot in std::mem::take(&mut world.killed) {
        world.die(slot);
    }
}

fn every_delivery_got_its_verdict(world: &World) {
    assert!(world.held.values().all(|held| *held == 0), "tokens are left: {:?}", world.held);
    for key in &world.delivered {
        assert!(world.verdicts.contains_key(key) || world.void.contains(key), "{key:?} was lost");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_delivery_gets_one_verdict_and_no_job_is_lost(
        schedule in prop::collection::vec(happenings(), 1..120),
        prefetch in prop_oneof![Just(Prefetch::Auto), (0..5_u32).prop_map(Prefetch::PerSlot)],
        permits in prop_oneof![Just(1_usize), 2..20_usize],
    ) {
        let mut world = World::with_permits(prefetch, 2, permits);
        for happening in schedule {
            happen(&mut world, happening);
        }
        for slot in 0..4 {
            happen(&mut world, Happening::Die(slot));
            happen(&mut world, Happening::Birth(slot));
        }
        world.finish();
        every_delivery_got_its_verdict(&world);
    }

    #[test]
    fn a_stop_at_any_moment_settles_everything(
        schedule in prop::collection::vec(happenings(), 1..80),
        at_once in any::<bool>(),
        rest in prop::collection::vec(happenings(), 0..20),
        permits in prop_oneof![Just(1_usize), 2..20_usize],
    ) {
        let mut world = World::with_permits(Prefetch::Auto, 2, permits);
        for happening in schedule {
            happen(&mut world, happening);
        }
        happen(&mut world, Happening::Stop(at_once));
        for happening in rest {
            happen(&mut world, happening);
        }
        for slot in 0..4 {
            happen(&mut world, Happening::Die(slot));
        }
        world.finish();
        every_delivery_got_its_verdict(&world);
    }
}
