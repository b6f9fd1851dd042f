//! What opening a connection takes, blocking or not: where to, and the first words.

use std::sync::Arc;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, TlsCertificates, Value,
};

use super::address::Login;
use super::config::RedisConfig;
use super::error::translate;
use super::wire::{Batch, Replies, string};
use crate::error::{Error, ErrorKind, Result};

/// How a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A question, an answer.
    Commands,
    /// The server speaks unasked, too: the third version of its protocol.
    Listening,
}

/// A client of a server found by host and port, over TLS where that is asked for.
pub(super) fn client_of_host(config: &RedisConfig, host: &str, port: u16, usage: Use) -> Result<Client> {
    let tls = config.tls.as_ref();
    let address = match tls {
        None => ConnectionAddr::Tcp(host.to_owned(), port),
        Some(tls) => {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: tls.insecure, tls_params: None }
        }
    };
    let information = information(config, address, usage)?;
    match tls {
        None => Client::open(information),
        Some(tls) => {
            let client_tls = tls
                .own
                .as_ref()
                .map(|own| ClientTlsConfig { client_cert: own.chain.clone(), client_key: own.key.clone() });
            let certificates = TlsCertificates { client_tls, root_cert: tls.authorities.clone() };
            Client::build_with_tls(information, certificates)
        }
    }
    .map_err(translate)
}

/// A client of a server behind a Unix socket.
pub(super) fn client_of_socket(config: &RedisConfig, path: &str, usage: Use) -> Result<Client> {
    Client::open(information(config, ConnectionAddr::Unix(path.into()), usage)?).map_err(translate)
}

/// For commands the library says no word of its own when it connects, because no limit of time would hold for it.
fn information(config: &RedisConfig, address: ConnectionAddr, usage: Use) -> Result<ConnectionInfo> {
    let information = address.into_connection_info().map_err(translate)?;
    let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    if usage == Use::Listening {
        settings = settings.set_protocol(ProtocolVersion::RESP3);
        // The version is chosen with the login: before it the server would not listen.
        if let Some(password) = &config.login.password {
            settings = settings.set_password(password);
            settings = settings.set_username(config.login.user.as_deref().unwrap_or("default"));
        }
    }
    Ok(information.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// Asked alone before everything else: a server that has too many clients answers once and hangs up.
pub(super) fn knock() -> Batch {
    let mut batch = Batch::new();
    batch.add(&[b"PING"]);
    batch
}

/// Whether the answer to the [`knock`] lets us in. That a password is wanted, or data still being loaded, comes up
/// with the first command that matters.
pub(super) fn answered(mut replies: Replies) -> Result<()> {
    match replies.next() {
        Err(error) if error.to_string().contains("maxclients") => Err(error),
        _ => Ok(()),
    }
}

/// The first words on a connection: who we are, which database, and who the server says we are.
pub(super) fn greeting(config: &RedisConfig) -> Batch {
    let mut batch = login(&config.login);
    if config.database != 0 {
        batch.add(&[b"SELECT", config.database.to_string().as_bytes()]);
    }
    if let Some(name) = &config.client_name {
        batch.add(&[b"CLIENT", b"SETNAME", name.as_bytes()]);
    }
    batch.add(&[b"CLIENT", b"ID"]);
    batch.add(&[b"TIME"]);
    batch
}

/// The question which server this is.
pub(super) fn which_server(batch: &mut Batch) {
    batch.add(&[b"INFO", b"server"]);
}

/// Reads the answer to [`which_server`]: the name a server gives itself when it starts. Empty when it does not tell.
pub(super) fn server(replies: &mut Replies) -> Arc<str> {
    let told = replies.bytes().ok().flatten().unwrap_or_default();
    let told = String::from_utf8_lossy(&told);
    told.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim().into()
}

/// A connection as its server names it. Another server, and the same one after it was started again, gives the same
/// number to somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientName {
    server: Arc<str>,
    number: i64,
}

impl ClientName {
    /// A connection that can be named; `None` where the server does not tell.
    pub(super) fn new(server: &Arc<str>, number: i64) -> Option<Self> {
        (number != 0 && !server.is_empty()).then(|| Self { server: Arc::clone(server), number })
    }

    /// Its number on this server; `None`: it is one of another server.
    pub(super) fn number_on(&self, server: &str) -> Option<String> {
        (*self.server == *server).then(|| self.number.to_string())
    }
}

/// Adds the commands that end those connections that are to this server.
pub(super) fn end_clients<'a>(
    clients: impl Iterator<Item = &'a ClientName>,
    server: &str,
    batch: &mut Batch,
) {
    for number in clients.filter_map(|client| client.number_on(server)) {
        batch.add(&[b"CLIENT", b"KILL", b"ID", number.as_bytes()]);
    }
}

