//! What may be chosen about the Redis broker: kombu's transport options, and ours (kombu-layouts.md §2.6).

use std::time::Duration;

use serde_json::Value;

use super::address::{Address, Login, Place};
use super::keys::{Keys, Steps};
use crate::broker::net::{Dial, KeepAlive, Peer, Tls};
use crate::broker::options::Options;
use crate::broker::url::{BrokerUrl, Server, Target};
use crate::error::{Error, ErrorKind, Result};

/// For sentences about the server.
pub(super) static PEER: Peer =
    Peer { name: "Redis server", plain: "redis://", secure: "rediss://", trusting: true };
/// How long a client's call may take, unless told otherwise.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a worker waits for an answer before it takes the connection for broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// kombu's: how long a connection may lie idle before it is asked whether it lives.
const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(25);
/// kombu's, and of the setting `broker_pool_limit`.
const MAX_CONNECTIONS: usize = 10;

/// kombu's options that mean nothing where nothing is polled.
const LEFT: [&str; 6] = [
    "ack_emulation",
    "deadletter_queue",
    "min_other_sentinels",
    "polling_interval",
    "reauth_check_interval",
    "sentinel_fanout_compat",
];

/// The settings of one Redis server as a broker.
#[derive(Clone)]
pub struct RedisConfig {
    /// The setting that names the server.
    pub(crate) setting: &'static str,
    /// The URL without secrets.
    pub(crate) shown: String,
    pub(super) place: Place,
    pub(super) login: Login,
    pub(super) sentinel_login: Login,
    pub(super) master: String,
    pub(super) database: i64,
    pub(super) tls: Option<Tls>,
    pub(super) client_name: Option<String>,
    /// How long a client's call may take.
    pub(crate) publish_timeout: Duration,
    pub(super) client: ClientOptions,
    /// How long a worker waits for an answer.
    pub(super) answer_timeout: Duration,
    pub(crate) keys: Keys,
    pub(super) steps: Steps,
    pub(super) order: QueueOrder,
    pub(super) fanout: Fanout,
    pub(super) unacked: Unacked,
    pub(crate) results: ResultLayout,
}

/// How the connections of a client are kept.
#[derive(Clone, Debug)]
pub(super) struct ClientOptions {
    /// How much of a call's time connecting may take.
    pub(super) connect_timeout: Duration,
    /// Whether a call that took too long is made once more.
    pub(super) retry_on_timeout: bool,
    /// How many connections a process keeps; 0: none, each call has one of its own.
    pub(super) max_connections: usize,
    /// One that was idle for longer is asked whether it lives; `None`: never.
    pub(super) health_check_interval: Option<Duration>,
    /// Probes of idle connections by the system.
    pub(super) keep_alive: Option<KeepAlive>,
}

/// Which queue is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueOrder {
    /// Another one each time, and all get the same share.
    RoundRobin,
    /// The one declared first, as long as it has messages.
    Priority,
    /// As by priority, in the order of names.
    Sorted,
}

/// How the channels of fanout exchanges are called (kombu-layouts.md §2.4).
#[derive(Clone, Debug)]
pub(super) struct Fanout {
    pub(super) prefix: String,
    pub(super) patterns: bool,
}

/// Where kombu keeps what its consumers hold, and when it takes them for dead (kombu-layouts.md §2.5).
#[derive(Clone, Debug)]
pub(super) struct Unacked {
    pub(super) hash: String,
    pub(super) index: String,
    pub(super) mutex: String,
    pub(super) mutex_expires: Duration,
    pub(super) visibility_timeout: Duration,
    pub(super) restore_limit: usize,
    /// How often a worker looks for what consumers of kombu's have left.
    pub(super) restore_every: Duration,
    /// Whether records as kombu's are kept of what fastq workers hold (see [`super::mirror`]).
    pub(super) mirrors: bool,
}

/// What Celery puts before the id of a task.
const RESULT: &str = "celery-task-meta-";
/// What it puts before the id of a group.
const GROUP: &str = "celery-taskset-meta-";

