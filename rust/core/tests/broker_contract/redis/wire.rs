//! What lies on the server and goes over the wire: as Celery and kombu have it, and no more than is needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastq_core::broker::Queue;
use fastq_core::broker::connect_store;

use super::{at, block_on, server};
use crate::redis_server::Server;
use crate::support::{LIMIT, id_of, ids, record, subscription, take, to, until};

fn commands(server: &Server) -> u64 {
    let info = server.command(&["INFO", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_message_lies_in_its_list_as_kombu_puts_it_there() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    let mut urgent = to("celery", "1");
    urgent.priority = Some(7);
    broker.publish(&[urgent]).unwrap();
    let envelope = server.command(&["LINDEX", "celery\u{6}\u{16}6", "0"]);
    let (before, tag) = envelope.split_once("\"delivery_tag\":\"").unwrap();
    assert_eq!(
        before,
        r#"{"body":"Ym9keSBvZiAx","content-type":"application/json","headers":{"task":"shop.add","id":"1"},"properties":{"delivery_mode":2,"delivery_info":{"exchange":"","routing_key":"celery"},"priority":7,"body_encoding":"base64","#
    );
    assert_eq!(tag.len(), 36 + 3);
}

#[test]
fn a_publish_is_one_command_once_its_queue_is_known() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    broker.publish(&[to("q", "1")]).unwrap();
    let before = commands(&server);
    for number in 0..10 {
        broker.publish(&[to("q", &number.to_string())]).unwrap();
    }
    assert_eq!(commands(&server) - before, 10 + 1, "and the one that asks");
}

#[test]
fn bindings_lie_where_kombu_looks_for_them() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), r#"{"global_keyprefix": "app:"}"#);
    let queue = |name: &str, exchange: &str, kind: &str, key: &str| Queue {
        exchange: exchange.into(),
        exchange_type: kind.into(),
        routing_key: key.into(),
        ..Queue::named(name)
    };
    broker
        .declare(&[queue("celery", "celery", "direct", "celery"), queue("t", "topics", "topic", "a.*")])
        .unwrap();
    assert_eq!(
        server.command(&["SMEMBERS", "app:_kombu.binding.celery"]),
        "celery\u{6}\u{16}\u{6}\u{16}celery"
    );
    assert_eq!(
        server.command(&["SMEMBERS", "app:_kombu.binding.topics"]),
        "a.*\u{6}\u{16}^a\\.[^\\.]+$\u{6}\u{16}t"
    );
    // A direct exchange that only Celery has declared is known by its bindings.
    server.command(&["SADD", "app:_kombu.binding.theirs", "key\u{6}\u{16}\u{6}\u{16}mine"]);
    let mut publication = to("key", "1");
    publication.exchange = "theirs".into();
    broker.publish(&[publication]).unwrap();
    assert_eq!(server.command(&["LLEN", "app:mine"]), "1");
}

#[test]
fn a_result_lies_under_celerys_key_for_as_long_as_it_should() {
    let Some(server) = server(&[]) else { return };
    let store = connect_store(&server.url(), r#"{"global_keyprefix": "shop"}"#).unwrap();
    store.save(&[record("1", "SUCCESS")], Some(Duration::from_secs(60))).unwrap();
    store.save(&[record("2", "FAILURE"), record("3", "SUCCESS")], None).unwrap();
    assert_eq!(server.command(&["GET", "shop_celery-task-meta-1"]), r#"{"status":"SUCCESS"}"#);
    let left: i64 = server.command(&["TTL", "shop_celery-task-meta-1"]).parse().unwrap();
    assert!((58..=60).contains(&left), "{left}");
    for id in ["2", "3"] {
        assert_eq!(server.command(&["TTL", &format!("shop_celery-task-meta-{id}")]), "-1");
    }
    // What Celery has written is read by its status.
    server.command(&[
        "SET",
        "shop_celery-task-meta-4",
        r#"{"status": "PROGRESS", "result": {"status": "SUCCESS"}}"#,
    ]);
    let found = store.load(&["4".into()]).unwrap().remove(0).unwrap();
    assert_eq!((found.state.as_str(), found.content_type.as_str()), ("PROGRESS", "application/json"));
}

#[test]
fn any_number_of_threads_wait_over_one_connection_even_when_it_breaks() {
    let Some(server) = server(&[]) else { return };
    let store = connect_store(&server.url(), r#"{"max_connections": 1}"#).unwrap();
    let channels = || server.command(&["PUBSUB", "CHANNELS"]).lines().count();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..20)
            .map(|number| {
                let store = Arc::clone(&store);
                scope.spawn(move || store.wait(&[number.to_string()], LIMIT).unwrap())
            })
            .collect();
        until("all listen", || channels() == 20);
        let clients = server.command(&["CLIENT", "LIST"]);
        assert_eq!(
            clients.lines().count(),
            3,
            "one listens, one asks, and the one that is asked here: {clients}"
        );
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        for number in 0..10 {
            store.save(&[record(&number.to_string(), "SUCCESS")], None).unwrap();
        }
        until("the others listen again", || channels() == 10);
        for number in 10..20 {
            store.save(&[record(&number.to_string(), "SUCCESS")], None).unwrap();
        }
        for (number, waiter) in waiters.into_iter().enumerate() {
            assert_eq!(waiter.join().unwrap(), [record(&number.to_string(), "SUCCESS")]);
        }
    });
    until("nothing is listened for any more", || channels() == 0);
}

