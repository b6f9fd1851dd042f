//! Broker and store URLs: `memory://name`, `sqlite:///relative/path.db`, `sqlite:////absolute/path.db`,
//! `redis://user:password@host:6379/0` and its kin.
//!
//! A URL may carry secrets, so what [`BrokerUrl`] shows of itself has them hidden.

use std::fmt;
use std::path::PathBuf;

use super::nearest::nearest;
use crate::error::{Error, ErrorKind, Result};

/// What this version connects to, for error messages.
pub const SUPPORTED: &str = "memory://name, sqlite:///relative/path.db, sqlite:////absolute/path.db, \
redis://host:6379/0, rediss://, redis+socket:///path/to.sock, sentinel://host:26379, \
amqp://host:5672//, amqps://";

/// Schemes that work, and whose address is a path or a name: no credentials stand in it.
const BUILT_IN: [&str; 2] = ["memory", "sqlite"];
/// Schemes of Redis and what speaks like it.
const REDIS: [&str; 5] = ["redis", "rediss", "redis+socket", "unix", "sentinel"];
/// Schemes of RabbitMQ and what speaks like it.
const AMQP: [&str; 3] = ["amqp", "amqps", "pyamqp"];
/// Words in the name of a query parameter whose value must not be shown.
const SECRET_WORDS: [&str; 4] = ["password", "secret", "token", "key"];

/// A URL that could be read. `Display` and `Debug` hide passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    scheme: String,
    target: Target,
    options: Vec<(String, String)>,
    display: String,
}

/// What a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Queues of this process, by name.
    Memory(String),
    /// A database file; a relative path counts from the working directory.
    Sqlite(PathBuf),
    /// A Redis server, or what speaks like one.
    Redis(Server),
    /// A RabbitMQ server, or what speaks like one.
    Amqp(Server),
    /// Replies through the broker, each to the queue of its caller.
    Rpc,
    /// A server that this version does not speak to.
    Elsewhere,
}

/// Scheme and address of a server; the address may hold a password, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Such as `rediss`.
    pub scheme: String,
    /// What stands between `://` and the question mark.
    pub address: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&hidden(&format!("{}://{}", self.scheme, self.address))).finish()
    }
}

