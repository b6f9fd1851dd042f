//! Tokens when connections break and when workers are taken for dead: none is lost, none is had twice.

use std::sync::Arc;
use std::time::Duration;

use fastq_core::broker::Session;
use fastq_core::error::ErrorKind;
use fastq_core::job::ending::Commit;
use fastq_core::job::limits::{Ask, Asked, Limits};

use super::proxy::Proxy;
use super::{at, block_on, server};
use crate::support::{redis, run, subscription, take};

fn tokens(wanted: u32) -> [Ask; 1] {
    [Ask { key: Arc::from("k"), what: Asked::Tokens { most: 5 }, wanted }]
}

fn give_back(count: u32) -> Vec<Commit> {
    let limits = || Limits { token: Some("k".into()), ..Limits::default() }.boxed();
    (0..count).map(|_| Commit { limits: limits(), ..Commit::default() }).collect()
}

async fn count(session: &mut Box<dyn Session>) -> u32 {
    session.admit(&tokens(9)).await.map_or(0, |granted| granted[0].count)
}

#[test]
fn whatever_is_cut_off_the_server_counts_what_the_worker_has() {
    let Some(server) = server(&[]) else { return };
    let proxy = Proxy::to(server.port);
    block_on(async {
        let broker = at(&proxy.url(), "");
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let (mut held, mut commits, mut errors) = (0, Vec::new(), 0);
        for round in 0_i64..150 {
            if round % 2 == 0 {
                proxy.cut_after(round * 31 % 700);
            }
            match session.admit(&tokens(2)).await {
                Ok(granted) => held += granted[0].count,
                Err(error) => {
                    assert!(error.is_temporary(), "{error}");
                    errors += 1;
                }
            }
            let back = if round % 3 == 0 { held } else { held.min(1) };
            commits.extend(give_back(back));
            held -= back;
            while session.exchange(&mut commits, 0).await.is_err() {
                errors += 1;
            }
            assert!(held <= 5);
        }
        assert!(errors > 20, "{errors} cuts");
        proxy.cut_after(i64::MIN);
        while session.exchange(&mut Vec::new(), 0).await.is_err() {}
        let shown = server.command(&["HVALS", "fastq:c:k"]);
        assert_eq!(shown, if held == 0 { String::new() } else { held.to_string() });
        session.close().await.unwrap();
    });
    assert_eq!(server.command(&["KEYS", "fastq:[clk]:*"]), "", "nothing is left");
}

#[test]
fn who_is_taken_for_dead_has_no_tokens_and_gets_none() {
    run(redis(), |subject| async move {
        let mut short = subscription(&["q"]);
        short.lease = Duration::from_secs(1);
        let mut one = subject.broker.subscribe(short.clone()).await.unwrap();
        assert_eq!(count(&mut one).await, 5);
        let mut two = subject.broker.subscribe(short).await.unwrap();
        assert_eq!(count(&mut two).await, 0);
        // Its lease runs out, and the server was within reach of the other one all the time.
        for _ in 0..8 {
            subject.pass(Duration::from_millis(300));
            two.renew().await.unwrap();
        }
        assert_eq!(count(&mut two).await, 5, "they were taken back");
        assert_eq!(one.admit(&tokens(1)).await.unwrap_err().kind(), ErrorKind::Closed);
        let late = one.exchange(&mut give_back(5), 0).await;
        assert!(late.is_err(), "its Commits are refused");
        let mut three = subject.session(&["q"]).await;
        assert_eq!(count(&mut three).await, 0);
        let _ = take(&mut two, 0).await;
    });
}

#[test]
fn what_the_first_in_line_leaves_the_next_is_called_for() {
    run(redis(), |subject| async move {
        let mut one = subject.session(&["q"]).await;
        let (mut two, mut three) = (subject.session(&["q"]).await, subject.session(&["q"]).await);
        assert_eq!(one.admit(&tokens(5)).await.unwrap()[0].count, 5);
        for session in [&mut two, &mut three] {
            assert_eq!(session.admit(&tokens(1)).await.unwrap()[0].count, 0);
            while !called(session).await {} // it listens
        }
        // Each of them calls the first in line, which had no need of two.
        for _ in 0..2 {
            one.exchange(&mut give_back(1), 0).await.unwrap();
        }
        assert_eq!(two.admit(&tokens(1)).await.unwrap()[0].count, 1);
        while !called(&mut three).await {}
        assert_eq!(three.admit(&tokens(1)).await.unwrap()[0].count, 1);
    });
}

async fn called(session: &mut Box<dyn Session>) -> bool {
    session.arrival().await;
    let _ = take(session, 0).await;
    session.freed()
}
