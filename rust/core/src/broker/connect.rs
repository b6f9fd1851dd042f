//! From a URL to the broker or store it names. Nothing is opened before the first use.

use std::sync::Arc;

use super::Broker;
use super::memory::MemoryBroker;
use super::options::Options;
#[cfg(feature = "redis")]
use super::redis::{RedisBroker, RedisConfig};
#[cfg(feature = "sqlite")]
use super::sqlite::{SqliteBroker, SqliteConfig};
use super::url::{BrokerUrl, Target};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
#[cfg(feature = "redis")]
use crate::store::redis::RedisStore;

/// The broker that `url` names, with transport options as JSON text (empty: none).
///
/// # Errors
/// `Config` for a URL or option that cannot work, `Unsupported` for a server this version does not speak to.
pub fn connect(url: &str, options: &str) -> Result<Arc<dyn Broker>> {
    let url = BrokerUrl::parse(url)?;
    let mut options = Options::parse("broker_transport_options", options, &url)?;
    match url.target() {
        Target::Memory(name) => {
            options.finish(url.scheme())?;
            Ok(Arc::new(MemoryBroker::named(name)))
        }
        #[cfg(feature = "sqlite")]
        Target::Sqlite(path) => {
            let config = SqliteConfig::read(path, &mut options)?;
            options.finish(url.scheme())?;
            Ok(Arc::new(SqliteBroker::new(config, Clock::system())))
        }
        #[cfg(feature = "redis")]
        Target::Redis(server) => {
            let config = RedisConfig::read(server, &url, &mut options)?;
            options.finish(url.scheme())?;
            Ok(Arc::new(RedisBroker::new(config, Clock::system())))
        }
        _ => Err(url.unsupported()),
    }
}

/// The result store that `url` names.
///
/// # Errors
/// As [`connect`].
pub fn connect_store(url: &str, options: &str) -> Result<Arc<dyn Store>> {
    #[cfg(feature = "redis")]
    if let Target::Redis(server) = BrokerUrl::parse(url)?.target() {
        let url = BrokerUrl::parse(url)?;
        let mut options = Options::parse("result_backend_transport_options", options, &url)?;
        let config = RedisConfig::read_store(server, &url, &mut options)?;
        options.finish(url.scheme())?;
        return Ok(Arc::new(RedisStore::new(config)));
    }
    let broker = connect(url, options)?;
    broker
        .store()
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, "results cannot be stored there").with("url", url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_nobody_knows_is_named_with_the_nearest_known() {
        for (url, options, hint) in [
            ("sqlite:///q.db", r#"{"publish_timeuot": 1}"#, "did you mean \"publish_timeout\""),
            ("sqlite:///q.db", r#"{"visibility_timeout": 1}"#, "it has "),
            ("sqlite:///q.db?synchronos=full", "", "did you mean \"synchronous\""),
            ("sqlite:///q.db", r#"{"synchronous": "never"}"#, "normal or full"),
            ("sqlite:///q.db", r#"{"publish_timeout": "soon"}"#, "a number of seconds"),
            ("sqlite:///q.db", "[]", "must be a JSON object"),
            ("memory://", r#"{"publish_timeout": 1}"#, "it has none"),
        ] {
            let error = connect(url, options).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_server_that_is_not_built_in_is_unsupported() {
        assert_eq!(connect("pyamqp://localhost", "").err().unwrap().kind(), ErrorKind::Unsupported);
        assert_eq!(connect_store("amqp://localhost", "").err().unwrap().kind(), ErrorKind::Unsupported);
    }
}
