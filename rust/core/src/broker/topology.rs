//! Exchanges, queues and bindings.

/// A queue, and how it is bound.
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
    /// Queue arguments: a JSON object.
    pub arguments: String,
}

impl Queue {
    /// A durable queue reached by its name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), exchange_type: "direct".into(), durable: true, arguments: "{}".into(), ..Self::default() }
    }
}
