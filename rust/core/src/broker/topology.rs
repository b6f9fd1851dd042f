//! Exchanges, queues and bindings: which queues a routing key leads to.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};

/// A queue, and how it is bound: a queue with several bindings is several of these, with one name. Without a name it is an
/// exchange alone, which [`super::Broker::declare`] makes exist.
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own in AMQP")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The exchange it is bound to; empty: reached by its name only.
    pub exchange: String,
    /// `direct`, `topic` or `fanout`.
    pub exchange_type: String,
    /// The binding's key.
    pub routing_key: String,
    /// It outlives the broker's restart.
    pub durable: bool,
    /// It goes with its last consumer.
    pub auto_delete: bool,
    /// Only the connection that declares it may use it, and it goes with that connection (AMQP).
    pub exclusive: bool,
    /// It exists already, and so do its exchange and binding: nothing is declared.
    pub no_declare: bool,
    /// Queue arguments: a JSON object.
    pub arguments: String,
    /// The exchange outlives the broker's restart.
    pub exchange_durable: bool,
    /// The exchange goes with its last binding.
    pub exchange_auto_delete: bool,
    /// The exchange exists already, or is the broker's own: it is not declared.
    pub exchange_no_declare: bool,
    /// Arguments of the exchange, such as `alternate-exchange`: a JSON object.
    pub exchange_arguments: String,
    /// Arguments of the binding: a JSON object.
    pub binding_arguments: String,
    /// Arguments of whoever takes from it, such as `x-priority`: a JSON object.
    pub consumer_arguments: String,
}

impl Queue {
    /// A durable queue reached by its name.
    pub fn named(name: impl Into<String>) -> Self {
        let nothing = || "{}".to_owned();
        Self {
            name: name.into(),
            exchange_type: "direct".into(),
            durable: true,
            exchange_durable: true,
            arguments: nothing(),
            exchange_arguments: nothing(),
            binding_arguments: nothing(),
            consumer_arguments: nothing(),
            ..Self::default()
        }
    }
}

/// How an exchange compares a routing key with its bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// The key is the binding's key.
    Direct,
    /// The binding's key is a pattern of words between dots: `*` is one word, `#` any number of them.
    Topic,
    /// Every binding matches.
    Fanout,
}

impl ExchangeKind {
    /// Reads the name of an exchange type; the empty name is `direct`.
    ///
    /// # Errors
    /// `Unsupported` for any other type, such as `headers`.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "" | "direct" => Ok(Self::Direct),
            "topic" => Ok(Self::Topic),
            "fanout" => Ok(Self::Fanout),
            _ => Err(Error::new(ErrorKind::Unsupported, "exchange types are direct, topic and fanout")
                .with("exchange_type", name)),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }

    /// Whether a message sent with `routing_key` goes to a queue bound with `binding_key`.
    pub fn matches(self, binding_key: &str, routing_key: &str) -> bool {
        match self {
            Self::Direct => binding_key == routing_key,
            Self::Topic => topic_matches(binding_key, routing_key),
            Self::Fanout => true,
        }
    }
}

/// Compares word by word; after a `#`, a mismatch goes back to it and lets it swallow one word more.
fn topic_matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = if key.is_empty() { Vec::new() } else { key.split('.').collect() };
    let (mut at_pattern, mut at_key) = (0, 0);
    let mut hash: Option<(usize, usize)> = None;
    loop {
        match pattern.get(at_pattern) {
            Some(&"#") => {
                hash = Some((at_pattern, at_key));
                at_pattern += 1;
                continue;
            }
            Some(word) if at_key < key.len() && (*word == "*" || *word == key[at_key]) => {
                at_pattern += 1;
                at_key += 1;
                continue;
            }
            None if at_key == key.len() => return true,
            _ => {}
        }
        match hash {
            Some((at_hash, swallowed)) if swallowed < key.len() => {
                hash = Some((at_hash, swallowed + 1));
                at_pattern = at_hash + 1;
                at_key = swallowed + 1;
            }
            _ => return false,
        }
    }
}

/// Exchanges and their bindings, in memory.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    exchanges: BTreeMap<String, Exchange>,
}

#[derive(Clone, Debug)]
struct Exchange {
    kind: ExchangeKind,
    bindings: Vec<(String, String)>,
}

impl Topology {
    /// Makes the queue's exchange and binding exist; nothing for a queue reached by its name only.
    ///
    /// # Errors
    /// `Unsupported` for an unknown exchange type, `Mismatch` when the exchange exists with another.
    pub fn bind(&mut self, queue: &Queue) -> Result<()> {
        let kind = ExchangeKind::parse(&queue.exchange_type)?;
        if queue.exchange.is_empty() {
            return Ok(());
        }
        let exchange = self
            .exchanges
            .entry(queue.exchange.clone())
            .or_insert_with(|| Exchange { kind, bindings: Vec::new() });
        if exchange.kind != kind {
            return Err(other_kind(&queue.exchange, exchange.kind, kind));
        }
        let binding = (queue.routing_key.clone(), queue.name.clone());
        if !queue.name.is_empty() && !exchange.bindings.contains(&binding) {
            exchange.bindings.push(binding);
        }
        Ok(())
    }

    /// The queues that a message goes to, each once; none when a fanout exchange has no bindings.
    ///
    /// # Errors
    /// `NotFound` when the exchange is unknown or a key matches nothing: a message is never dropped silently.
    pub fn route(&self, exchange: &str, routing_key: &str) -> Result<Vec<String>> {
        let Some(known) = self.exchanges.get(exchange) else { return Err(unroutable(exchange, routing_key)) };
        let bindings = known.bindings.iter().map(|(key, queue)| (key.as_str(), queue.as_str()));
        matching(known.kind, bindings, exchange, routing_key)
    }
}

