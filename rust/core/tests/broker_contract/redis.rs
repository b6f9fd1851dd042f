//! What only the Redis broker promises.

mod chords;
mod faults;
mod leases;
mod mirror;
mod overheard;
mod proxy;
mod resume;
mod tokens;
mod wire;

use std::sync::Arc;

use fastq_core::broker::Broker;
use fastq_core::broker::redis::{RedisBroker, RedisConfig};
use fastq_core::clock::Clock;

use crate::redis_server::{Server, is_installed};
use crate::support::block_on;

/// A broker at a URL, on the machine's clock.
fn at(url: &str, options: &str) -> Arc<dyn Broker> {
    Arc::new(RedisBroker::new(RedisConfig::at(url, options).unwrap(), Clock::system()))
}

/// A server with more arguments; `None` when there is none to start.
fn server(arguments: &[&str]) -> Option<Server> {
    is_installed().then(|| Server::start(arguments))
}