/// How results lie on the server.
#[derive(Clone, Debug)]
pub(crate) struct ResultLayout {
    prefix: String,
    /// The content type of the documents: they do not say it themselves.
    pub(crate) content_type: String,
    /// Parts of chords lie in the order of the header, and not in the one in which they came.
    pub(crate) ordered: bool,
}

impl ResultLayout {
    /// The key of a task's result, which is also the channel where it is announced (protocol.md §7.5).
    pub(crate) fn key(&self, task_id: &str) -> String {
        format!("{}{RESULT}{task_id}", self.prefix)
    }

    /// What Celery knows of a group, and the beginning of its keys for a chord (protocol.md §7.6).
    pub(crate) fn group(&self, group_id: &str) -> String {
        format!("{}{GROUP}{group_id}", self.prefix)
    }

    /// What fastq knows of a chord beside that.
    pub(crate) fn chord(&self, group_id: &str) -> String {
        format!("{}fastq:chord:{group_id}", self.prefix)
    }

    /// The chords that go on.
    pub(crate) fn chords(&self) -> String {
        format!("{}fastq:chords", self.prefix)
    }

    /// The task whose result has this key.
    pub(crate) fn task_id<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(self.prefix.as_str())?.strip_prefix(RESULT)
    }

    fn read(prefix: Option<String>, options: &mut Options) -> Result<Self> {
        let mut prefix = prefix.unwrap_or_default();
        // Celery's rule for results, and only for them.
        if !prefix.is_empty() && !prefix.ends_with([':', '_', '-', '.']) {
            prefix.push('_');
        }
        let content_type = options.text("result_content_type")?;
        let content_type = content_type.unwrap_or_else(|| "application/json".into());
        Ok(Self { prefix, content_type, ordered: options.flag("result_chord_ordered", true)? })
    }
}

impl RedisConfig {
    /// The broker at `url`, with transport options as JSON text (empty: none).
    ///
    /// # Errors
    /// `Config` for a URL or option that cannot work.
    pub fn at(url: &str, options: &str) -> Result<Self> {
        let url = BrokerUrl::parse(url)?;
        let mut options = Options::parse("broker_transport_options", options, &url)?;
        let Target::Redis(server) = url.target() else {
            return Err(
                Error::new(ErrorKind::Config, "this is not the URL of a Redis server").with("url", &url)
            );
        };
        let config = Self::read(server, &url, &mut options)?;
        options.finish(url.scheme())?;
        Ok(config)
    }

    /// How a client connects to one of its servers.
    pub(super) fn dial(&self) -> Dial<'_> {
        let client = &self.client;
        let (tls, keep_alive) = (self.tls.as_ref(), client.keep_alive.as_ref());
        Dial { peer: &PEER, tls, keep_alive, connect_timeout: client.connect_timeout }
    }

    /// The broker that a URL means, with transport options.
    pub(crate) fn read(server: &Server, url: &BrokerUrl, options: &mut Options) -> Result<Self> {
        let prefix = options.text("global_keyprefix")?.unwrap_or_default();
        let results = options.text("result_global_keyprefix")?;
        let results = ResultLayout::read(results, options)?;
        Self::build("broker_url", (server, url), options, prefix, results)
    }

    /// The store that a URL means, with the transport options of the result backend.
    pub(crate) fn read_store(server: &Server, url: &BrokerUrl, options: &mut Options) -> Result<Self> {
        let prefix = options.text("global_keyprefix")?;
        let results = ResultLayout::read(prefix.clone(), options)?;
        options.leave(&["retry_policy", "result_global_keyprefix"]);
        Self::build("result_backend", (server, url), options, prefix.unwrap_or_default(), results)
    }

    fn build(
        setting: &'static str,
        (server, url): (&Server, &BrokerUrl),
        options: &mut Options,
        prefix: String,
        results: ResultLayout,
    ) -> Result<Self> {
        let address = Address::parse(&server.scheme, &server.address)
            .and_then(|address| address.completed(options))
            .map_err(|error| error.with(setting, url))?;
        let separator = options.text("sep")?.unwrap_or_else(|| Keys::SEPARATOR.to_owned());
        let timeout = options.seconds("publish_timeout", PUBLISH_TIMEOUT)?;
        let timeout = options.seconds("socket_timeout", timeout)?.min(timeout);
        let (sentinel_login, master) = sentinel(&address.place, options)?;
        let config = Self {
            setting,
            shown: url.to_string(),
            fanout: fanout(address.database, options)?,
            database: address.database,
            place: address.place,
            login: address.login,
            sentinel_login,
            master,
            tls: Tls::read(&PEER, server.scheme == "rediss", options)?,
            client_name: options.text("client_name")?,
            publish_timeout: timeout,
            client: ClientOptions::read(timeout, options)?,
            answer_timeout: options.seconds("answer_timeout", ANSWER_TIMEOUT)?,
            keys: Keys::new(prefix, separator),
            steps: steps(options)?,
            order: QueueOrder::read(options)?,
            unacked: Unacked::read(options)?,
            results,
        };
        let _ = options.word("body_encoding", &["base64"], 0)?;
        options.leave(&LEFT);
        Ok(config)
    }
}

