use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use fastq_core::broker::Broker;
use fastq_core::broker::amqp::{AmqpBroker, AmqpConfig};
use fastq_core::clock::Clock;
use fastq_core::error::ErrorKind;

use super::Host;
use crate::support::to;

fn at(url: &str, options: &str) -> AmqpBroker {
    AmqpBroker::new(AmqpConfig::at(url, options).unwrap(), Clock::system())
}

#[test]
fn a_wrong_password_and_a_strange_virtual_host_are_denied_and_say_what_to_do() {
    let Some(host) = Host::new() else { return };
    for (url, kind, hint) in [
        (host.url.replace("guest:guest", "guest:hunter2"), ErrorKind::Denied, "user name or password"),
        (host.url.replace(&host.name, "nowhere"), ErrorKind::NotFound, "no virtual host"),
    ] {
        for method in ["PLAIN", "AMQPLAIN"] {
            let broker = at(&url, &format!(r#"{{"login_method": "{method}"}}"#));
            let error = broker.publish(&[to("q", "1")]).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(hint), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn every_login_method_and_a_small_frame_serve() {
    let Some(host) = Host::new() else { return };
    for options in
        [r#"{"login_method": "AMQPLAIN"}"#, r#"{"frame_max": 8192}"#, r#"{"confirm_publish": false}"#]
    {
        let broker = at(&host.url, options);
        broker.declare(&[fastq_core::broker::Queue::named("q")]).unwrap();
        let mut publication = to("q", "1");
        publication.message.body = vec![7; 100_000].into();
        broker.publish(&[publication]).unwrap();
        crate::support::until("the message is there", || broker.depths().unwrap()[0].ready == 1);
        assert_eq!(broker.purge("q").unwrap(), 1);
    }
}

#[test]
fn of_several_servers_the_one_that_answers_is_used() {
    let Some(host) = Host::new() else { return };
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("amqp://{deaf};{}", host.url);
    for strategy in ["round-robin", "shuffle"] {
        let broker = at(&url, &format!(r#"{{"failover_strategy": "{strategy}"}}"#));
        broker.publish(&[to("q", strategy)]).unwrap();
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_past_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}", silent.local_addr().unwrap());
    let broker = at(&url, r#"{"publish_timeout": 0.2}"#);
    let began = Instant::now();
    let error = broker.publish(&[to("q", "1")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_server_of_another_protocol_is_told_apart() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://{}", other.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 8]);
        stream.write_all(b"AMQP\x03\x01\x00\x00").unwrap();
        let _ = stream.read(&mut [0; 8]);
    });
    let error = at(&url, "").publish(&[to("q", "1")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    server.join().unwrap();
}

#[test]
fn a_connection_that_was_closed_while_idle_is_replaced_unseen() {
    let Some(host) = Host::new() else { return };
    let broker = host.broker("");
    broker.publish(&[to("q", "1")]).unwrap();
    host.hang_up();
    broker.publish(&[to("q", "2")]).unwrap();
    assert_eq!(broker.depths().unwrap()[0].ready, 2);
}

#[test]
fn a_queue_that_is_full_and_refuses_is_busy() {
    let Some(host) = Host::new() else { return };
    let broker = host.broker("");
    let arguments = r#"{"x-max-length":1,"x-overflow":"reject-publish"}"#.into();
    broker
        .declare(&[fastq_core::broker::Queue { arguments, ..fastq_core::broker::Queue::named("q") }])
        .unwrap();
    broker.publish(&[to("q", "1")]).unwrap();
    let error = broker.publish(&[to("q", "2")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!(broker.depths().unwrap()[0].ready, 1);
}
