//! Where publications go: bindings as kombu keeps them, remembered for a while.
//!
//! kombu knows an exchange's type from the program and does not store it; we do, in a hash of our own. An exchange that
//! only Celery has declared is taken for what its bindings look like.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use redis::Value;

use super::config::RedisConfig;
use super::wire::{Batch, Replies, array, bytes, string};
use crate::broker::topology::{ExchangeKind, matching, unroutable};
use crate::broker::{Publication, Queue};
use crate::error::Result;

/// How long bindings are believed without asking again.
const BELIEVED: Duration = Duration::from_secs(5);

/// What is known of exchanges and queues.
#[derive(Default)]
pub(super) struct Routes {
    exchanges: HashMap<String, Exchange>,
    /// Queues that stand in the hash of queues already.
    registered: HashSet<String>,
}

struct Exchange {
    kind: ExchangeKind,
    bindings: Vec<(String, String)>,
    asked: Instant,
}

/// Where a publication goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into the lists of these queues.
    Queues(Vec<String>),
    /// To whoever listens on this channel.
    Channel(String),
}

impl Routes {
    /// The exchanges of some publications that must be asked for first.
    pub(super) fn unknown<'a>(&self, publications: impl Iterator<Item = &'a Publication>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for publication in publications {
            let name = &publication.exchange;
            let is_known = name.is_empty()
                || self.exchanges.get(name).is_some_and(|known| known.asked.elapsed() < BELIEVED);
            if !is_known && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The question for exchanges.
    pub(super) fn question(config: &RedisConfig, exchanges: &[String]) -> Batch {
        let mut batch = Batch::new();
        for name in exchanges {
            batch.add(&[b"SMEMBERS", config.keys.bindings(name).as_bytes()]);
            batch.add(&[b"HGET", config.keys.key("fastq:exchanges").as_bytes(), name.as_bytes()]);
        }
        batch
    }

    /// Takes in the answer to the [`Routes::question`].
    pub(super) fn learn(
        &mut self,
        config: &RedisConfig,
        exchanges: &[String],
        replies: &mut Replies,
    ) -> Result<()> {
        for name in exchanges {
            let (members, kind) = (replies.next()?, replies.bytes()?);
            let members = array(members)?;
            let exchange = Exchange::read(config, name, members, kind)?;
            match exchange {
                Some(exchange) => drop(self.exchanges.insert(name.clone(), exchange)),
                None => drop(self.exchanges.remove(name)),
            }
        }
        Ok(())
    }

    /// Forgets an exchange, because it is about to change.
    pub(super) fn forget(&mut self, exchange: &str) {
        self.exchanges.remove(exchange);
    }

    /// Where a publication goes.
    ///
    /// # Errors
    /// `NotFound` when it would reach no queue.
    pub(super) fn target(&self, config: &RedisConfig, publication: &Publication) -> Result<Target> {
        let (exchange, key) = (&publication.exchange, &publication.routing_key);
        if exchange.is_empty() {
            return Ok(Target::Queues(vec![key.clone()]));
        }
        let Some(known) = self.exchanges.get(exchange) else { return Err(unroutable(exchange, key)) };
        if known.kind == ExchangeKind::Fanout {
            return Ok(Target::Channel(channel(config, exchange, key)));
        }
        let bindings = known.bindings.iter().map(|(key, queue)| (key.as_str(), queue.as_str()));
        matching(known.kind, bindings, exchange, key).map(Target::Queues)
    }

    /// Whether a queue is used for the first time over this connection; then it is written down that it exists.
    pub(super) fn is_new(&mut self, queue: &str) -> bool {
        !self.registered.contains(queue) && self.registered.insert(queue.to_owned())
    }

    /// Believes nothing any more: the server may be another one.
    pub(super) fn clear(&mut self) {
        self.exchanges.clear();
        self.registered.clear();
    }
}

impl Exchange {
    fn read(
        config: &RedisConfig,
        name: &str,
        members: Vec<Value>,
        kind: Option<Vec<u8>>,
    ) -> Result<Option<Self>> {
        let mut bindings = Vec::new();
        let mut has_pattern = false;
        for member in members {
            let member = string(member)?;
            let mut parts = member.splitn(3, config.keys.separator());
            let (Some(key), Some(pattern), Some(queue)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            has_pattern |= !pattern.is_empty();
            bindings.push((key.to_owned(), queue.to_owned()));
        }
        let kind = match kind {
            Some(kind) => ExchangeKind::parse(&String::from_utf8_lossy(&kind))?,
            None if is_fanout(name) => ExchangeKind::Fanout,
            None if bindings.is_empty() => return Ok(None),
            None if has_pattern => ExchangeKind::Topic,
            None => ExchangeKind::Direct,
        };
        Ok(Some(Self { kind, bindings, asked: Instant::now() }))
    }
}

/// Whether an exchange is fanout in every Celery program on Redis: that of events, and those of remote commands, whatever
/// `control_exchange` calls them. The exchanges of answers are not.
fn is_fanout(name: &str) -> bool {
    name == "celeryev" || (name.ends_with(".pidbox") && !name.starts_with("reply."))
}

/// The channel of a fanout exchange (kombu-layouts.md §2.4).
pub(super) fn channel(config: &RedisConfig, exchange: &str, routing_key: &str) -> String {
    let name = if config.fanout.patterns && !routing_key.is_empty() {
        format!("{}{exchange}/{routing_key}", config.fanout.prefix)
    } else {
        format!("{}{exchange}", config.fanout.prefix)
    };
    config.keys.key(&name)
}

/// The pattern under which a queue of a fanout exchange listens.
pub(super) fn listening(config: &RedisConfig, queue: &Queue) -> String {
    channel(config, &queue.exchange, &queue.routing_key.replace('#', "*"))
}

/// The member of a binding set, as kombu writes it: key, pattern of a topic, queue.
pub(super) fn binding(config: &RedisConfig, queue: &Queue, kind: ExchangeKind) -> String {
    let separator = config.keys.separator();
    let pattern = if kind == ExchangeKind::Topic { regex(&queue.routing_key) } else { String::new() };
    format!("{}{separator}{pattern}{separator}{}", queue.routing_key, queue.name)
}

/// A topic's key as the regular expression that kombu matches with.
fn regex(key: &str) -> String {
    let mut pattern = String::from("^");
    for (position, word) in key.split('.').enumerate() {
        if position > 0 {
            pattern.push_str("\\.");
        }
        match word {
            "*" => pattern.push_str("[^\\.]+"),
            "#" => pattern.push_str(".*?"),
            word => pattern.extend(word.chars().flat_map(|character| {
                let is_plain = character.is_alphanumeric() || matches!(character, '#' | '*');
                (!is_plain).then_some('\\').into_iter().chain([character])
            })),
        }
    }
    pattern.push('$');
    pattern
}

/// What is declared about queues: their bindings, and that they exist. The answer to [`declared`] goes in.
pub(super) fn declare(config: &RedisConfig, queues: &[Queue], mut known: Replies) -> Result<Batch> {
    use crate::broker::topology::{nameless, other_kind, same_arguments};
    let (register, exchanges) = (config.keys.key("fastq:queues"), config.keys.key("fastq:exchanges"));
    let mut batch = Batch::new();
    batch.add(&[b"MULTI"]);
    let mut declared: HashMap<&str, ExchangeKind> = HashMap::new();
    for queue in queues.iter().filter(|queue| !queue.no_declare) {
        if queue.name.is_empty() && queue.exchange.is_empty() {
            return Err(nameless());
        }
        let (arguments, existing) = (known.next()?, known.next()?);
        let arguments = bytes(arguments)?.map(|text| String::from_utf8_lossy(&text).into_owned());
        same_arguments(&queue.name, arguments.as_deref().filter(|text| !text.is_empty()), &queue.arguments)?;
        if !queue.name.is_empty() {
            let wanted = if queue.arguments.is_empty() { "{}" } else { &queue.arguments };
            batch.add(&[b"HSET", register.as_bytes(), queue.name.as_bytes(), wanted.as_bytes()]);
        }
        let kind = ExchangeKind::parse(&queue.exchange_type)?;
        if queue.exchange.is_empty() {
            continue;
        }
        let existing =
            bytes(existing)?.map(|name| ExchangeKind::parse(&String::from_utf8_lossy(&name))).transpose()?;
        if let Some(existing) = existing.or_else(|| declared.get(queue.exchange.as_str()).copied())
            && existing != kind
        {
            return Err(other_kind(&queue.exchange, existing, kind));
        }
        declared.insert(&queue.exchange, kind);
        batch.add(&[b"HSET", exchanges.as_bytes(), queue.exchange.as_bytes(), kind.name().as_bytes()]);
        if !queue.name.is_empty() {
            bind(config, queue, kind, &mut batch);
        }
    }
    batch.add(&[b"EXEC"]);
    Ok(batch)
}

fn bind(config: &RedisConfig, queue: &Queue, kind: ExchangeKind, batch: &mut Batch) {
    let binding = binding(config, queue, kind);
    let permanent = config.keys.key(&format!("_kombu.binding_permanent.{}", queue.exchange));
    for set in [config.keys.bindings(&queue.exchange), permanent] {
        batch.add(&[b"SADD", set.as_bytes(), binding.as_bytes()]);
    }
}

/// What is known of queues that are to be declared.
pub(super) fn declared(config: &RedisConfig, queues: &[Queue]) -> Batch {
    let (register, exchanges) = (config.keys.key("fastq:queues"), config.keys.key("fastq:exchanges"));
    let mut batch = Batch::new();
    for queue in queues.iter().filter(|queue| !queue.no_declare) {
        batch.add(&[b"HGET", register.as_bytes(), queue.name.as_bytes()]);
        batch.add(&[b"HGET", exchanges.as_bytes(), queue.exchange.as_bytes()]);
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_key_becomes_the_regular_expression_of_kombu() {
        for (key, expected) in [
            ("a.*.c", r"^a\.[^\.]+\.c$"),
            ("#", "^.*?$"),
            ("task-x.#", r"^task\-x\..*?$"),
            ("a_b.é", r"^a\_b\.é$"),
        ] {
            assert_eq!(regex(key), expected);
        }
    }
}
