//! What only the SQLite broker promises.

mod faults;
mod leases;
mod revoked;
mod sharing;
mod stalls;

use std::path::Path;
use std::sync::Arc;

use fastq_core::broker::Broker;
use fastq_core::broker::sqlite::{SqliteBroker, SqliteConfig};
use fastq_core::clock::Clock;

/// A broker on the file at `path`, on the machine's clock.
fn at(path: &Path) -> Arc<dyn Broker> {
    Arc::new(SqliteBroker::new(SqliteConfig::at(path).unwrap(), Clock::system()))
}
