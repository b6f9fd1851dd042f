//! Redis's errors as ours: the one place that knows which pass by themselves.

use redis::RedisError;

use crate::error::{Error, ErrorKind};

/// One sentence a user can act on for each way a connection or a command fails.
pub(crate) fn translate(error: RedisError) -> Error {
    if let Some(code) = error.code() {
        return server_error(code, error.detail());
    }
    let (kind, sentence) = if error.is_timeout() {
        (ErrorKind::Timeout, "the Redis server did not answer in time")
    } else if error.is_connection_refusal() {
        (ErrorKind::Unreachable, "no Redis server listens at this address")
    } else {
        match error.kind() {
            redis::ErrorKind::AuthenticationFailed => {
                (ErrorKind::Denied, "the Redis server refused user name or password")
            }
            redis::ErrorKind::InvalidClientConfig => {
                (ErrorKind::Config, "the Redis URL or its TLS options cannot work")
            }
            redis::ErrorKind::Parse => (
                ErrorKind::Unreachable,
                "the reply was cut off, or what listens at this address is no Redis server",
            ),
            redis::ErrorKind::MasterNameNotFoundBySentinel | redis::ErrorKind::EmptySentinelList => {
                (ErrorKind::Unreachable, "no sentinel knows a master of this name")
            }
            _ => (ErrorKind::Unreachable, "the connection to the Redis server broke"),
        }
    };
    Error::new(kind, sentence).because(error)
}

/// An error that the server answered.
pub(crate) fn server_error(code: &str, detail: Option<&str>) -> Error {
    let detail = detail.unwrap_or_default();
    let by_code = BY_CODE.iter().find(|(known, ..)| *known == code);
    let found = by_code.or_else(|| BY_DETAIL.iter().find(|(part, ..)| detail.contains(part)));
    let (kind, sentence) = found
        .map_or((ErrorKind::Unexpected, "the Redis server refused a command"), |(_, kind, sentence)| {
            (*kind, *sentence)
        });
    Error::new(kind, sentence).because(format!("{code} {detail}"))
}

/// What begins an answer, its kind, and what it means.
const BY_CODE: [(&str, ErrorKind, &str); 17] = [
    (
        "NOAUTH",
        ErrorKind::Denied,
        "the Redis server wants a password: write it into the URL, redis://:password@host:6379/0",
    ),
    (
        "WRONGPASS",
        ErrorKind::Denied,
        "the Redis server refused user name or password: correct them in the URL",
    ),
    (
        "NOPERM",
        ErrorKind::Denied,
        "the Redis user may not run this command or use this key: give it the right (ACL SETUSER)",
    ),
    (
        "READONLY",
        ErrorKind::Busy,
        "the Redis server is a replica and takes no writes: name its master, or its sentinels (sentinel://)",
    ),
    ("MASTERDOWN", ErrorKind::Busy, "the Redis server is a replica that has lost its master"),
    ("LOADING", ErrorKind::Busy, "the Redis server is still loading its data: try again when it has"),
    ("OOM", ErrorKind::Busy, "the Redis server is out of memory: make room, or raise its limit (maxmemory)"),
    ("MISCONF", ErrorKind::Busy, "the Redis server refuses writes because it cannot save to its disk"),
    ("NOREPLICAS", ErrorKind::Busy, "the Redis server refuses writes because it has too few replicas"),
    ("BUSY", ErrorKind::Busy, "the Redis server is busy with a script"),
    ("TRYAGAIN", ErrorKind::Busy, "the Redis cluster cannot serve now"),
    ("CLUSTERDOWN", ErrorKind::Busy, "the Redis cluster cannot serve now"),
    ("MOVED", ErrorKind::Unsupported, NO_CLUSTER),
    ("ASK", ErrorKind::Unsupported, NO_CLUSTER),
    ("CROSSSLOT", ErrorKind::Unsupported, NO_CLUSTER),
    (
        "WRONGTYPE",
        ErrorKind::Mismatch,
        "a key of the queue holds something else: choose another key prefix (global_keyprefix)",
    ),
    ("EXECABORT", ErrorKind::Busy, "the Redis server refused a command of a transaction"),
];

/// What is part of an answer whose beginning says nothing.
const BY_DETAIL: [(&str, ErrorKind, &str); 6] = [
    (
        "max number of clients",
        ErrorKind::Busy,
        "the Redis server has as many clients as it allows: close some, or raise its limit (maxclients)",
    ),
    ("unknown command", ErrorKind::Unsupported, TOO_OLD),
    ("unknown subcommand", ErrorKind::Unsupported, TOO_OLD),
    (
        "without any password configured",
        ErrorKind::Denied,
        "the URL has a password and the Redis server none: take it out of the URL",
    ),
    ("invalid password", ErrorKind::Denied, "the Redis server refused the password: correct it in the URL"),
    ("DB index", ErrorKind::Config, "the Redis server has no database of this number: correct it in the URL"),
];

const NO_CLUSTER: &str =
    "the server is part of a Redis Cluster, which cannot be a broker: use a single server or sentinels";
const TOO_OLD: &str = "the server lacks a command: Redis 6.2, Valkey 7.2 or later is needed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_temporary_and_what_does_not_is_not() {
        for (code, detail, kind, temporary) in [
            ("NOAUTH", "Authentication required.", ErrorKind::Denied, false),
            ("WRONGPASS", "invalid username-password pair or user is disabled.", ErrorKind::Denied, false),
            ("NOPERM", "this user has no permissions", ErrorKind::Denied, false),
            ("READONLY", "You can't write against a read only replica.", ErrorKind::Busy, true),
            ("OOM", "command not allowed when used memory > 'maxmemory'.", ErrorKind::Busy, true),
            ("LOADING", "Redis is loading the dataset in memory", ErrorKind::Busy, true),
            ("ERR", "max number of clients reached", ErrorKind::Busy, true),
            ("ERR", "unknown command 'LMOVE'", ErrorKind::Unsupported, false),
            ("ERR", "DB index is out of range", ErrorKind::Config, false),
            ("WRONGTYPE", "Operation against a key", ErrorKind::Mismatch, false),
            ("ERR", "something new", ErrorKind::Unexpected, false),
        ] {
            let error = server_error(code, Some(detail));
            assert_eq!((error.kind(), error.is_temporary()), (kind, temporary), "{code} {detail}");
            assert!(error.to_string().contains(detail), "{error}");
        }
    }

    #[test]
    fn a_refused_connection_and_one_without_answer_are_temporary() {
        for (kind, expected) in [
            (std::io::ErrorKind::ConnectionRefused, ErrorKind::Unreachable),
            (std::io::ErrorKind::ConnectionReset, ErrorKind::Unreachable),
            (std::io::ErrorKind::UnexpectedEof, ErrorKind::Unreachable),
            (std::io::ErrorKind::TimedOut, ErrorKind::Timeout),
            (std::io::ErrorKind::WouldBlock, ErrorKind::Timeout),
        ] {
            let error = translate(RedisError::from(std::io::Error::from(kind)));
            assert_eq!((error.kind(), error.is_temporary()), (expected, true), "{kind}");
        }
    }
}
