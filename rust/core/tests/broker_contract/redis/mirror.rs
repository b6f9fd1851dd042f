//! Records as kombu keeps them, beside ours.

use std::time::Duration;

use fastq_core::job::ending::Verdict;
use serde_json::{Value, json};

use crate::redis_server::{Server, is_installed};
use crate::support::{Subject, ids, redis_with, run, settle, take, to};

fn mirroring() -> Option<Subject> {
    is_installed().then(|| redis_with(r#"{"in_flight": "kombu"}"#))
}

fn tags(server: &Server) -> Vec<String> {
    server.command(&["ZRANGE", "unacked_index", "0", "-1"]).lines().map(str::to_owned).collect()
}

#[test]
fn what_is_held_lies_in_kombus_records_too_and_leaves_them_when_it_is_settled() {
    let Some(subject) = mirroring() else { return };
    run(subject, |subject| async move {
        let server = subject.server.as_ref().unwrap();
        subject.broker.publish(&[to("q", "1"), to("q", "2"), to("q", "3")]).unwrap();
        let mut session = subject.session(&["q"]).await;
        let mut harvest = take(&mut session, 2).await;
        assert_eq!(ids(&harvest), ["1", "2"]);
        for tag in tags(server) {
            let entry: Value = serde_json::from_str(&server.command(&["HGET", "unacked", &tag])).unwrap();
            assert_eq!(entry[0]["properties"]["delivery_tag"], tag);
            assert_eq!((&entry[1], &entry[2]), (&json!(""), &json!("q")));
            assert_eq!(server.command(&["ZSCORE", "unacked_index", &tag]), "1800000000");
        }
        assert_eq!(tags(server).len(), 2);
        settle(&mut session, harvest.deliveries.remove(0), Verdict::Ack).await;
        assert_eq!((tags(server).len(), server.command(&["HLEN", "unacked"])), (1, "1".to_owned()));
        session.close().await.unwrap();
        assert_eq!(server.command(&["EXISTS", "unacked", "unacked_index"]), "0");
        assert_eq!((subject.depth("q").ready, subject.depth("q").in_flight), (2, 0));
        assert_eq!(server.command(&["KEYS", "fastq:m:*"]), "");
    });
}

#[test]
fn a_worker_that_lives_makes_its_records_young_again() {
    let Some(subject) = mirroring() else { return };
    run(subject, |subject| async move {
        let server = subject.server.as_ref().unwrap();
        subject.broker.publish(&[to("q", "1")]).unwrap();
        let mut session = subject.session(&["q"]).await;
        let _harvest = take(&mut session, 1).await;
        subject.clock.advance(Duration::from_secs(5));
        session.renew().await.unwrap();
        assert_eq!(server.command(&["ZSCORE", "unacked_index", &tags(server)[0]]), "1800000005");
    });
}

#[test]
fn what_celery_has_put_back_is_not_put_back_once_more() {
    let Some(subject) = mirroring() else { return };
    run(subject, |subject| async move {
        let server = subject.server.as_ref().unwrap();
        subject.broker.publish(&[to("q", "1"), to("q", "2")]).unwrap();
        let mut first = subject.session(&["q"]).await;
        let harvest = take(&mut first, 2).await;
        assert_eq!(harvest.deliveries.len(), 2);
        // As kombu restores: the record goes, the message is in front of its queue again.
        let entry = |tag: &str| server.command(&["HGET", "unacked", tag]);
        let tag = tags(server).into_iter().find(|tag| entry(tag).contains(r#""id":"1""#)).unwrap();
        let record: Value = serde_json::from_str(&entry(&tag)).unwrap();
        server.command(&["HDEL", "unacked", &tag]);
        server.command(&["ZREM", "unacked_index", &tag]);
        server.command(&["RPUSH", "q", &record[0].to_string()]);
        subject.clock.advance(Duration::from_secs(11));
        let mut second = subject.session(&["q"]).await;
        subject.clock.advance(Duration::from_secs(11));
        second.renew().await.unwrap();
        let mut again = ids(&take(&mut second, 5).await);
        again.sort();
        assert_eq!(again, ["1", "2"]);
        second.close().await.unwrap();
        assert_eq!(server.command(&["EXISTS", "unacked", "unacked_index"]), "0");
    });
}
