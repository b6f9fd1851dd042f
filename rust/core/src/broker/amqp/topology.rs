//! Exchanges, queues and bindings, as methods. Pure.

use super::wire::call::{self, Declared};
use crate::broker::Queue;
use crate::broker::topology::{ExchangeKind, nameless};
use crate::error::{Error, ErrorKind, Result};

/// Where names begin that are the server's own.
const RESERVED: &str = "amq.";
const SINGLE: &str = "x-single-active-consumer";

/// Writes what makes a queue, its exchange and its binding exist; the number of answers to expect.
///
/// # Errors
/// `Unsupported` for an unknown exchange type, `Encode` or `Config` for a name or arguments that cannot be.
pub(super) fn declare(channel: u16, queue: &Queue, out: &mut Vec<u8>) -> Result<usize> {
    let kind = ExchangeKind::parse(&queue.exchange_type)?;
    check(queue)?;
    if queue.no_declare {
        return look(channel, &queue.name, out);
    }
    if queue.name.is_empty() && queue.exchange.is_empty() {
        return Err(nameless());
    }
    let mut answers = 0;
    let is_theirs = queue.exchange_no_declare || queue.exchange.starts_with(RESERVED);
    if !(queue.exchange.is_empty() || is_theirs) {
        let how = (false, queue.exchange_durable, queue.exchange_auto_delete);
        let arguments = &queue.exchange_arguments;
        call::exchange_declare(channel, &queue.exchange, kind.name(), how, arguments, out)?;
        answers += 1;
    }
    // Without a name the server would invent one: what is meant is the exchange alone.
    if queue.name.is_empty() {
        return Ok(answers);
    }
    let Queue { durable, exclusive, auto_delete, .. } = *queue;
    let how = Declared { passive: false, durable, exclusive, auto_delete };
    call::queue_declare(channel, &queue.name, how, &queue.arguments, out)
        .map_err(|error| not_an_object(queue, error))?;
    answers += 1;
    if !queue.exchange.is_empty() {
        let (key, arguments) = (&queue.routing_key, &queue.binding_arguments);
        call::queue_bind(channel, &queue.name, &queue.exchange, key, arguments, out)?;
        answers += 1;
    }
    Ok(answers)
}

/// Writes the question whether a queue exists, and how many messages wait there.
pub(super) fn look(channel: u16, queue: &str, out: &mut Vec<u8>) -> Result<usize> {
    call::queue_declare(channel, queue, Declared { passive: true, ..Declared::default() }, "", out)?;
    Ok(1)
}

/// Writes what makes a queue exist that is known by its name only.
pub(super) fn make(channel: u16, queue: &str, out: &mut Vec<u8>) -> Result<usize> {
    call::queue_declare(channel, queue, Declared { durable: true, ..Declared::default() }, "", out)?;
    Ok(1)
}

/// Writes the question whether an exchange exists.
pub(super) fn look_for_exchange(channel: u16, exchange: &str, out: &mut Vec<u8>) -> Result<usize> {
    call::exchange_declare(channel, exchange, "direct", (true, false, false), "", out)?;
    Ok(1)
}

fn check(queue: &Queue) -> Result<()> {
    let names = [("queue", &queue.name), ("exchange", &queue.exchange), ("routing_key", &queue.routing_key)];
    match names.into_iter().find(|(_, name)| name.len() > 255) {
        Some((what, name)) => {
            let sentence = "names of queues and exchanges, and routing keys, may have 255 bytes in RabbitMQ";
            Err(Error::new(ErrorKind::Config, sentence).with(what, name))
        }
        None => Ok(()),
    }
}

fn not_an_object(queue: &Queue, error: Error) -> Error {
    Error::new(ErrorKind::Config, "queue arguments must be a JSON object")
        .with("queue", &queue.name)
        .because(error)
}

/// Whether messages that are refused go somewhere by the queue's own arguments.
pub(super) fn has_dead_letter_exchange(queue: &Queue) -> bool {
    argument(queue, "x-dead-letter-exchange").is_some()
}

/// Whether it is replicated.
pub(super) fn is_quorum(queue: &Queue) -> bool {
    argument(queue, "x-queue-type").is_some_and(|kind| kind == "quorum")
}

/// Whether one consumer at a time gets its messages, in their order.
pub(super) fn is_single(queue: &Queue) -> bool {
    argument(queue, SINGLE).is_some_and(|single| single == true)
}

/// Whether a server says so of a queue that it has: the only way to learn of another's declaration.
pub(super) fn says_single(mismatch: &Error) -> bool {
    mismatch.to_string().contains(SINGLE)
}

/// Whether its exchange compares words.
pub(super) fn is_topic(queue: &Queue) -> bool {
    ExchangeKind::parse(&queue.exchange_type).is_ok_and(|kind| kind == ExchangeKind::Topic)
}

fn argument(queue: &Queue, name: &str) -> Option<serde_json::Value> {
    let arguments = serde_json::from_str::<serde_json::Value>(&queue.arguments).ok()?;
    arguments.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_declared_with_its_exchange_and_its_binding() {
        let queue = Queue { exchange: "x".into(), exchange_type: "topic".into(), ..Queue::named("q") };
        for (queue, expected) in [
            (Queue::named("q"), 1),
            (queue.clone(), 3),
            (Queue { exchange: "amq.topic".into(), ..queue.clone() }, 2),
            (Queue { exchange_no_declare: true, ..queue.clone() }, 2),
            (Queue { name: String::new(), ..queue.clone() }, 1),
        ] {
            assert_eq!(declare(1, &queue, &mut Vec::new()).unwrap(), expected);
        }
        for (queue, kind) in [
            (Queue { exchange_type: "headers".into(), ..queue.clone() }, ErrorKind::Unsupported),
            (Queue { arguments: "[]".into(), ..queue.clone() }, ErrorKind::Config),
            (Queue { name: "q".repeat(256), ..queue }, ErrorKind::Config),
        ] {
            assert_eq!(declare(1, &queue, &mut Vec::new()).unwrap_err().kind(), kind);
        }
    }

    #[test]
    fn a_queue_says_whether_it_has_one_consumer_at_a_time() {
        for (arguments, expected) in [
            (r#"{"x-single-active-consumer":true}"#, true),
            (r#"{"x-single-active-consumer":false}"#, false),
            ("{}", false),
            ("", false),
        ] {
            assert_eq!(is_single(&Queue { arguments: arguments.into(), ..Queue::named("q") }), expected);
        }
    }

    #[test]
    fn a_queue_says_where_refused_messages_go() {
        let arguments = r#"{"x-dead-letter-exchange":"","x-dead-letter-routing-key":"failed"}"#.into();
        assert!(has_dead_letter_exchange(&Queue { arguments, ..Queue::named("q") }));
        assert!(!has_dead_letter_exchange(&Queue::named("q")));
    }
}
