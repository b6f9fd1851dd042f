//! A blocking connection to the server: TCP, TLS or a Unix socket. Whatever it does ends at a moment it is given.
//!
//! The sockets' own timeouts keep the limit, so that a command is one write and one read. They are set again only when
//! what is left differs from what they say: a call may therefore last a fiftieth longer than asked for.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use super::Peer;
use super::error::{not_reached, of_handshake, of_stream, too_late};
use super::tls::Tls;
use crate::broker::options::Options;
use crate::error::{Error, ErrorKind, Result};

/// How to connect.
#[derive(Clone, Copy)]
pub(crate) struct Dial<'a> {
    /// What kind of server it is.
    pub(crate) peer: &'static Peer,
    /// Over TLS.
    pub(crate) tls: Option<&'a Tls>,
    /// Probes of idle connections by the system.
    pub(crate) keep_alive: Option<&'a KeepAlive>,
    /// How much time connecting may take.
    pub(crate) connect_timeout: Duration,
}

/// How the system probes idle connections; `None` leaves a number to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeepAlive {
    pub(crate) idle: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) count: Option<u32>,
}

/// A connection that is open.
pub(crate) struct Stream {
    peer: &'static Peer,
    transport: Transport,
    /// What the timeouts of the socket say.
    limits: [Duration; 2],
    /// The process that opened it: a forked one closes its copy and leaves the connection alone.
    pid: u32,
}

enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Encrypted>),
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Places in [`Stream::limits`].
const READ: usize = 0;
const WRITE: usize = 1;