/// The queues among `bindings` (key, queue) that `routing_key` leads to, each once.
///
/// # Errors
/// `NotFound` as [`Topology::route`].
pub fn matching<'a>(
    kind: ExchangeKind,
    bindings: impl Iterator<Item = (&'a str, &'a str)>,
    exchange: &str,
    routing_key: &str,
) -> Result<Vec<String>> {
    let mut queues: Vec<String> = bindings
        .filter(|(key, _)| kind.matches(key, routing_key))
        .map(|(_, queue)| queue.to_owned())
        .collect();
    queues.sort_unstable();
    queues.dedup();
    if queues.is_empty() && kind != ExchangeKind::Fanout {
        return Err(unroutable(exchange, routing_key));
    }
    Ok(queues)
}

/// No queue would get the message.
pub fn unroutable(exchange: &str, routing_key: &str) -> Error {
    Error::new(ErrorKind::NotFound, "no queue is bound to this exchange with a matching key")
        .with("exchange", exchange)
        .with("routing_key", routing_key)
}

/// There is nothing to declare.
pub fn nameless() -> Error {
    Error::new(ErrorKind::Config, "a queue needs a name")
}

/// The exchange exists with another type.
pub fn other_kind(exchange: &str, existing: ExchangeKind, wanted: ExchangeKind) -> Error {
    Error::new(ErrorKind::Mismatch, "the exchange exists with another type")
        .with("exchange", exchange)
        .with("existing", existing.name())
        .with("wanted", wanted.name())
}

/// Compares the arguments a queue has with those it is declared with, as JSON values.
///
/// # Errors
/// `Mismatch` when they differ, `Config` when the wanted ones are no JSON object.
pub fn same_arguments(queue: &str, existing: Option<&str>, wanted: &str) -> Result<()> {
    let wanted_value = object(queue, wanted)?;
    match existing {
        Some(existing) if object(queue, existing)? != wanted_value => {
            Err(Error::new(ErrorKind::Mismatch, "the queue exists with other arguments")
                .with("queue", queue)
                .with("existing", existing)
                .with("wanted", wanted))
        }
        _ => Ok(()),
    }
}

fn object(queue: &str, text: &str) -> Result<serde_json::Map<String, serde_json::Value>> {
    if text.is_empty() {
        return Ok(serde_json::Map::new());
    }
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Config, "queue arguments must be a JSON object")
            .with("queue", queue)
            .because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_pattern_matches_words_between_dots() {
        for (pattern, key, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("*", "", false),
            ("*.*", "a.b", true),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("a.#", "b.a", false),
            ("#.c", "a.b.c", true),
            ("#.c", "c", true),
            ("#.c", "c.a", false),
            ("a.#.c", "a.c", true),
            ("a.#.c", "a.b.b.c", true),
            ("a.#.c.#.e", "a.c.c.d.e", true),
            ("a.#.c.#.e", "a.b.d.e", false),
            ("#.*", "", false),
            ("*.#", "a", true),
            ("#.b.#", "a.a.b", true),
        ] {
            assert_eq!(ExchangeKind::Topic.matches(pattern, key), expected, "{pattern} ~ {key}");
        }
    }

    #[test]
    fn direct_compares_the_whole_key_and_fanout_nothing() {
        assert!(ExchangeKind::Direct.matches("a.b", "a.b"));
        assert!(!ExchangeKind::Direct.matches("a.*", "a.b"));
        assert!(ExchangeKind::Fanout.matches("x", "y"));
    }

    #[test]
    fn a_message_goes_to_each_matching_queue_once() {
        let mut topology = Topology::default();
        for (queue, key) in [("one", "a.#"), ("one", "#.b"), ("two", "b")] {
            let (exchange, exchange_type) = ("things".to_owned(), "topic".to_owned());
            let queue = Queue { exchange, exchange_type, routing_key: key.into(), ..Queue::named(queue) };
            topology.bind(&queue).unwrap();
        }
        assert_eq!(topology.route("things", "a.b").unwrap(), ["one"]);
        assert_eq!(topology.route("things", "b").unwrap(), ["one", "two"]);
        assert_eq!(topology.route("things", "c").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(topology.route("nothing", "c").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_exchange_keeps_its_type_and_a_queue_its_arguments() {
        let mut topology = Topology::default();
        let queue = Queue { exchange: "x".into(), exchange_type: "fanout".into(), ..Queue::named("q") };
        topology.bind(&queue).unwrap();
        let other = Queue { exchange_type: "direct".into(), ..queue.clone() };
        assert_eq!(topology.bind(&other).unwrap_err().kind(), ErrorKind::Mismatch);
        let headers = Queue { exchange_type: "headers".into(), ..queue };
        assert_eq!(topology.bind(&headers).unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(same_arguments("q", Some(r#"{"a":1,"b":2}"#), r#"{"b": 2, "a": 1}"#).is_ok());
        assert!(same_arguments("q", None, "{}").is_ok());
        assert_eq!(same_arguments("q", Some("{}"), r#"{"a":1}"#).unwrap_err().kind(), ErrorKind::Mismatch);
        assert_eq!(same_arguments("q", None, "[]").unwrap_err().kind(), ErrorKind::Config);
    }
}
