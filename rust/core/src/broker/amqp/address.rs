//! What stands in an AMQP URL between `://` and the question mark: one server, or several with `;` between them.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::broker::net::{credentials, decoded, host_and_port};
use crate::error::Result;

const PORT: u16 = 5672;
const SECURE_PORT: u16 = 5671;
/// The user every server has, from its own machine only.
const GUEST: &str = "guest";

/// One server, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) vhost: String,
    /// Its own scheme asks for TLS.
    pub(super) secure: bool,
}

impl Place {
    /// Reads the servers of a URL with this scheme.
    ///
    /// # Errors
    /// `Config` when a port is no number.
    pub(super) fn parse_all(scheme: &str, address: &str) -> Result<Vec<Self>> {
        let mut places = Vec::new();
        for part in address.split(';').map(str::trim) {
            let (scheme, part) = part.split_once("://").unwrap_or((scheme, part));
            if !part.is_empty() || places.is_empty() {
                places.push(Self::parse(scheme, part)?);
            }
        }
        Ok(places)
    }

    fn parse(scheme: &str, address: &str) -> Result<Self> {
        let secure = scheme == "amqps";
        let (user, password, rest) = credentials(address)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = host_and_port(host, if secure { SECURE_PORT } else { PORT })?;
        let vhost = if path.is_empty() { "/".to_owned() } else { decoded(path)? };
        let user = user.unwrap_or_else(|| GUEST.to_owned());
        let password = password.unwrap_or_else(|| GUEST.to_owned());
        Ok(Self { host, port, user, password, vhost, secure })
    }
}

/// Several servers, and which of them is tried first.
pub(super) struct Places {
    pub(super) all: Vec<Place>,
    strategy: Strategy,
    /// The one that worked last, or that is to be tried next. Shared by all connections of a broker.
    next: AtomicUsize,
}

/// In which order several servers are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// As they are written, going on from one that failed.
    RoundRobin,
    /// In another order each time.
    Shuffle,
}

impl Places {
    pub(super) fn new(all: Vec<Place>, strategy: Strategy) -> Self {
        Self { all, strategy, next: AtomicUsize::new(0) }
    }

    /// The servers in the order in which to try them now, by number.
    pub(super) fn order(&self) -> Vec<usize> {
        let count = self.all.len();
        let mut order: Vec<usize> = (0..count).collect();
        match self.strategy {
            Strategy::RoundRobin => order.rotate_left(self.next.load(Ordering::Relaxed) % count.max(1)),
            Strategy::Shuffle => {
                for place in (1..count).rev() {
                    order.swap(place, (crate::ident::random() % (place as u64 + 1)) as usize);
                }
            }
        }
        order
    }

    /// This one works.
    pub(super) fn works(&self, number: usize) {
        self.next.store(number, Ordering::Relaxed);
    }
}

impl Clone for Places {
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), strategy: self.strategy, next: AtomicUsize::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, port: u16, user: &str, password: &str, vhost: &str, secure: bool) -> Place {
        let [host, user, password, vhost] = [host, user, password, vhost].map(str::to_owned);
        Place { host, port, user, password, vhost, secure }
    }

    #[test]
    fn every_form_of_url_that_celery_takes_is_read() {
        for (scheme, text, expected) in [
            ("amqp", "", place("localhost", 5672, "guest", "guest", "/", false)),
            ("amqp", "h", place("h", 5672, "guest", "guest", "/", false)),
            ("amqp", "h/", place("h", 5672, "guest", "guest", "/", false)),
            ("pyamqp", "u:p%40ss@h:1//", place("h", 1, "u", "p@ss", "/", false)),
            ("amqp", "u:a@b@h/app", place("h", 5672, "u", "a@b", "app", false)),
            ("amqps", "u@[::1]/%2Fa%20b", place("::1", 5671, "u", "guest", "/a b", true)),
        ] {
            assert!(Place::parse_all(scheme, text).unwrap() == [expected], "{text}");
        }
        let several = Place::parse_all("amqp", "u:p@a/v;amqps://b;c:7//").unwrap();
        let found: Vec<_> = several.iter().map(|place| (&*place.host, place.port, &*place.vhost)).collect();
        assert_eq!(found, [("a", 5672, "v"), ("b", 5671, "/"), ("c", 7, "/")]);
        assert!(Place::parse_all("amqp", "h:port").is_err());
    }

    #[test]
    fn servers_are_tried_in_turn_beginning_with_the_one_that_worked() {
        let all = Place::parse_all("amqp", "a;b;c").unwrap();
        let places = Places::new(all.clone(), Strategy::RoundRobin);
        assert_eq!(places.order(), [0, 1, 2]);
        places.works(1);
        assert_eq!(places.order(), [1, 2, 0]);
        let shuffled = Places::new(all, Strategy::Shuffle);
        let mut order = shuffled.order();
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
        assert!((0..200).any(|_| shuffled.order() != [0, 1, 2]));
    }
}
