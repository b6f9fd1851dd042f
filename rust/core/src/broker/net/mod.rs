//! Blocking connections for clients of servers: sockets with a limit on all they do, TLS, and a keeper that lends them.
//! No thread, no runtime: it must work in a process that was forked.

mod address;
pub(super) mod error;
mod keeper;
mod stream;
mod tls;

pub(super) use address::{credentials, decoded, host_and_port};
pub(crate) use keeper::{Home, Keeper, Terms};
pub(crate) use stream::Stream;
pub(super) use stream::{Dial, KeepAlive};
pub(super) use tls::Tls;

/// A kind of server, for sentences about it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Such as `Redis server`.
    pub(crate) name: &'static str,
    /// How URLs begin that lead to it without TLS.
    pub(crate) plain: &'static str,
    /// And with it.
    pub(crate) secure: &'static str,
    /// Over TLS it is believed when nothing is said of certificates, as kombu does.
    pub(crate) trusting: bool,
}
