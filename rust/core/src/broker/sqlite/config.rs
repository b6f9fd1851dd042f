//! What may be chosen about the SQLite broker.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::options::Options;
use crate::error::{Error, ErrorKind, Result};

/// How long a publish may wait for the file, unless told otherwise.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The settings of one SQLite broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteConfig {
    /// The database file, absolute.
    pub path: PathBuf,
    /// When a commit is on the disk.
    pub synchronous: Synchronous,
    /// How long a client's call may wait for the file.
    pub publish_timeout: Duration,
}

/// When a commit is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// It survives the end of every process; the last moments before a power cut may be lost.
    Normal,
    /// It survives a power cut, at the price of waiting for the disk in every commit.
    Full,
}

impl SqliteConfig {
    /// The defaults, for the file at `path`; a relative one counts from the working directory of now.
    ///
    /// # Errors
    /// `Config` when there is no working directory to count from.
    pub fn at(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| {
            Error::new(ErrorKind::Config, "the path in broker_url cannot be made absolute")
                .with("path", path.display())
                .because(error)
        })?;
        Ok(Self { path, synchronous: Synchronous::Normal, publish_timeout: PUBLISH_TIMEOUT })
    }

    /// The file at `path` with transport options: `synchronous` (`normal`, `full`), `publish_timeout` (seconds).
    pub(crate) fn read(path: &Path, options: &mut Options) -> Result<Self> {
        let mut config = Self::at(path)?;
        if options.word("synchronous", &["normal", "full"], 0)? == 1 {
            config.synchronous = Synchronous::Full;
        }
        config.publish_timeout = options.seconds("publish_timeout", PUBLISH_TIMEOUT)?;
        Ok(config)
    }
}
