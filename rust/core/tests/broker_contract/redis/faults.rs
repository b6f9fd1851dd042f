//! A server that refuses, each in its own way, and errors that say so.

use std::net::TcpListener;

use fastq_core::error::ErrorKind;

use super::{at, block_on, server};
use crate::redis_server::Server;
use crate::support::{subscription, to};

fn refusal(url: &str) -> (ErrorKind, bool, String) {
    let error = at(url, r#"{"publish_timeout": 1}"#).publish(&[to("q", "1")]).unwrap_err();
    (error.kind(), error.is_temporary(), error.to_string())
}

/// A session fails in the same way.
fn check_session(url: &str, kind: ErrorKind) {
    block_on(async {
        let broker = at(url, r#"{"answer_timeout": 1}"#);
        let error = broker.subscribe(subscription(&["q"])).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{error}");
    });
}

#[test]
fn nobody_listens() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("redis://127.0.0.1:{port}");
    let (kind, temporary, text) = refusal(&url);
    assert_eq!((kind, temporary), (ErrorKind::Unreachable, true), "{text}");
    assert!(text.contains("no Redis server listens") && text.contains(&url), "{text}");
    check_session(&url, ErrorKind::Unreachable);
}

#[test]
fn a_password_is_missing_or_wrong() {
    let Some(server) = server(&["--requirepass", "open sesame"]) else { return };
    for (login, hint) in [
        ("", "wants a password"),
        (":wrong@", "refused user name or password"),
        ("me:wrong@", "refused user"),
    ] {
        let url = format!("redis://{login}127.0.0.1:{}", server.port);
        let (kind, temporary, text) = refusal(&url);
        assert_eq!((kind, temporary), (ErrorKind::Denied, false), "{text}");
        assert!(text.contains(hint) && !text.contains("wrong@"), "{text}");
        check_session(&url, ErrorKind::Denied);
    }
    let broker = at(&format!("redis://:open%20sesame@127.0.0.1:{}", server.port), "");
    broker.publish(&[to("q", "1")]).unwrap();
}

#[test]
fn a_user_may_not_do_it() {
    let Some(server) = server(&["--user", "me", "on", ">pw", "~other*", "&*", "+@all"]) else { return };
    let (kind, temporary, text) = refusal(&format!("redis://me:pw@127.0.0.1:{}", server.port));
    assert_eq!((kind, temporary), (ErrorKind::Denied, false), "{text}");
}

#[test]
fn memory_is_full() {
    let Some(server) = server(&["--maxmemory", "1"]) else { return };
    let (kind, temporary, text) = refusal(&server.url());
    assert_eq!((kind, temporary), (ErrorKind::Busy, true), "{text}");
    assert!(text.contains("out of memory"), "{text}");
    check_session(&server.url(), ErrorKind::Busy);
}

#[test]
fn it_is_a_replica() {
    let (Some(master), Some(replica)) = (server(&[]), server(&[])) else { return };
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
    let (kind, temporary, text) = refusal(&replica.url());
    assert_eq!((kind, temporary), (ErrorKind::Busy, true), "{text}");
    assert!(text.contains("replica"), "{text}");
}

#[test]
fn it_has_too_many_clients() {
    let Some(server) = server(&["--maxclients", "4"]) else { return };
    let crowd: Vec<_> =
        (0..8).filter_map(|_| std::net::TcpStream::connect(("127.0.0.1", server.port)).ok()).collect();
    let (kind, temporary, text) = refusal(&server.tcp_url());
    assert!(temporary, "{text}");
    assert!(kind == ErrorKind::Busy && text.contains("maxclients"), "{text}");
    drop(crowd);
}

#[test]
fn the_key_of_a_queue_holds_something_else() {
    let Some(server) = server(&[]) else { return };
    server.command(&["SET", "q", "text"]);
    let (kind, temporary, text) = refusal(&server.url());
    assert_eq!((kind, temporary), (ErrorKind::Mismatch, false), "{text}");
}

#[test]
fn there_is_no_such_database() {
    let Some(server) = server(&[]) else { return };
    let (kind, _, text) = refusal(&format!("redis://127.0.0.1:{}/99", server.port));
    assert_eq!(kind, ErrorKind::Config, "{text}");
}

#[test]
fn what_answers_is_no_redis_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = std::io::Write::write_all(&mut &stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let (kind, _, text) = refusal(&format!("redis://127.0.0.1:{port}"));
    assert_eq!(kind, ErrorKind::Unreachable, "{text}");
}

#[test]
fn sentinels_lead_to_the_master() {
    let Some(master) = server(&[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = folder.path().join("sentinel.conf");
    std::fs::write(
        &settings,
        format!("port {port}\nsentinel monitor mymaster 127.0.0.1 {} 1\n", master.port),
    )
    .unwrap();
    let mut sentinel = std::process::Command::new("redis-server")
        .arg(&settings)
        .args(["--sentinel"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("sentinel://127.0.0.1:{dead};sentinel://127.0.0.1:{port}/0");
    let broker = at(&url, r#"{"master_name": "mymaster"}"#);
    crate::support::until("the sentinel answers", || broker.publish(&[to("q", "1")]).is_ok());
    block_on(async {
        let mut session = broker.subscribe(subscription(&["q"])).await.unwrap();
        assert!(!crate::support::take(&mut session, 5).await.deliveries.is_empty());
    });
    let (kind, temporary, text) = {
        let error = at(&url, r#"{"master_name": "other"}"#).publish(&[to("q", "1")]).unwrap_err();
        (error.kind(), error.is_temporary(), error.to_string())
    };
    assert_eq!((kind, temporary), (ErrorKind::Unreachable, true), "{text}");
    sentinel.kill().unwrap();
    sentinel.wait().unwrap();
    drop::<Server>(master);
}