/// Who asks the sentinels, and the name of the master they are asked for.
fn sentinel(place: &Place, options: &mut Options) -> Result<(Login, String)> {
    let (mut user, mut password) = (options.text("sentinel_username")?, options.text("sentinel_password")?);
    if let Some(Value::Object(more)) = options.value("sentinel_kwargs") {
        let text = |name| more.get(name).and_then(Value::as_str).map(str::to_owned);
        (user, password) = (user.or_else(|| text("username")), password.or_else(|| text("password")));
    }
    let master = options.text("master_name")?.unwrap_or_default();
    if master.is_empty() && matches!(place, Place::Sentinels(_)) {
        let sentence = "sentinels must be asked for a master by its name: set master_name in the transport options, \
                        such as {\"master_name\": \"mymaster\"}";
        return Err(Error::new(ErrorKind::Config, sentence));
    }
    if options.value("credential_provider").is_some() {
        let sentence = "credential_provider is not supported: write user and password into the URL";
        return Err(Error::new(ErrorKind::Unsupported, sentence));
    }
    Ok((Login { user, password }, master))
}

impl ClientOptions {
    fn read(timeout: Duration, options: &mut Options) -> Result<Self> {
        let interval = options.seconds("health_check_interval", HEALTH_CHECK_INTERVAL)?;
        Ok(Self {
            connect_timeout: options.seconds("socket_connect_timeout", timeout)?.min(timeout),
            retry_on_timeout: options.flag("retry_on_timeout", false)?,
            max_connections: options.count("max_connections", MAX_CONNECTIONS)?,
            health_check_interval: Some(interval).filter(|interval| !interval.is_zero()),
            keep_alive: KeepAlive::read(options)?,
        })
    }
}

impl QueueOrder {
    fn read(options: &mut Options) -> Result<Self> {
        let order = options.word("queue_order_strategy", &["round_robin", "priority", "sorted"], 0)?;
        Ok([Self::RoundRobin, Self::Priority, Self::Sorted][order])
    }
}

impl Unacked {
    fn read(options: &mut Options) -> Result<Self> {
        let mut name = |option, default: &str| -> Result<String> {
            Ok(options.text(option)?.unwrap_or_else(|| default.to_owned()))
        };
        let (hash, index, mutex) = (
            name("unacked_key", "unacked")?,
            name("unacked_index_key", "unacked_index")?,
            name("unacked_mutex_key", "unacked_mutex")?,
        );
        let limit = options.value("unacked_restore_limit");
        let interval = options.seconds("unacked_restore_interval", Duration::from_secs(10))?;
        let throttle = options.count("unacked_restore_throttle", 10)?;
        Ok(Self {
            mirrors: options.word("in_flight", &["fastq", "kombu"], 0)? == 1,
            restore_every: interval * throttle.max(1) as u32,
            hash,
            index,
            mutex,
            mutex_expires: options.seconds("unacked_mutex_expire", Duration::from_secs(300))?,
            visibility_timeout: options.seconds("visibility_timeout", Duration::from_secs(3600))?,
            restore_limit: limit.and_then(|limit| limit.as_u64()).map_or(1000, |limit| limit as usize),
        })
    }
}