impl BrokerUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Config` when it names nothing that is known, with what was probably meant.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let display = hidden(text);
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(malformed("a URL begins with a scheme, such as sqlite:///queue.db", &display));
        };
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let target = match scheme {
            "memory" => Target::Memory(address.trim_matches('/').to_owned()),
            "sqlite" => Target::Sqlite(sqlite_path(address, &display)?),
            _ if REDIS.contains(&scheme) && cfg!(feature = "redis") => {
                Target::Redis(Server { scheme: scheme.to_owned(), address: address.to_owned() })
            }
            _ if AMQP.contains(&scheme) && cfg!(feature = "amqp") => {
                Target::Amqp(Server { scheme: scheme.to_owned(), address: address.to_owned() })
            }
            "rpc" if cfg!(feature = "amqp") => Target::Rpc,
            _ if REDIS.contains(&scheme) || AMQP.contains(&scheme) || scheme == "rpc" => Target::Elsewhere,
            _ => return Err(unknown_scheme(scheme, &display)),
        };
        let options = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        });
        Ok(Self { scheme: scheme.to_owned(), target, options: options.collect(), display })
    }

    /// Such as `sqlite`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What it names.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Options given in the URL itself, after the question mark.
    pub fn options(&self) -> &[(String, String)] {
        &self.options
    }

    /// Whether this version has a broker for it.
    pub fn is_supported(&self) -> bool {
        !matches!(self.target, Target::Elsewhere | Target::Rpc)
    }

    /// Whether results can live there, written by the core.
    pub fn has_native_store(&self) -> bool {
        !matches!(self.target, Target::Elsewhere | Target::Amqp(_))
    }

    /// The error for a server that this version does not speak to.
    pub fn unsupported(&self) -> Error {
        Error::new(
            ErrorKind::Unsupported,
            format!("this version has no {} broker; it has {SUPPORTED}", self.scheme),
        )
        .with("url", self)
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BrokerUrl").field(&self.display).finish()
    }
}

fn sqlite_path(address: &str, display: &str) -> Result<PathBuf> {
    let Some(path) = address.strip_prefix('/') else {
        return Err(malformed(
            "a path follows three slashes (sqlite:///queue.db), an absolute one four",
            display,
        ));
    };
    if path.is_empty() || path.ends_with('/') {
        return Err(malformed("the URL names no file; write sqlite:///queue.db", display));
    }
    if path == ":memory:" {
        return Err(malformed("queues in memory have the URL memory://", display));
    }
    if path.contains('\0') {
        return Err(malformed("a path cannot hold a NUL character", display));
    }
    Ok(PathBuf::from(path))
}

fn unknown_scheme(scheme: &str, display: &str) -> Error {
    let hint = match nearest(scheme, BUILT_IN.into_iter().chain(REDIS).chain(AMQP)) {
        Some(near) => format!("did you mean {near}://? "),
        None => String::new(),
    };
    malformed(&format!("unknown scheme {scheme:?}; {hint}This version has {SUPPORTED}"), display)
}

fn malformed(message: &str, display: &str) -> Error {
    Error::new(ErrorKind::Config, message).with("url", display)
}

/// The URL with every password replaced by `**`, as Celery shows them; of several with `;` between them, each.
fn hidden(text: &str) -> String {
    if AMQP.iter().any(|scheme| text.starts_with(&format!("{scheme}://"))) {
        // A password may hold a semicolon: the next URL begins behind the last one before its scheme.
        let mut rest = text;
        let mut shown = Vec::new();
        let next = |rest: &str| AMQP.iter().filter_map(|scheme| rest.find(&format!(";{scheme}://"))).min();
        while let Some(place) = next(rest) {
            shown.push(hidden_one(&rest[..place]));
            rest = &rest[place + 1..];
        }
        shown.push(hidden_one(rest));
        return shown.join(";");
    }
    hidden_one(text)
}

fn hidden_one(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (address, query) =
        rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    // The last `@` ends the credentials: a password may hold unescaped ones. A path has none.
    let is_path = BUILT_IN.iter().any(|scheme| text.starts_with(&format!("{scheme}://")));
    let address = match address.rsplit_once('@') {
        Some((credentials, host)) if !is_path => match credentials.split_once(':') {
            Some((user, _)) => format!("{user}:**@{host}"),
            None => format!("{credentials}@{host}"),
        },
        _ => address.to_owned(),
    };
    let query = query.map_or_else(String::new, |query| {
        let pairs: Vec<String> = query.split('&').map(hidden_pair).collect();
        format!("?{}", pairs.join("&"))
    });
    format!("{scheme}{address}{query}")
}

fn hidden_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((key, _)) if SECRET_WORDS.iter().any(|word| key.to_lowercase().contains(word)) => {
            format!("{key}=**")
        }
        _ => pair.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_memory_files_and_servers() {
        for (text, target) in [
            ("memory://", Target::Memory(String::new())),
            ("memory://tests", Target::Memory("tests".into())),
            ("sqlite:///queue.db", Target::Sqlite("queue.db".into())),
            ("sqlite:///.fastq/queue.db", Target::Sqlite(".fastq/queue.db".into())),
            ("sqlite:////var/lib/queue.db", Target::Sqlite("/var/lib/queue.db".into())),
            ("sqlite:///a b.db?synchronous=full", Target::Sqlite("a b.db".into())),
            ("amqps://u:p@h//", Target::Amqp(Server { scheme: "amqps".into(), address: "u:p@h//".into() })),
            ("rpc://", Target::Rpc),
        ] {
            assert_eq!(BrokerUrl::parse(text).unwrap().target(), &target, "{text}");
        }
        let url = BrokerUrl::parse("sqlite:///a.db?synchronous=full&x").unwrap();
        assert_eq!(url.options(), [("synchronous".into(), "full".into()), ("x".into(), String::new())]);
    }

    #[test]
    fn a_url_that_cannot_be_read_says_what_was_probably_meant() {
        for (text, hint) in [
            ("queue.db", "begins with a scheme"),
            ("sqlite://queue.db", "three slashes"),
            ("sqlite:///", "names no file"),
            ("sqlite:///:memory:", "memory://"),
            ("sqlit:///queue.db", "did you mean sqlite://"),
            ("memroy://", "did you mean memory://"),
            ("postgresql://h/d", "This version has"),
        ] {
            let error = BrokerUrl::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.to_string().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_server_of_a_later_version_is_refused_by_name() {
        let error = BrokerUrl::parse("rpc://user:hunter2@cache").unwrap().unsupported();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("no rpc broker"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn passwords_are_hidden_wherever_the_url_is_shown() {
        for (text, shown) in [
            ("redis://user:hunter2@host/0", "redis://user:**@host/0"),
            ("redis://:hun@ter2@host/0", "redis://:**@host/0"),
            ("amqp://user@host", "amqp://user@host"),
            ("amqp://a:hunter2@b;amqps://c:hunter2@d/v", "amqp://a:**@b;amqps://c:**@d/v"),
            ("sqlite:////srv/a:b@c/q.db", "sqlite:////srv/a:b@c/q.db"),
            ("redis://host?password=hunter2&db=1", "redis://host?password=**&db=1"),
        ] {
            let url = BrokerUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?} {:?}", url.target()).contains("hunter2"));
        }
        let error = BrokerUrl::parse("rediz://user:hunter2@host").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
