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
    let (kind, sentence) = match code {
        "NOAUTH" => (ErrorKind::Denied, "the Redis server wants a password; give it in the URL"),
        "WRONGPASS" => (ErrorKind::Denied, "the Redis server refused user name or password"),
        "NOPERM" => (ErrorKind::Denied, "the Redis user may not run this command or touch this key"),
        "READONLY" => (ErrorKind::Busy, "the Redis server is a replica for now; a failover may be under way"),
        "MASTERDOWN" => (ErrorKind::Busy, "the Redis server is a replica that has lost its master"),
        "LOADING" => (ErrorKind::Busy, "the Redis server is still loading its data"),
        "OOM" => {
            (ErrorKind::Busy, "the Redis server is out of memory (maxmemory); make room or raise the limit")
        }
        "MISCONF" => (ErrorKind::Busy, "the Redis server refuses writes because it cannot save to its disk"),
        "NOREPLICAS" => (ErrorKind::Busy, "the Redis server refuses writes because it has too few replicas"),
        "BUSY" => (ErrorKind::Busy, "the Redis server is busy with a script"),
        "TRYAGAIN" | "CLUSTERDOWN" => (ErrorKind::Busy, "the Redis cluster cannot serve now"),
        "MOVED" | "ASK" | "CROSSSLOT" => (
            ErrorKind::Unsupported,
            "the server is part of a Redis Cluster, which cannot be a broker; use a single server or Sentinel",
        ),
        "WRONGTYPE" => {
            (ErrorKind::Mismatch, "a key of the queue holds something else; choose another key prefix")
        }
        "EXECABORT" => (ErrorKind::Busy, "the Redis server refused a command of a transaction"),
        _ if detail.contains("max number of clients") => {
            (ErrorKind::Busy, "the Redis server has as many clients as it allows (maxclients)")
        }
        _ if detail.contains("unknown command") || detail.contains("unknown subcommand") => {
            (ErrorKind::Unsupported, "the server lacks a command; Redis 6.2, Valkey 7.2 or later is needed")
        }
        _ if detail.contains("without any password configured") => {
            (ErrorKind::Denied, "the URL has a password and the Redis server none; take it out of the URL")
        }
        _ if detail.contains("invalid password") => {
            (ErrorKind::Denied, "the Redis server refused user name or password")
        }
        _ if detail.contains("DB index") => {
            (ErrorKind::Config, "the Redis server has no database of this number")
        }
        _ => (ErrorKind::Unexpected, "the Redis server refused a command"),
    };
    Error::new(kind, sentence).because(format!("{code} {detail}"))
}

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