fn steps(options: &mut Options) -> Result<Steps> {
    let Some(value) = options.value("priority_steps") else { return Ok(Steps::new(Vec::new())) };
    let step =
        |step: &Value| step.as_u64().and_then(|step| u8::try_from(step).ok()).filter(|step| *step <= 9);
    let steps = value.as_array().and_then(|steps| steps.iter().map(step).collect::<Option<Vec<u8>>>());
    steps
        .map(Steps::new)
        .ok_or_else(|| options.wrong("priority_steps", &value, "a list of numbers from 0 to 9"))
}

fn fanout(database: i64, options: &mut Options) -> Result<Fanout> {
    let prefix = match options.value("fanout_prefix") {
        None | Some(Value::Bool(true)) => format!("/{database}."),
        Some(Value::Bool(false)) => String::new(),
        Some(Value::String(prefix)) => prefix,
        Some(value) => return Err(options.wrong("fanout_prefix", &value, "true, false or text")),
    };
    Ok(Fanout { prefix, patterns: options.flag("fanout_patterns", true)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, json: &str) -> Result<RedisConfig> {
        RedisConfig::at(text, json)
    }

    #[test]
    fn kombus_options_are_read() {
        let config = read(
            "redis://:pw@cache/2?socket_timeout=1.5",
            r#"{"global_keyprefix": "app:", "priority_steps": [0, 5], "fanout_prefix": "x.", "fanout_patterns": false,
                "queue_order_strategy": "sorted", "visibility_timeout": 60, "sep": ":", "max_connections": 4,
                "unacked_restore_limit": 7, "result_global_keyprefix": "res"}"#,
        )
        .unwrap();
        assert_eq!(config.keys.key(&config.keys.list_name("q", 5)), "app:q:5");
        assert_eq!((config.fanout.prefix.as_str(), config.fanout.patterns), ("x.", false));
        assert_eq!((config.order, config.publish_timeout), (QueueOrder::Sorted, Duration::from_millis(1500)));
        assert_eq!((config.unacked.visibility_timeout.as_secs(), config.unacked.restore_limit), (60, 7));
        assert_eq!((config.database, config.results.key("1").as_str()), (2, "res_celery-task-meta-1"));
        assert!(!config.shown.contains("pw"));
        let plain = read("redis+socket:///run/r.sock?virtual_host=3", "").unwrap();
        assert_eq!((plain.database, plain.fanout.prefix.as_str()), (3, "/3."));
        assert_eq!(plain.results.key("1"), "celery-task-meta-1");
    }

    #[test]
    fn an_option_that_cannot_be_is_named() {
        for (url, json, hint) in [
            ("redis://h", r#"{"priority_steps": [0, 10]}"#, "priority_steps"),
            ("redis://h", r#"{"visibility_timeuot": 1}"#, "did you mean \"visibility_timeout\""),
            ("redis://h", r#"{"queue_order_strategy": "best"}"#, "round_robin or priority or sorted"),
            ("redis://h/one", "", "number of a database"),
            ("rediss://h?ssl_cert_reqs=perhaps", "", "ssl_cert_reqs"),
            ("rediss://h?ssl_ca_certs=/nowhere.pem", "", "/nowhere.pem"),
            ("sentinel://h", "", "master_name"),
            ("redis://h?credential_provider=a.b", "", "credential_provider"),
            ("redis://h", r#"{"max_connections": -1}"#, "max_connections"),
            ("redis://h", r#"{"socket_keepalive_options": {"TCP_KEEPIDLE": 9, "4": 1}}"#, "TCP_KEEPCNT"),
        ] {
            let error = read(url, json).err().unwrap();
            assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Unsupported), "{error}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }
}
