//! Errors of connections, as sentences about the server that was to be reached.

use std::io;

use super::Peer;
use crate::error::{Error, ErrorKind};

/// A connection that could not be made.
pub(crate) fn not_reached(peer: &Peer, error: io::Error) -> Error {
    let name = peer.name;
    let (kind, sentence) = match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => (
            ErrorKind::Unreachable,
            format!("no {name} listens at this address: start one, or correct host and port"),
        ),
        io::ErrorKind::PermissionDenied => {
            (ErrorKind::Denied, format!("the socket of the {name} may not be opened by this user"))
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            (ErrorKind::Timeout, format!("the {name} could not be reached in time: is the address right?"))
        }
        _ => (ErrorKind::Unreachable, format!("the {name} cannot be reached")),
    };
    Error::new(kind, sentence).because(error)
}

/// No answer came within the limit.
pub(crate) fn too_late(peer: &Peer) -> Error {
    Error::new(ErrorKind::Timeout, format!("the {} did not answer in time", peer.name))
}

/// A connection that failed.
pub(crate) fn of_stream(peer: &Peer, error: io::Error) -> Error {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(peer, tls.clone());
    }
    let name = peer.name;
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => too_late(peer),
        io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::Unreachable, format!("the {name} closed the connection"))
        }
        _ => Error::new(ErrorKind::Unreachable, format!("the connection to the {name} broke")).because(error),
    }
}

/// A handshake that failed. A server without TLS waits for more of what it takes for a command.
pub(crate) fn of_handshake(peer: &Peer, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            let sentence = format!("the {} did not answer the TLS handshake", peer.name);
            Error::new(ErrorKind::Timeout, sentence).because(format!(
                "if it does not speak TLS, write {} in place of {}, or take broker_use_ssl away",
                peer.plain, peer.secure
            ))
        }
        _ => of_stream(peer, error),
    }
}

fn of_tls(peer: &Peer, error: rustls::Error) -> Error {
    let Peer { name, plain, secure, .. } = peer;
    let (kind, sentence) = match &error {
        rustls::Error::InvalidMessage(_) => (
            ErrorKind::Unreachable,
            format!(
                "the {name} does not speak TLS: write {plain} in place of {secure}, or take broker_use_ssl away"
            ),
        ),
        rustls::Error::InvalidCertificate(_) => (
            ErrorKind::Denied,
            format!("the certificate of the {name} is not trusted: name its authority in ssl_ca_certs"),
        ),
        rustls::Error::AlertReceived(_) => (
            ErrorKind::Denied,
            format!(
                "the {name} ended the TLS handshake: it may want a certificate, ssl_certfile and ssl_keyfile"
            ),
        ),
        _ => (ErrorKind::Unreachable, format!("the TLS connection to the {name} failed")),
    };
    Error::new(kind, sentence).because(error)
}
