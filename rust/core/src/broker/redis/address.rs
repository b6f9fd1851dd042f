//! What stands in a Redis URL between `://` and the question mark (kombu-layouts.md §2.7).

use crate::broker::net::{self, decoded, host_and_port};
use crate::broker::options::Options;
use crate::error::{Error, ErrorKind, Result};

/// Where the server is, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) login: Login,
    pub(super) database: i64,
    /// Whether the URL says so.
    has_host: bool,
    has_database: bool,
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Host(String, u16),
    Socket(String),
    /// Sentinels, who know the master.
    Sentinels(Vec<(String, u16)>),
}

/// Who asks. Without a name it is the server's default user.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl Address {
    fn at(place: Place, login: Login) -> Self {
        Self { place, login, database: 0, has_host: false, has_database: false }
    }

    /// Reads the address of a URL with this scheme.
    ///
    /// # Errors
    /// `Config` when a port or a database is no number.
    pub(super) fn parse(scheme: &str, address: &str) -> Result<Self> {
        match scheme {
            "redis+socket" | "unix" => {
                let (login, path) = credentials(address)?;
                if !path.starts_with('/') {
                    return Err(malformed("the path of a socket is absolute: redis+socket:///path/to.sock"));
                }
                Ok(Self::at(Place::Socket(decoded(path)?), login))
            }
            "sentinel" => Self::of_sentinels(address),
            _ => {
                let (login, rest) = credentials(address)?;
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let (name, port) = host_and_port(host, PORT)?;
                let (database, has_database) = (database(path)?, !path.trim_matches('/').is_empty());
                Ok(Self {
                    database,
                    has_database,
                    has_host: !host.is_empty(),
                    ..Self::at(Place::Host(name, port), login)
                })
            }
        }
    }

    /// The address, with what the URL does not say taken from options of the same names.
    ///
    /// # Errors
    /// `Config` when an option cannot be what it should be.
    pub(super) fn completed(mut self, options: &mut Options) -> Result<Self> {
        let number = (options.text("virtual_host")?, options.text("db")?);
        if let (Some(number), _) | (None, Some(number)) = number
            && !self.has_database
        {
            self.database = database(&number)?;
        }
        let (user, password) = (options.text("username")?, options.text("password")?);
        if self.login.password.is_none() {
            self.login = Login { user: self.login.user.or(user), password };
        }
        let (host, port) = (options.text("host")?, options.count("port", 0)?);
        if let Place::Host(known, known_port) = &mut self.place
            && !self.has_host
        {
            *known = host.unwrap_or_else(|| known.clone());
            *known_port = u16::try_from(port).ok().filter(|port| *port != 0).unwrap_or(*known_port);
        }
        Ok(self)
    }

    /// `:pw@h1:26379;sentinel://h2:26379/0`
    fn of_sentinels(address: &str) -> Result<Self> {
        let (mut login, mut number, mut sentinels) = (Login::default(), None, Vec::new());
        for part in address.split(';').filter(|part| !part.is_empty()) {
            let part = part.strip_prefix("sentinel://").unwrap_or(part);
            let (found, rest) = credentials(part)?;
            if found.password.is_some() {
                login = found;
            }
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            if !path.is_empty() {
                number = Some(database(path)?);
            }
            sentinels.push(host_and_port(host, SENTINEL_PORT)?);
        }
        Ok(Self {
            database: number.unwrap_or(0),
            has_database: number.is_some(),
            ..Self::at(Place::Sentinels(sentinels), login)
        })
    }
}

fn credentials(address: &str) -> Result<(Login, &str)> {
    let (user, password, rest) = net::credentials(address)?;
    Ok((Login { user, password }, rest))
}

/// The number of a database in a path or an option; none is 0.
pub(super) fn database(text: &str) -> Result<i64> {
    match text.trim_matches('/') {
        "" => Ok(0),
        number => number.parse().map_err(|_| {
            malformed("the path of a Redis URL is the number of a database, as in redis://localhost:6379/0")
        }),
    }
}

fn malformed(message: &str) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, port: u16) -> Place {
        Place::Host(host.into(), port)
    }

    #[test]
    fn every_form_of_url_that_celery_takes_is_read() {
        for (scheme, text, place, user, password, database) in [
            ("redis", "", host("localhost", 6379), None, None, 0),
            ("redis", "cache", host("cache", 6379), None, None, 0),
            ("redis", "cache:7000/3", host("cache", 7000), None, None, 3),
            ("redis", ":p%40ss@cache/1", host("cache", 6379), None, Some("p@ss"), 1),
            ("redis", "me:a:b@c@cache", host("cache", 6379), Some("me"), Some("a:b@c"), 0),
            ("rediss", "me@[::1]:6380/", host("::1", 6380), Some("me"), None, 0),
            ("redis", "100%:%zz@h", host("h", 6379), Some("100%"), Some("%zz"), 0),
            ("redis+socket", "/run/redis.sock", Place::Socket("/run/redis.sock".into()), None, None, 0),
            ("unix", ":pw@/run/a%20b.sock", Place::Socket("/run/a b.sock".into()), None, Some("pw"), 0),
            (
                "sentinel",
                ":pw@h1:1;sentinel://h2/2;h3:3",
                Place::Sentinels(vec![("h1".into(), 1), ("h2".into(), 26379), ("h3".into(), 3)]),
                None,
                Some("pw"),
                2,
            ),
        ] {
            let found = Address::parse(scheme, text).unwrap();
            assert_eq!(found.place, place, "{text}");
            assert_eq!(found.login.user.as_deref(), user, "{text}");
            assert_eq!(found.login.password.as_deref(), password, "{text}");
            assert_eq!(found.database, database, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_config_error() {
        for (scheme, text) in
            [("redis", "h:port"), ("redis", "h/db"), ("redis+socket", "run/x.sock"), ("redis", "%ff")]
        {
            assert_eq!(Address::parse(scheme, text).err().unwrap().kind(), ErrorKind::Config, "{text}");
        }
    }
}
