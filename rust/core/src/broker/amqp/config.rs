//! What may be chosen about the AMQP broker: kombu's transport options, and ours (kombu-layouts.md §3.3).

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::{Place, Places, Strategy};
use super::adrift::Adrift;
use crate::broker::net::{Dial, KeepAlive, Peer, Tls};
use crate::broker::options::Options;
use crate::broker::url::{BrokerUrl, Server, Target};
use crate::error::{Error, ErrorKind, Result};

/// For sentences about the server. Over TLS its certificate is looked at unless told otherwise.
pub(super) static PEER: Peer =
    Peer { name: "RabbitMQ server", plain: "amqp://", secure: "amqps://", trusting: false };
/// How long a client's call may take, unless told otherwise.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Celery's: how long connecting may take, to each server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a worker waits for an answer before it takes the connection for broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long without a word a worker's connection is broken; half of it between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// What fits into the protocol.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(u16::MAX as u64);
/// How long a client's connection may lie idle before it is asked whether it lives.
const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(25);
/// As `broker_pool_limit`.
const MAX_CONNECTIONS: usize = 10;
/// py-amqp's, and what RabbitMQ offers.
const FRAME_MAX: usize = 131_072;
/// What RabbitMQ 4.1 takes at least.
const LEAST_FRAME_MAX: usize = 8192;

/// kombu's options that mean nothing here: what they are for is done otherwise.
const LEFT: [&str; 11] = [
    "errback",
    "interval_max",
    "interval_start",
    "interval_step",
    "max_retries",
    "on_blocked",
    "on_unblocked",
    "queue_order_strategy",
    "result_content_type",
    "result_global_keyprefix",
    "socket_settings",
];

/// How one logs in (SASL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Login {
    Plain,
    AmqPlain,
    /// By what is known of us already, such as a certificate.
    External,
}

impl Login {
    fn read(options: &mut Options) -> Result<Self> {
        let login = options.word("login_method", &["PLAIN", "AMQPLAIN", "EXTERNAL"], 0)?;
        Ok([Self::Plain, Self::AmqPlain, Self::External][login])
    }

    /// Its name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::AmqPlain => "AMQPLAIN",
            Self::External => "EXTERNAL",
        }
    }
}

/// Whether the server's word is awaited that it has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Never: nobody notices that a message is lost.
    Never,
    /// Behind the calls: what is not confirmed is sent again.
    Later,
    /// In each call.
    AtOnce,
}

impl Wanted {
    fn read(options: &mut Options) -> Result<Self> {
        let Some(value) = options.value("confirm_publish") else { return Ok(Self::Later) };
        match (value.as_bool(), value.as_str()) {
            (Some(true), _) => Ok(Self::AtOnce),
            (Some(false), _) => Ok(Self::Never),
            (_, Some("later")) => Ok(Self::Later),
            _ => Err(options.wrong("confirm_publish", &value, "true, false or \"later\"")),
        }
    }
}

/// The settings of one RabbitMQ server, or of several that stand in for each other.
#[derive(Clone)]
pub struct AmqpConfig {
    /// The setting that names the server.
    pub(super) setting: &'static str,
    /// The URL without secrets.
    pub(super) shown: String,
    pub(super) places: Places,
    pub(super) login: Login,
    pub(super) tls: Option<Tls>,
    /// More properties of the client: a JSON object.
    pub(super) client_properties: Option<Value>,
    pub(super) publish_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) heartbeat: Duration,
    pub(super) health_check_interval: Option<Duration>,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) max_connections: usize,
    pub(super) frame_max: usize,
    /// Whether a call waits for the server.
    pub(super) confirms: Wanted,
    /// Messages that are to be sent again.
    pub(super) adrift: Arc<Adrift>,
    /// `x-queue-type` of the queues where messages wait for their time.
    pub(super) delay_queue_type: &'static str,
    /// Results go to those who called, as messages.
    pub(super) replies: bool,
    /// Results outlive the server's restart.
    pub(super) results_persist: bool,
    /// The beginning of the name of the queue where this process awaits results; `None`: it does not.
    reply_queue: Option<String>,
    /// How long that queue outlives its reader.
    pub(super) reply_expires: Option<Duration>,
    /// Queues that are known to exist: AMQP cannot list them.
    pub(super) queues: Vec<String>,
}

impl AmqpConfig {
    /// The broker at `url`, with transport options as JSON text (empty: none).
    ///
    /// # Errors
    /// `Config` for a URL or option that cannot work.
    pub fn at(url: &str, options: &str) -> Result<Self> {
        let url = BrokerUrl::parse(url)?;
        let mut options = Options::parse("broker_transport_options", options, &url)?;
        let Target::Amqp(server) = url.target() else {
            return Err(
                Error::new(ErrorKind::Config, "this is not the URL of a RabbitMQ server").with("url", &url)
            );
        };
        let config = Self::read("broker_url", server, &url, &mut options)?;
        options.finish(url.scheme())?;
        Ok(config)
    }