/// What the server answered to the [`greeting`].
#[derive(Clone, Debug, Default)]
pub(super) struct Welcome {
    /// The connection's number, by which another one may end it.
    pub(super) client: i64,
    /// Which server it is, where it was asked ([`which_server`]).
    pub(super) server: Arc<str>,
    /// The server's clock, in milliseconds since 1970.
    pub(super) time: i64,
}

/// Reads the answer to the [`greeting`], which had `sent` commands.
pub(super) fn welcome(replies: &mut Replies, sent: usize) -> Result<Welcome> {
    replies.skip(sent - 2)?;
    // A server behind a proxy may not tell; then nothing needs to be ended either.
    let client = replies.int().unwrap_or(0);
    let time = time(replies.array().unwrap_or_default());
    Ok(Welcome { client, server: Arc::default(), time })
}

/// The server's clock, in milliseconds since 1970; 0 when it does not tell.
pub(super) fn time(told: Vec<Value>) -> i64 {
    let mut parts = told.into_iter().map(|part| string(part).ok()?.parse::<i64>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(seconds), Some(microseconds)) => seconds * 1000 + microseconds / 1000,
        _ => 0,
    }
}

/// The question to a sentinel.
pub(super) fn question(config: &RedisConfig) -> Batch {
    let mut batch = login(&config.sentinel_login);
    batch.add(&[b"SENTINEL", b"get-master-addr-by-name", config.master.as_bytes()]);
    batch
}

/// A sentinel's answer: host and port of the master; `None` when it knows none of that name.
pub(super) fn master(mut replies: Replies, sent: usize) -> Result<Option<(String, u16)>> {
    replies.skip(sent - 1)?;
    let mut parts = replies.array()?.into_iter();
    let (Some(host), Some(port)) = (parts.next(), parts.next()) else { return Ok(None) };
    let port = string(port)?.parse();
    Ok(port.ok().zip(Some(string(host)?)).map(|(port, host)| (host, port)))
}

/// Whether the answer to `ROLE` is a master's: a sentinel may be behind a failover.
pub(super) fn is_master(replies: &mut Replies) -> Result<bool> {
    let mut role = replies.array()?.into_iter();
    Ok(matches!(role.next(), Some(Value::BulkString(name)) if name == b"master"))
}

/// No sentinel could name a master that is one.
pub(super) fn no_master(config: &RedisConfig, last: Option<Error>) -> Error {
    let error = Error::new(ErrorKind::Unreachable, "no sentinel could name a Redis master that serves")
        .with("master_name", &config.master);
    match last {
        Some(last) => error.because(last),
        None => error,
    }
}

fn login(login: &Login) -> Batch {
    let mut batch = Batch::new();
    match (&login.user, &login.password) {
        (Some(user), Some(password)) => batch.add(&[b"AUTH", user.as_bytes(), password.as_bytes()]),
        (None, Some(password)) => batch.add(&[b"AUTH", password.as_bytes()]),
        (_, None) => {}
    }
    batch
}
