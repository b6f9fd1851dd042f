//! What every broker must do, run against each of them and chosen by its capabilities.
//!
//! A new broker adds a line to [`support::brokers`] and no assertions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "amqp")]
mod amqp;
mod chords;
mod consume;
mod dead_letters;
mod delay;
mod fanout;
#[cfg(any(feature = "redis", feature = "sqlite"))]
mod killed;
mod locks;
mod priority;
mod publish;
mod purge;
mod queues;
#[cfg(feature = "amqp")]
mod rabbitmq_server;
mod redeliver;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_server;
mod revoked;
mod settle;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stores;
mod support;
mod tokens;
