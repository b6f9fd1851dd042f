//! RabbitMQ's errors as ours: the one place that knows which pass by themselves.

use super::wire::method::Closing;
use crate::error::{Error, ErrorKind};

/// What came is not what AMQP says: a broken connection, or no AMQP server.
pub(super) fn malformed(what: &str) -> Error {
    let sentence = "what listens at this address does not speak AMQP 0-9-1, or the connection broke";
    Error::new(ErrorKind::Unreachable, sentence).because(what.to_owned())
}

/// The server speaks another version of AMQP: `version` is what it says.
pub(super) fn other_protocol(version: &[u8]) -> Error {
    let version: Vec<String> = version.iter().map(u8::to_string).collect();
    Error::new(
        ErrorKind::Unsupported,
        "the server speaks another version of AMQP: RabbitMQ, or what speaks AMQP 0-9-1, is needed",
    )
    .with("version", version.join("."))
}

/// An answer that does not fit what was asked.
pub(super) fn unexpected(answer: &impl std::fmt::Debug) -> Error {
    Error::new(ErrorKind::Unreachable, "the RabbitMQ server answered something else than it was asked")
        .because(format!("{answer:?}"))
}

/// The connection was ended in the middle of logging in, without a word: RabbitMQ before 3.x says no to a password so.
pub(super) fn silent_refusal() -> Error {
    Error::new(
        ErrorKind::Denied,
        "the RabbitMQ server refused user name or password: correct them in the URL",
    )
}

/// The server closes a channel or the connection, or refuses to open it.
pub(super) fn closed(closing: &Closing) -> Error {
    let Closing { code, text } = closing;
    let found = BY_TEXT.iter().find(|(known, part, ..)| known == code && text.contains(part));
    let found = found.or_else(|| BY_TEXT.iter().find(|(known, part, ..)| known == code && part.is_empty()));
    let (kind, sentence) = found.map_or(
        (ErrorKind::Unreachable, "the RabbitMQ server closed the connection"),
        |(.., kind, sentence)| (*kind, *sentence),
    );
    Error::new(kind, sentence).because(format!("{code} {text}"))
}

/// The server says that memory or disk runs out, and takes no messages.
pub(super) fn blocked(reason: &str) -> Error {
    let sentence = "the RabbitMQ server takes no messages until it has memory and disk again (an alarm blocks publishers)";
    Error::new(ErrorKind::Busy, sentence).because(reason.to_owned())
}

/// The server refused a message.
pub(super) fn refused() -> Error {
    let sentence = "the RabbitMQ server refused a message: a queue is full (x-max-length with reject-publish), or \
                    it could not be kept";
    Error::new(ErrorKind::Busy, sentence)
}

/// A server that speaks TLS answers what is none with an alert.
pub(super) fn speaks_tls() -> Error {
    let sentence = "the server speaks TLS: write amqps:// in place of amqp://, or set broker_use_ssl";
    Error::new(ErrorKind::Unreachable, sentence).permanent()
}

const LOGIN: &str = "the RabbitMQ server refused user name or password: correct them in the URL, or set \
                     broker_login_method";
const RIGHT: &str = "the RabbitMQ user may not do this: give it the right (rabbitmqctl set_permissions)";
const VHOST: &str = "the RabbitMQ user may not use this virtual host: correct the path of the URL, or give it the \
                     right (rabbitmqctl set_permissions)";

/// Code, a part of the text, kind, and what it means. Of those with the same code the first that fits counts.
const BY_TEXT: [(u16, &str, ErrorKind, &str); 18] = [
    (311, "", ErrorKind::Encode, "the message is larger than the RabbitMQ server allows (max_message_size)"),
    (320, "", ErrorKind::Unreachable, "the RabbitMQ server closed the connection"),
    (402, "", ErrorKind::Config, "the path of the URL names no virtual host of the RabbitMQ server"),
    (403, "Login was refused", ErrorKind::Denied, LOGIN),
    (403, "vhost", ErrorKind::Denied, VHOST),
    (403, "", ErrorKind::Denied, RIGHT),
    (404, "no exchange", ErrorKind::NotFound, "no exchange of this name is known to the RabbitMQ server"),
    (404, "", ErrorKind::NotFound, "the RabbitMQ server does not know this queue or exchange"),
    (
        405,
        "",
        ErrorKind::Busy,
        "the queue is another connection's alone (exclusive), or has a consumer that is its only one",
    ),
    (
        406,
        "timed out",
        ErrorKind::Busy,
        "the RabbitMQ server closed the channel of a task that ran for longer than it waits for an \
         acknowledgement: raise its limit (consumer_timeout)",
    ),
    (406, "unknown delivery tag", ErrorKind::Unreachable, "a delivery was settled twice"),
    (406, "", ErrorKind::Mismatch, "the queue or exchange exists with other properties or arguments"),
    (501, "", ErrorKind::Unreachable, "the RabbitMQ server could not read a frame"),
    (506, "", ErrorKind::Busy, "the RabbitMQ server has no room for this: too many channels or connections"),
    (
        530,
        "not found",
        ErrorKind::NotFound,
        "the path of the URL names no virtual host of the RabbitMQ server",
    ),
    (530, "", ErrorKind::Denied, VHOST),
    (540, "", ErrorKind::Unsupported, "the RabbitMQ server cannot do this"),
    (541, "", ErrorKind::Busy, "the RabbitMQ server had an error of its own: its log says more"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_temporary_and_what_does_not_is_not() {
        for (code, text, kind, temporary) in [
            (
                403,
                "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
                ErrorKind::Denied,
                false,
            ),
            (403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused", ErrorKind::Denied, false),
            (530, "NOT_ALLOWED - access to vhost '/x' refused for user 'guest'", ErrorKind::Denied, false),
            (530, "NOT_ALLOWED - vhost x not found", ErrorKind::NotFound, false),
            (404, "NOT_FOUND - no queue 'q' in vhost '/'", ErrorKind::NotFound, false),
            (406, "PRECONDITION_FAILED - inequivalent arg 'durable'", ErrorKind::Mismatch, false),
            (
                406,
                "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1 ms",
                ErrorKind::Busy,
                true,
            ),
            (320, "CONNECTION_FORCED - broker forced connection closure", ErrorKind::Unreachable, true),
            (405, "RESOURCE_LOCKED", ErrorKind::Busy, true),
            (599, "something new", ErrorKind::Unreachable, true),
        ] {
            let error = closed(&Closing { code, text: text.into() });
            assert_eq!((error.kind(), error.is_temporary()), (kind, temporary), "{code} {text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