    /// The broker that a URL means, with transport options.
    pub(crate) fn read(
        setting: &'static str,
        server: &Server,
        url: &BrokerUrl,
        options: &mut Options,
    ) -> Result<Self> {
        let places = Place::parse_all(&server.scheme, &server.address);
        let places = places.map_err(|error| error.with(setting, url))?;
        let timeout = options.seconds("publish_timeout", PUBLISH_TIMEOUT)?;
        let (read, write) =
            (options.seconds("read_timeout", timeout)?, options.seconds("write_timeout", timeout)?);
        let interval = options.seconds("health_check_interval", HEALTH_CHECK_INTERVAL)?;
        let delay = options.word("delayed_queue_type", &["quorum", "classic"], 0)?;
        let config = Self {
            setting,
            shown: url.to_string(),
            tls: Tls::read(&PEER, places.iter().any(|place| place.secure), options)?,
            places: Places::new(places, strategy(options)?),
            login: Login::read(options)?,
            client_properties: options.value("client_properties"),
            publish_timeout: timeout.min(read).min(write),
            connect_timeout: options.seconds("connect_timeout", CONNECT_TIMEOUT)?,
            answer_timeout: options.seconds("answer_timeout", ANSWER_TIMEOUT)?,
            heartbeat: options.seconds("heartbeat", HEARTBEAT)?.min(LONGEST_HEARTBEAT),
            health_check_interval: unless_zero(interval),
            keep_alive: KeepAlive::read(options)?,
            max_connections: options.count("max_connections", MAX_CONNECTIONS)?,
            frame_max: frame_max(options)?,
            confirms: Wanted::read(options)?,
            adrift: Arc::default(),
            delay_queue_type: ["quorum", "classic"][delay],
            replies: options.flag("replies", false)?,
            results_persist: options.flag("result_persistent", false)?,
            reply_queue: options.text("reply_queue")?,
            reply_expires: unless_zero(options.seconds("reply_expires", Duration::ZERO)?),
            queues: queues(options)?,
        };
        options.leave(&LEFT);
        Ok(config)
    }

    /// The name of the queue where this process awaits results: another one in a forked process.
    pub(super) fn reply_queue(&self) -> Option<String> {
        self.reply_queue.as_ref().map(|queue| format!("{queue}-{}", std::process::id()))
    }

    /// How a client connects to one of its servers. TLS for one is TLS for all.
    pub(super) fn dial(&self) -> Dial<'_> {
        let (tls, keep_alive) = (self.tls.as_ref(), self.keep_alive.as_ref());
        Dial { peer: &PEER, tls, keep_alive, connect_timeout: self.connect_timeout.min(self.publish_timeout) }
    }
}

fn unless_zero(duration: Duration) -> Option<Duration> {
    Some(duration).filter(|duration| !duration.is_zero())
}

fn strategy(options: &mut Options) -> Result<Strategy> {
    let strategy = options.word("failover_strategy", &["round-robin", "shuffle"], 0)?;
    Ok([Strategy::RoundRobin, Strategy::Shuffle][strategy])
}

fn queues(options: &mut Options) -> Result<Vec<String>> {
    let Some(value) = options.value("queues") else { return Ok(Vec::new()) };
    let names = value.as_array().and_then(|names| {
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
    });
    names.ok_or_else(|| options.wrong("queues", &value, "a list of names"))
}

/// The longest frame; 0 is what the server offers.
fn frame_max(options: &mut Options) -> Result<usize> {
    let frame_max = options.count("frame_max", 0)?;
    if frame_max != 0 && frame_max < LEAST_FRAME_MAX {
        return Err(options.wrong("frame_max", &frame_max.into(), "0, or a number of bytes from 8192"));
    }
    Ok(if frame_max == 0 { FRAME_MAX } else { frame_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kombus_options_are_read() {
        let config = AmqpConfig::at(
            "amqp://me:pw@a/v;b?heartbeat=7",
            r#"{"confirm_publish": false, "login_method": "AMQPLAIN", "failover_strategy": "shuffle",
                "frame_max": 9000, "max_retries": 3, "interval_start": 0, "read_timeout": 1.5}"#,
        )
        .unwrap();
        assert_eq!((config.confirms, config.login, config.frame_max), (Wanted::Never, Login::AmqPlain, 9000));
        assert_eq!((config.heartbeat.as_secs(), config.publish_timeout.as_millis()), (7, 1500));
        assert_eq!(config.places.all.len(), 2);
        assert!(!config.shown.contains("pw") && config.tls.is_none());
        assert!(AmqpConfig::at("amqps://h", "").unwrap().tls.is_some_and(|tls| !tls.insecure));
    }

    #[test]
    fn an_option_that_cannot_be_is_named() {
        for (url, json, hint) in [
            ("amqp://h:x", "", "the port in a URL"),
            ("amqp://h", r#"{"confirm_publsh": true}"#, "did you mean \"confirm_publish\""),
            ("amqp://h", r#"{"confirm_publish": "never"}"#, "true, false or \"later\""),
            ("amqp://h", r#"{"frame_max": 100}"#, "8192"),
            ("amqp://h", r#"{"login_method": "GSSAPI"}"#, "PLAIN or AMQPLAIN or EXTERNAL"),
            ("amqps://h?ssl_ca_certs=/nowhere.pem", "", "/nowhere.pem"),
        ] {
            let error = AmqpConfig::at(url, json).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }
}
