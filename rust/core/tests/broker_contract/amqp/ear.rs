use std::sync::Arc;
use std::time::{Duration, Instant};

use fastq_core::broker::{Broker, Ear, Said, Word, WorkerEntry};
use fastq_core::clock::Clock;
use fastq_core::job::revocation::{Revocation, Target};
use tokio::sync::mpsc;

use super::{Host, block_on};
use crate::support::{subscription, take, until};

fn revocation(id: &str) -> Revocation {
    let until = Clock::system().wall().after(Duration::from_secs(3600));
    Revocation { target: Target::Id(id.into()), terminate: None, until }
}

/// What a worker does with what it hears: it notes the ids, and describes itself.
async fn obey(mut ear: Box<dyn Ear>, told: mpsc::UnboundedSender<String>) {
    loop {
        match ear.next().await {
            Said::Revoked(some) => {
                for one in some {
                    let Target::Id(id) = one.target else { continue };
                    told.send(id).unwrap();
                }
            }
            Said::Asked { reply_to, entry } => {
                let entry = WorkerEntry { queues: vec!["q".into()], ..entry };
                let held = [("q".to_owned(), 3)].into();
                ear.say(Word::Described { reply_to, entry, held }).await.unwrap();
            }
            Said::Command(_) | Said::Deaf(_) | Said::Hears => {}
        }
    }
}

/// Waits until so many workers say what they do.
async fn workers(broker: &Arc<dyn Broker>, count: usize) -> Vec<WorkerEntry> {
    loop {
        let broker = Arc::clone(broker);
        let found = tokio::task::spawn_blocking(move || broker.workers().unwrap()).await.unwrap();
        if found.len() == count {
            return found;
        }
    }
}

#[test]
fn every_worker_has_been_told_when_a_revocation_returns() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let (mut sessions, mut ears) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
            let (told, tells) = mpsc::unbounded_channel();
            tokio::spawn(obey(session.ear().unwrap(), told));
            sessions.push(session);
            ears.push(tells);
        }
        workers(&broker, 2).await;
        for number in 0..100 {
            let (broker, id) = (Arc::clone(&broker), number.to_string());
            let one = revocation(&id);
            let began = Instant::now();
            tokio::task::spawn_blocking(move || broker.revoke(&[one]).unwrap()).await.unwrap();
            assert!(began.elapsed() < Duration::from_millis(900), "somebody has not answered");
            for ear in &mut ears {
                assert_eq!(ear.try_recv().ok().as_ref(), Some(&id));
            }
        }
    });
}

#[test]
fn workers_say_what_they_do_and_one_that_is_gone_is_not_waited_for() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        assert!(broker.workers().unwrap().is_empty(), "there never was one");
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let ear = tokio::spawn(obey(session.ear().unwrap(), mpsc::unbounded_channel().0));
        let found = workers(&broker, 1).await.remove(0);
        assert_eq!((&*found.node, found.pid, found.in_flight), ("fastq@test", std::process::id(), 3));
        assert_eq!(found.queues, ["q"]);
        assert!(found.lease_until > Clock::system().wall() && found.started_at <= Clock::system().wall());
        let asked = Arc::clone(&broker);
        let depths = tokio::task::spawn_blocking(move || asked.depths().unwrap()).await.unwrap();
        assert_eq!((&*depths[0].queue, depths[0].in_flight), ("q", 3));
        ear.abort();
        assert!(ear.await.is_err());
        until("it is gone", || {
            let began = Instant::now();
            broker.workers().unwrap().is_empty() && began.elapsed() < Duration::from_millis(900)
        });
    });
}

#[test]
fn an_ear_that_was_cut_off_learns_what_it_has_missed() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut ear = session.ear().unwrap();
        broker.revoke(&[revocation("1")]).unwrap();
        assert!(matches!(ear.next().await, Said::Revoked(some) if some.len() == 1));
        host.hang_up();
        broker.revoke(&[revocation("2")]).unwrap();
        assert!(matches!(ear.next().await, Said::Deaf(_)));
        assert!(matches!(ear.next().await, Said::Hears));
        let Said::Revoked(all) = ear.next().await else { panic!("it learns") };
        assert_eq!(all.len(), 2);
    });
}

#[test]
fn an_answer_that_goes_nowhere_does_no_harm() {
    let Some(host) = Host::new() else { return };
    block_on(async {
        let broker = host.broker("");
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut ear = session.ear().unwrap();
        for _ in 0..2 {
            let message = crate::support::message("1");
            let (exchange, routing_key) = ("nowhere".to_owned(), String::new());
            ear.say(Word::Answer { exchange, routing_key, message }).await.unwrap();
            broker.revoke(&[revocation("1")]).unwrap();
            assert!(matches!(ear.next().await, Said::Revoked(_)));
        }
        assert!(take(&mut session, 1).await.notices.is_empty());
    });
}