#[test]
fn what_is_no_message_is_delivered_without_headers_and_protocol_1_as_protocol_2() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    server.command(&["LPUSH", "q", "garbage"]);
    // {"task": "old", "id": "7", "args": [1], "kwargs": {}}
    let body = "eyJ0YXNrIjogIm9sZCIsICJpZCI6ICI3IiwgImFyZ3MiOiBbMV0sICJrd2FyZ3MiOiB7fX0=";
    let old = format!(
        r#"{{"body": "{body}", "headers": {{}}, "properties": {{"body_encoding": "base64", "delivery_tag": "x"}}}}"#
    );
    server.command(&["LPUSH", "q", &old]);
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        let harvest = take(&mut session, 5).await;
        assert_eq!(&harvest.deliveries[0].message.body[..], b"garbage");
        assert!(harvest.deliveries[0].message.headers.is_empty());
        assert_eq!(id_of(&harvest.deliveries[1]), "7");
        assert!(harvest.deliveries[1].message.body.starts_with(b"[[1],{},"));
    });
}

#[test]
fn an_idle_worker_asks_the_server_next_to_nothing() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "");
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        take(&mut session, 2).await;
        // Until it waits for each of the four lists: opening a connection takes some commands, once.
        while !server.command(&["INFO", "clients"]).contains("blocked_clients:4") {
            let _ = tokio::time::timeout(Duration::from_millis(100), session.arrival()).await;
        }
        let (before, began) = (commands(&server), Instant::now());
        for _ in 0..6 {
            let _ = tokio::time::timeout(session.renew_every(), session.arrival()).await;
            session.renew().await.unwrap();
        }
        let each = (commands(&server) - before - 1) as f64 / began.elapsed().as_secs_f64();
        assert!(each < 2.0, "{each} commands a second");
    });
}

#[test]
fn an_idle_worker_of_many_queues_takes_from_each_of_them() {
    let Some(server) = server(&[]) else { return };
    let broker = at(&server.url(), "{}");
    let names: Vec<String> = (0..20).map(|number| format!("q{number}")).collect();
    let queues: Vec<&str> = names.iter().map(String::as_str).collect();
    block_on(async {
        let mut session = broker.subscribe(subscription(&queues)).await.unwrap();
        // Those at the end have no waiter of their own.
        for name in ["q4", "q19"] {
            while session.exchange(&mut Vec::new(), 1).await.unwrap().more {}
            broker.publish(&[to(name, name)]).unwrap();
            let harvest = loop {
                // As a consumer does, which is called away to renew its lease, and looks when something has come.
                if tokio::time::timeout(Duration::from_millis(300), session.arrival()).await.is_err() {
                    session.renew().await.unwrap();
                    continue;
                }
                let harvest = session.exchange(&mut Vec::new(), 1).await.unwrap();
                if !harvest.deliveries.is_empty() {
                    break harvest;
                }
            };
            assert_eq!(ids(&harvest), [name]);
        }
    });
}
