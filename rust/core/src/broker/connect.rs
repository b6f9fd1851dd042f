//! From a URL to the broker or store it names. Nothing is opened before the first use.

use std::sync::Arc;

use super::Broker;
#[cfg(feature = "amqp")]
use super::amqp::{AmqpBroker, AmqpConfig};
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
#[cfg(feature = "amqp")]
use crate::store::rpc::RpcStore;

/// The broker that `url` names, with transport options as JSON text (empty: none).
///
/// # Errors
/// `Config` for a URL or option that cannot work, `Unsupported` for a server this version does not speak to.
pub fn connect(url: &str, options: &str) -> Result<Arc<dyn Broker>> {
    let url = BrokerUrl::parse(url)?;
    let mut options = Options::parse("broker_transport_options", options, &url)?;
    match url.target() {
        Target::Memory(name) => Ok(Arc::new(memory(name, options)?)),
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
        #[cfg(feature = "amqp")]
        Target::Amqp(server) => {
            let config = AmqpConfig::read("broker_url", server, &url, &mut options)?;
            options.finish(url.scheme())?;
            Ok(Arc::new(AmqpBroker::new(config, Clock::system())))
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
    #[cfg(feature = "amqp")]
    if *BrokerUrl::parse(url)?.target() == Target::Rpc {
        return rpc_store(url, options);
    }
    let broker = connect(url, options)?;
    broker
        .store()
        .ok_or_else(|| Error::new(ErrorKind::Unsupported, "results cannot be stored there").with("url", url))
}

/// Results that come through the broker: the option `broker_url` says which, and `reply_queue` where they are awaited.
#[cfg(feature = "amqp")]
fn rpc_store(url: &str, options: &str) -> Result<Arc<dyn Store>> {
    let setting = "result_backend";
    let url = BrokerUrl::parse(url)?;
    let broker = Options::parse(setting, options, &url)?.text("broker_url")?.unwrap_or_default();
    let broker = BrokerUrl::parse(&broker)?;
    let Target::Amqp(server) = broker.target() else {
        let sentence = "the rpc backend needs a RabbitMQ broker (amqp://): its results are messages";
        return Err(Error::new(ErrorKind::Config, sentence).with("broker_url", broker));
    };
    let mut options = Options::parse(setting, options, &broker)?;
    options.leave(&["broker_url"]);
    let config = AmqpConfig::read(setting, server, &broker, &mut options)?;
    options.finish("rpc")?;
    Ok(Arc::new(RpcStore::new(config)))
}

/// The queues in this process that `url` names, as what they are; its clock must be one that is turned by hand.
///
/// # Errors
/// As [`connect`], and `Config` for another broker or clock.
pub fn connect_by_hand(url: &str, options: &str) -> Result<MemoryBroker> {
    let known = BrokerUrl::parse(url)?;
    let options = Options::parse("broker_transport_options", options, &known)?;
    let broker = match known.target() {
        Target::Memory(name) => Some(memory(name, options)?),
        _ => None,
    };
    broker.filter(|broker| broker.hand().is_some()).ok_or_else(|| {
        let sentence = "only a broker memory://name?clock=hand has a clock that can be turned";
        Error::new(ErrorKind::Config, sentence).with("url", known)
    })
}

fn memory(name: &str, mut options: Options) -> Result<MemoryBroker> {
    let by_hand = options.word("clock", &["system", "hand"], 0)? == 1;
    options.finish("memory")?;
    if by_hand { MemoryBroker::by_hand(name) } else { Ok(MemoryBroker::named(name)) }
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
            ("memory://", r#"{"publish_timeout": 1}"#, "it has clock"),
            ("memory://?clock=sun", "", "system or hand"),
        ] {
            let error = connect(url, options).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn queues_in_memory_have_one_clock() {
        let hub = connect_by_hand("memory://by-hand?clock=hand", "").ok().unwrap();
        let again = connect_by_hand("memory://by-hand?clock=hand", "").ok().unwrap();
        hub.hand().unwrap().advance(std::time::Duration::from_secs(9));
        assert_eq!(format!("{:?}", again.hand()), format!("{:?}", hub.hand()));
        drop(connect("memory://by-machine", "").ok().unwrap());
        for url in ["memory://by-machine?clock=hand", "memory://by-machine", "sqlite:///q.db"] {
            assert_eq!(connect_by_hand(url, "").err().unwrap().kind(), ErrorKind::Config, "{url}");
        }
        hub.retire();
        let fresh = connect_by_hand("memory://by-hand?clock=hand", "").ok().unwrap();
        assert_ne!(format!("{:?}", fresh.hand()), format!("{:?}", hub.hand()));
    }

    #[test]
    fn a_server_that_is_not_built_in_is_unsupported() {
        assert_eq!(connect("rpc://", "").err().unwrap().kind(), ErrorKind::Unsupported);
        assert_eq!(connect_store("amqp://localhost", "").err().unwrap().kind(), ErrorKind::Unsupported);
    }
}