impl Stream {
    /// Connects to a host and port, over TLS where that is asked for.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`; `Config` when the name cannot be one of a host.
    pub(crate) fn to_host(dial: Dial<'_>, host: &str, port: u16, until: Instant) -> Result<Self> {
        let until = until.min(Instant::now() + dial.connect_timeout);
        let mut last = None;
        for address in addresses(dial.peer, host, port, until)? {
            match TcpStream::connect_timeout(&address, left(dial.peer, until)?) {
                Ok(socket) => return Self::over(dial, socket, host, until),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(
            || {
                Error::new(
                    ErrorKind::Unreachable,
                    format!("the name of the {} has no address", dial.peer.name),
                )
            },
            |error| not_reached(dial.peer, error),
        ))
    }

    fn over(dial: Dial<'_>, socket: TcpStream, host: &str, until: Instant) -> Result<Self> {
        let broken = |error| of_stream(dial.peer, error);
        socket.set_nodelay(true).map_err(broken)?;
        if let Some(keep_alive) = dial.keep_alive {
            keep_alive.set(&socket).map_err(broken)?;
        }
        let Some(tls) = dial.tls else { return Ok(Self::of(dial.peer, Transport::Tcp(socket))) };
        let shown = tls.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(shown.to_owned()).map_err(|error| {
            Error::new(ErrorKind::Config, "this is not the name of a host").with("host", host).because(error)
        })?;
        let connection = ClientConnection::new(Arc::clone(tls.client()?), name).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the TLS options of the {} cannot work", dial.peer.name))
                .because(error)
        })?;
        let mut stream = Self::of(dial.peer, Transport::Tls(Box::new(StreamOwned::new(connection, socket))));
        stream.limit(READ, until)?;
        stream.limit(WRITE, until)?;
        if let Transport::Tls(tls) = &mut stream.transport {
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock).map_err(|error| of_handshake(dial.peer, error))?;
            }
        }
        Ok(stream)
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`.
    pub(crate) fn to_socket(peer: &'static Peer, path: &str) -> Result<Self> {
        let socket = UnixStream::connect(path).map_err(|error| not_reached(peer, error))?;
        Ok(Self::of(peer, Transport::Unix(socket)))
    }

    fn of(peer: &'static Peer, transport: Transport) -> Self {
        Self { peer, transport, limits: [Duration::ZERO; 2], pid: std::process::id() }
    }

    /// Whether it was opened by this process.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Writes everything.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`: nobody knows how much was written.
    pub(crate) fn write(&mut self, bytes: &[u8], until: Instant) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.limit(WRITE, until)?;
            match self.transport.write(rest) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.hung_up(error)),
            }
        }
        let flushed = if let Transport::Tls(tls) = &mut self.transport { tls.flush() } else { Ok(()) };
        flushed.map_err(|error| self.hung_up(error))
    }

    /// Reads what is there, waiting for something; how many bytes that was.
    ///
    /// # Errors
    /// `Timeout`; `Unreachable`, also when the server has hung up.
    pub(crate) fn read(&mut self, into: &mut [u8], until: Instant) -> Result<usize> {
        loop {
            self.limit(READ, until)?;
            match self.transport.read(into) {
                Ok(0) => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    /// Waits until there is something to read or the alarm rings, at most until `until`; whether there is something.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn wait(&mut self, alarm: BorrowedFd<'_>, until: Instant) -> Result<bool> {
        if let Transport::Tls(tls) = &mut self.transport
            && tls.conn.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
        {
            return Ok(true);
        }
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        let mut places = [
            PollFd::from_borrowed_fd(self.transport.socket(), PollFlags::IN),
            PollFd::from_borrowed_fd(alarm, PollFlags::IN),
        ];
        match rustix::event::poll(&mut places, left.as_ref()) {
            Ok(_) => Ok(!places[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(self.broken(error.into())),
        }
    }

    /// Whether the server has hung up, or said what nobody has asked for, while the connection was not used.
    pub(crate) fn is_stale(&self) -> bool {
        let mut place = [PollFd::from_borrowed_fd(self.transport.socket(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(rustix::event::poll(&mut place, Some(&now)), Ok(0))
    }

    fn broken(&self, error: io::Error) -> Error {
        of_stream(self.peer, error)
    }

    /// Why writing failed: a server that refuses us over TLS has said so before it hung up.
    fn hung_up(&mut self, error: io::Error) -> Error {
        let has_ended = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        let alert = match &mut self.transport {
            Transport::Tls(tls) if has_ended => last_alert(tls),
            _ => None,
        };
        self.broken(alert.unwrap_or(error))
    }

    fn limit(&mut self, place: usize, until: Instant) -> Result<()> {
        let (left, set) = (left(self.peer, until)?, self.limits[place]);
        if set.checked_sub(left).is_some_and(|passed| passed <= set / 50) {
            return Ok(());
        }
        let done = match (&self.transport, place) {
            (Transport::Unix(socket), READ) => socket.set_read_timeout(Some(left)),
            (Transport::Unix(socket), _) => socket.set_write_timeout(Some(left)),
            (Transport::Tcp(socket), READ) => socket.set_read_timeout(Some(left)),
            (Transport::Tcp(socket), _) => socket.set_write_timeout(Some(left)),
            (Transport::Tls(tls), READ) => tls.sock.set_read_timeout(Some(left)),
            (Transport::Tls(tls), _) => tls.sock.set_write_timeout(Some(left)),
        };
        done.map_err(|error| self.broken(error))?;
        self.limits[place] = left;
        Ok(())
    }
}

impl Drop for Stream {
    /// Ends the connection, also when a forked process has a copy of it. Such a copy closes quietly.
    fn drop(&mut self) {
        if self.is_ours() {
            // One that is broken already cannot be ended any more.
            let _ = match &self.transport {
                Transport::Tcp(socket) => socket.shutdown(Shutdown::Both),
                Transport::Unix(socket) => socket.shutdown(Shutdown::Both),
                Transport::Tls(tls) => tls.sock.shutdown(Shutdown::Both),
            };
        }
    }
}

impl Transport {
    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(tls) => tls.sock.as_fd(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(into),
            Self::Unix(socket) => socket.read(into),
            Self::Tls(tls) => decrypted(tls, into),
        }
    }
}

/// Reads what was decrypted. Other than `StreamOwned` it writes nothing before: what a server said before it hung up can
/// still be read when nothing can be written.
fn decrypted(tls: &mut Encrypted, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.conn.reader().read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => take_in(tls)?,
            read => return read,
        };
    }
}

/// Waits for more bytes and decrypts them; how many came.
fn take_in(tls: &mut Encrypted) -> io::Result<usize> {
    let count = tls.conn.read_tls(&mut tls.sock)?;
    tls.conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(count)
}

/// The alert with which the server has ended a connection; what it said before that can still be read.
fn last_alert(tls: &mut Encrypted) -> Option<io::Error> {
    loop {
        match take_in(tls) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(error).filter(|error| error.kind() == io::ErrorKind::InvalidData),
        }
    }
}

impl KeepAlive {
    /// kombu names its options by the numbers that the system has for them; here they have names.
    pub(crate) fn read(options: &mut Options) -> Result<Option<Self>> {
        let wanted = options.flag("socket_keepalive", false)?;
        let Some(value) = options.value("socket_keepalive_options") else {
            return Ok(wanted.then(Self::default));
        };
        let number = |name: &str| value.get(name).and_then(Value::as_u64).filter(|number| *number > 0);
        let seconds = |name: &str| number(name).map(Duration::from_secs);
        let found = Self {
            idle: seconds("TCP_KEEPIDLE"),
            interval: seconds("TCP_KEEPINTVL"),
            count: number("TCP_KEEPCNT").map(|count| count as u32),
        };
        let known = [found.idle.is_some(), found.interval.is_some(), found.count.is_some()];
        if value.as_object().map(serde_json::Map::len) != Some(known.iter().filter(|known| **known).count()) {
            let expected = "a map of TCP_KEEPIDLE, TCP_KEEPINTVL (seconds) and TCP_KEEPCNT";
            return Err(options.wrong("socket_keepalive_options", &value, expected));
        }
        Ok(wanted.then_some(found))
    }

    fn set(&self, socket: &TcpStream) -> io::Result<()> {
        use rustix::net::sockopt;
        sockopt::set_socket_keepalive(socket, true)?;
        if let Some(idle) = self.idle {
            sockopt::set_tcp_keepidle(socket, idle)?;
        }
        if let Some(interval) = self.interval {
            sockopt::set_tcp_keepintvl(socket, interval)?;
        }
        if let Some(count) = self.count {
            sockopt::set_tcp_keepcnt(socket, count)?;
        }
        Ok(())
    }
}

/// What is left until a moment.
///
/// # Errors
/// `Timeout` when it has come.
fn left(peer: &Peer, until: Instant) -> Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(too_late(peer)) } else { Ok(left) }
}

/// The addresses of a host. The system's resolver knows no limit of time, so one that takes too long is left behind.
fn addresses(peer: &Peer, host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = mpsc::channel();
    let name = host.to_owned();
    let resolver = std::thread::Builder::new().name("fastq-resolver".into()).spawn(move || {
        // Nobody listens any more to one that comes too late.
        let _ = answer.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect));
    });
    resolver.map_err(|error| of_stream(peer, error))?;
    match answered.recv_timeout(left(peer, until)?) {
        Ok(found) => found.map_err(|error| {
            Error::new(ErrorKind::Unreachable, format!("the name of the {} cannot be resolved", peer.name))
                .with("host", host)
                .because(error)
        }),
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("the name of the {} was not resolved in time", peer.name),
        )
        .with("host", host)),
    }
}

#[cfg(test)]
mod tests;
