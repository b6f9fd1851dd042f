//! Messages that wait for their time in RabbitMQ: the exchanges and queues of Celery's native delayed delivery
//! (kombu-layouts.md §3.5). Pure.
//!
//! A message of *n* seconds goes through one queue for each bit of *n* that is set, whose messages expire after so many
//! seconds into the next exchange. The last exchange, `celery_delayed_delivery`, leads to the queue.
//!
//! Celery binds there the exchange of each queue, which must be of type topic to find its key behind the bits. Here each
//! queue is bound itself, by exactly 28 words and its name, so that a queue of a direct exchange is reached, too, and no
//! other one whose name ends alike.

use serde_json::json;

use super::wire::call::{self, Declared};
use crate::broker::Queue;
use crate::broker::topology::ExchangeKind;
use crate::error::Result;

/// Bits of a delay in seconds.
const LEVELS: usize = 28;
/// Eight and a half years.
const LONGEST: u64 = (1 << LEVELS) - 1;
/// The exchange where delays end.
pub(super) const DELIVERY: &str = "celery_delayed_delivery";

/// Where a message goes that is to wait so many whole seconds, at least one, for the queue or key `routing_key`.
pub(super) fn address(seconds: u64, routing_key: &str) -> (String, String) {
    let seconds = seconds.min(LONGEST);
    let mut key = String::with_capacity(2 * LEVELS + routing_key.len());
    for level in (0..LEVELS).rev() {
        key.push(if seconds & (1 << level) == 0 { '0' } else { '1' });
        key.push('.');
    }
    key.push_str(stripped(routing_key));
    (name(LEVELS - 1), key)
}

/// A routing key without the bits of a delay.
pub(super) fn stripped(routing_key: &str) -> &str {
    let bytes = routing_key.as_bytes();
    let bits = bytes.get(..2 * LEVELS);
    let is_delayed = bits.is_some_and(|bits| {
        bits.chunks_exact(2).all(|pair| matches!(pair[0], b'0' | b'1') && pair[1] == b'.')
    });
    if is_delayed { &routing_key[2 * LEVELS..] } else { routing_key }
}

/// Whether this is an exchange on a message's way through a delay.
pub(super) fn is_ours(exchange: &str) -> bool {
    exchange.starts_with("celery_delayed_")
}

fn name(level: usize) -> String {
    format!("celery_delayed_{level}")
}

/// Writes what makes all of it exist; the number of answers to expect.
pub(super) fn declare(channel: u16, queue_type: &str, out: &mut Vec<u8>) -> Result<usize> {
    let mut answers = 0;
    for level in (0..LEVELS).rev() {
        let (name, next) = (name(level), level.checked_sub(1).map_or_else(|| DELIVERY.to_owned(), name));
        call::exchange_declare(channel, &name, "topic", (false, true, false), "", out)?;
        call::exchange_declare(channel, &next, "topic", (false, true, false), "", out)?;
        let mut arguments = json!({
            "x-queue-type": queue_type,
            "x-overflow": "reject-publish",
            "x-message-ttl": 1000_u64 << level,
            "x-dead-letter-exchange": next,
        });
        if queue_type == "quorum" {
            arguments["x-dead-letter-strategy"] = "at-least-once".into();
        }
        let how = Declared { durable: true, ..Declared::default() };
        call::queue_declare(channel, &name, how, &arguments.to_string(), out)?;
        let passed = "*.".repeat(LEVELS - 1 - level);
        call::queue_bind(channel, &name, &name, &format!("{passed}1.#"), "", out)?;
        call::exchange_bind(channel, &next, &name, &format!("{passed}0.#"), out);
        answers += 5;
    }
    Ok(answers)
}

/// Writes what leads messages from the end of their delay to a queue; the number of answers to expect.
///
/// # Errors
/// As [`ExchangeKind::parse`].
pub(super) fn bind(channel: u16, queue: &Queue, out: &mut Vec<u8>) -> Result<usize> {
    call::queue_bind(channel, &queue.name, DELIVERY, &bound(&queue.name), "", out)?;
    if ExchangeKind::parse(&queue.exchange_type)? == ExchangeKind::Direct || queue.exchange.is_empty() {
        return Ok(1);
    }
    // For those who publish as Celery does: through the queue's own exchange.
    let key = match queue.routing_key.as_str() {
        key if key.starts_with('#') => key.to_owned(),
        key => format!("#.{key}"),
    };
    call::exchange_bind(channel, &queue.exchange, DELIVERY, &key, out);
    call::queue_bind(channel, &queue.name, &queue.exchange, &key, "", out)?;
    Ok(3)
}

fn bound(queue: &str) -> String {
    format!("{}{queue}", "*.".repeat(LEVELS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_written_bit_by_bit_before_the_key() {
        let (exchange, key) = address(5, "celery");
        assert_eq!(exchange, "celery_delayed_27");
        assert_eq!(key, format!("{}1.0.1.celery", "0.".repeat(25)));
        assert_eq!(stripped(&key), "celery");
        assert_eq!(address(1, &key).1, format!("{}1.celery", "0.".repeat(27)));
        assert!(address(u64::MAX, "q").1.starts_with(&"1.".repeat(28)));
    }

    #[test]
    fn only_28_bits_are_taken_away() {
        for key in ["", "celery", "0.1.celery", &format!("{}2.q", "0.".repeat(27)), "é.é"] {
            assert_eq!(stripped(key), key);
        }
    }

    #[test]
    fn the_binding_of_a_queue_matches_its_own_name_and_no_longer_one() {
        let (_, key) = address(9, "b");
        assert!(ExchangeKind::Topic.matches(&bound("b"), &key));
        assert!(!ExchangeKind::Topic.matches(&bound("b"), &address(9, "a.b").1));
        assert!(ExchangeKind::Topic.matches(&bound("a.b"), &address(9, "a.b").1));
    }

    #[test]
    fn every_level_is_declared_as_celery_declares_it() {
        let mut out = Vec::new();
        assert_eq!(declare(1, "quorum", &mut out).unwrap(), 140);
        for part in ["celery_delayed_0", "celery_delayed_27", "x-dead-letter-strategy", "reject-publish"] {
            assert!(memchr::memmem::find(&out, part.as_bytes()).is_some(), "{part}");
        }
        let mut classic = Vec::new();
        declare(1, "classic", &mut classic).unwrap();
        assert!(memchr::memmem::find(&classic, b"x-dead-letter-strategy").is_none());
    }
}
