//! What a worker hears on a connection of its own: through cuts, and in the words of Celery's clients.

use std::time::Duration;

use bytes::Bytes;
use fastq_core::broker::{Ear, Publication, Said, Subscription, Word};
use fastq_core::clock::Clock;
use fastq_core::job::revocation::{Revocation, Target};
use fastq_core::message::Message;

use super::proxy::Proxy;
use super::{at, block_on, server};
use crate::revoked::hear;
use crate::support::{subscription, take};

fn of_id(id: &str) -> Revocation {
    let until = Clock::system().wall().after(Duration::from_secs(60));
    Revocation { target: Target::Id(id.into()), terminate: None, until }
}

#[test]
fn what_is_called_off_while_the_connection_is_cut_is_heard_with_the_next_one() {
    let Some(server) = server(&[]) else { return };
    let proxy = Proxy::to(server.port);
    let (broker, client) = (at(&proxy.url(), "{}"), at(&server.url(), "{}"));
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut ear = session.ear().unwrap();
        client.revoke(&[of_id("before")]).unwrap();
        assert_eq!(hear(&mut *ear, 1).await.len(), 1);
        proxy.cut_after(0);
        client.revoke(&[of_id("unheard")]).unwrap();
        let Said::Deaf(error) = ear.next().await else { panic!("it should say that it hears nothing") };
        assert!(error.is_temporary(), "{error}");
        proxy.cut_after(i64::MIN);
        assert!(matches!(ear.next().await, Said::Hears));
        assert_eq!(hear(&mut *ear, 2).await.len(), 2, "the whole record, once it listens again");
        client.revoke(&[of_id("after")]).unwrap();
        assert_eq!(hear(&mut *ear, 1).await[0].target, Target::Id("after".into()));
    });
}

#[test]
fn the_session_takes_messages_while_its_ear_is_refused() {
    let Some(server) = server(&[]) else { return };
    server.command(&["ACL", "SETUSER", "mute", "on", "nopass", "~*", "+@all", "resetchannels"]);
    let broker = at(&format!("redis://mute:any@127.0.0.1:{}/0", server.port), "{}");
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut ear = session.ear().unwrap();
        let Said::Deaf(error) = ear.next().await else { panic!("it may not listen") };
        assert!(error.to_string().contains("NOPERM") || error.to_string().contains("refused"), "{error}");
        at(&server.url(), "{}").publish(&[crate::support::to("q", "1")]).unwrap();
        assert_eq!(take(&mut session, 1).await.deliveries.len(), 1);
    });
}

fn to_mailbox(body: &str) -> Publication {
    let message = Message {
        headers: Bytes::from_static(br#"{"clock":1,"expires":0}"#),
        properties: Bytes::from_static(br#"{"content_type":"application/json","content_encoding":"utf-8"}"#),
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    Publication {
        exchange: "celery.pidbox".into(),
        routing_key: String::new(),
        priority: None,
        due: None,
        message,
    }
}

#[test]
fn remote_commands_are_heard_and_answered_in_a_list_that_nobody_has_to_clear() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "{}");
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut ear = session.ear().unwrap();
        broker.revoke(&[of_id("1")]).unwrap();
        hear(&mut *ear, 1).await; // it listens
        broker.publish(&[to_mailbox(r#"{"method":"ping"}"#)]).unwrap();
        let Said::Command(message) = ear.next().await else { panic!("no command") };
        assert_eq!(&message.body[..], br#"{"method":"ping"}"#);
        let (exchange, routing_key) = ("reply.celery.pidbox".to_owned(), "key".to_owned());
        ear.say(Word::Answer { exchange, routing_key, message }).await.unwrap();
        let list = "key.reply.celery.pidbox";
        assert_eq!(server.command(&["LLEN", list]), "1");
        let left: i64 = server.command(&["TTL", list]).parse().unwrap();
        assert!((1..=60).contains(&left), "{left}");
    });
}

#[test]
fn without_a_mailbox_no_command_is_heard() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "{}");
    block_on(async {
        let mute = Subscription { mailbox: None, ..subscription(&["q"]) };
        let mut session = broker.subscribe(mute).await.unwrap();
        let mut ear: Box<dyn Ear> = session.ear().unwrap();
        broker.revoke(&[of_id("1")]).unwrap();
        hear(&mut *ear, 1).await;
        broker.publish(&[to_mailbox(r#"{"method":"ping"}"#)]).unwrap();
        broker.revoke(&[of_id("2")]).unwrap();
        assert_eq!(hear(&mut *ear, 1).await[0].target, Target::Id("2".into()));
    });
}

#[test]
fn what_many_workers_write_into_the_record_is_told_once() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "{}");
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let mut ear = session.ear().unwrap();
        broker.revoke(&[of_id("0")]).unwrap();
        hear(&mut *ear, 1).await;
        for _ in 0..3 {
            ear.say(Word::Keep(vec![of_id("1")])).await.unwrap();
        }
        broker.revoke(&[of_id("2")]).unwrap();
        let heard = hear(&mut *ear, 2).await;
        let targets: Vec<&Target> = heard.iter().map(|one| &one.target).collect();
        assert_eq!(targets, [&Target::Id("1".into()), &Target::Id("2".into())]);
    });
}
