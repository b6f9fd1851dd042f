//! The headers that bound a task: what is unique about it, and under which keys it is counted (docs/design/wire.md).
//!
//! Celery carries them along and does not look at them.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// The lock of a unique task.
pub const UNIQUE_KEY: &str = "x-fastq-unique-key";
/// How long it lasts at most, in seconds.
pub const UNIQUE_FOR: &str = "x-fastq-unique-for";
/// A lock lasts so long when its message does not say: a day.
const LASTS: Duration = Duration::from_secs(24 * 3600);
/// The longest key that is taken: what is longer was not written by fastq, which shortens it.
const KEY_LIMIT_BYTES: usize = 512;

/// That a task with this key is under way: kept on the broker's server, in the name of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What must be there once.
    pub key: String,
    /// The task that holds it.
    pub id: String,
    /// How long it lasts unless it is given back.
    pub lasts: Duration,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "x-fastq-unique-key")]
    key: Option<Cow<'a, str>>,
    #[serde(default, rename = "x-fastq-unique-for")]
    lasts: Option<f64>,
}

impl Lock {
    /// The lock that a message wants, by its headers. Of the others, nearly all, it costs a look and no reading.
    ///
    /// # Errors
    /// `Encode` when the headers name a lock that cannot be.
    pub fn wanted(headers: &[u8]) -> Result<Option<Self>> {
        static KEY: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(br#""x-fastq-unique-key""#));
        if KEY.find(headers).is_none() {
            return Ok(None);
        }
        let named: Named<'_> = serde_json::from_slice(headers).map_err(|error| {
            Error::new(ErrorKind::Encode, "the headers of a unique task cannot be read").because(error)
        })?;
        Self::of(named.key.as_deref(), named.id.as_deref(), named.lasts)
    }

    /// A lock of its parts; `None` when there is no key.
    ///
    /// # Errors
    /// `Encode` when the key is too long, or there is no id that could hold it.
    pub fn of(key: Option<&str>, id: Option<&str>, lasts: Option<f64>) -> Result<Option<Self>> {
        let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Err(Error::new(ErrorKind::Encode, "a unique task needs an id"));
        };
        if key.len() > KEY_LIMIT_BYTES {
            let sentence = "the key of a unique task is longer than 512 bytes";
            return Err(Error::new(ErrorKind::Encode, sentence).with("bytes", key.len()));
        }
        let lasts = lasts.filter(|seconds| *seconds > 0.0);
        let lasts = lasts.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(LASTS);
        // A server counts in whole milliseconds, and not beyond all bounds.
        let lasts = lasts.clamp(Duration::from_millis(1), Duration::from_secs(100 * 365 * 24 * 3600));
        Ok(Some(Self { key: key.to_owned(), id: id.to_owned(), lasts }))
    }

    /// How long it lasts, in milliseconds.
    pub fn milliseconds(&self) -> i64 {
        i64::try_from(self.lasts.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A key under which runs are counted, if it can be one.
pub fn counted(key: Option<&str>) -> Option<String> {
    key.filter(|key| !key.is_empty() && key.len() <= KEY_LIMIT_BYTES).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_read_from_the_headers_of_a_unique_task_and_of_no_other() {
        let read = |headers: &str| Lock::wanted(headers.as_bytes());
        assert_eq!(read(r#"{"id":"1","task":"add"}"#).unwrap(), None);
        assert_eq!(read(r#"{"id":"1","x-fastq-unique-key":null}"#).unwrap(), None);
        let lock =
            read(r#"{"id":"1","x-fastq-unique-key":"add:7","x-fastq-unique-for":1.5}"#).unwrap().unwrap();
        assert_eq!((&*lock.key, &*lock.id, lock.milliseconds()), ("add:7", "1", 1500));
        for lasts in ["null", "0", "-3"] {
            let headers = format!(r#"{{"id":"1","x-fastq-unique-key":"k","x-fastq-unique-for":{lasts}}}"#);
            assert_eq!(read(&headers).unwrap().unwrap().lasts, LASTS, "{lasts}");
        }
    }

    #[test]
    fn a_lock_that_cannot_be_is_an_error() {
        let long = format!(r#"{{"id":"1","x-fastq-unique-key":"{}"}}"#, "x".repeat(513));
        for headers in [r#"{"x-fastq-unique-key":"k"}"#, r#"{"id":"1","x-fastq-unique-key":7}"#, &long] {
            assert_eq!(Lock::wanted(headers.as_bytes()).unwrap_err().kind(), ErrorKind::Encode, "{headers}");
        }
    }
}
