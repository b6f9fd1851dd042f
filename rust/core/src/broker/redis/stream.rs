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

use super::config::{KeepAlive, RedisConfig};
use super::error::{not_reached, of_handshake, of_stream};
use crate::error::{Error, ErrorKind, Result};

/// A connection that is open.
pub(super) struct Stream {
    transport: Transport,
    /// What the timeouts of the socket say.
    limits: [Duration; 2],
    /// The process that opened it: a forked one closes its copy and leaves the connection alone.
    pid: u32,
}

enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Places in [`Stream::limits`].
const READ: usize = 0;
const WRITE: usize = 1;

impl Stream {
    /// Connects to a host and port, over TLS where that is asked for.
    ///
    /// # Errors
    /// `Unreachable`, `Timeout`; `Config` when the name cannot be one of a host.
    pub(super) fn to_host(config: &RedisConfig, host: &str, port: u16, until: Instant) -> Result<Self> {
        let until = until.min(Instant::now() + config.client.connect_timeout);
        let mut last = None;
        for address in addresses(host, port, until)? {
            match TcpStream::connect_timeout(&address, left(until)?) {
                Ok(socket) => return Self::over(config, socket, host, until),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(
            || Error::new(ErrorKind::Unreachable, "the name of the Redis server has no address"),
            not_reached,
        ))
    }

    fn over(config: &RedisConfig, socket: TcpStream, host: &str, until: Instant) -> Result<Self> {
        socket.set_nodelay(true).map_err(of_stream)?;
        if let Some(keep_alive) = &config.client.keep_alive {
            keep_alive.set(&socket).map_err(of_stream)?;
        }
        let Some(tls) = &config.tls else { return Ok(Self::of(Transport::Tcp(socket))) };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            Error::new(ErrorKind::Config, "this is not the name of a host").with("host", host).because(error)
        })?;
        let connection = ClientConnection::new(Arc::clone(tls.client()?), name).map_err(|error| {
            Error::new(ErrorKind::Config, "the TLS options of the Redis server cannot work").because(error)
        })?;
        let mut stream = Self::of(Transport::Tls(Box::new(StreamOwned::new(connection, socket))));
        stream.limit(READ, until)?;
        stream.limit(WRITE, until)?;
        if let Transport::Tls(tls) = &mut stream.transport {
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock).map_err(of_handshake)?;
            }
        }
        Ok(stream)
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`.
    pub(super) fn to_socket(path: &str) -> Result<Self> {
        Ok(Self::of(Transport::Unix(UnixStream::connect(path).map_err(not_reached)?)))
    }

    fn of(transport: Transport) -> Self {
        Self { transport, limits: [Duration::ZERO; 2], pid: std::process::id() }
    }

    /// Whether it was opened by this process.
    pub(super) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Writes everything.
    ///
    /// # Errors
    /// `Timeout`, `Unreachable`: nobody knows how much was written.
    pub(super) fn write(&mut self, bytes: &[u8], until: Instant) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.limit(WRITE, until)?;
            match self.transport.write(rest) {
                Ok(0) => return Err(of_stream(io::ErrorKind::WriteZero.into())),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(of_stream(error)),
            }
        }
        if let Transport::Tls(tls) = &mut self.transport {
            tls.flush().map_err(of_stream)?;
        }
        Ok(())
    }

    /// Reads what is there, waiting for something; how many bytes that was.
    ///
    /// # Errors
    /// `Timeout`; `Unreachable`, also when the server has hung up.
    pub(super) fn read(&mut self, into: &mut [u8], until: Instant) -> Result<usize> {
        loop {
            self.limit(READ, until)?;
            match self.transport.read(into) {
                Ok(0) => return Err(of_stream(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(of_stream(error)),
            }
        }
    }

    /// Waits until there is something to read or the alarm rings, at most until `until`; whether there is something.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn wait(&mut self, alarm: BorrowedFd<'_>, until: Instant) -> Result<bool> {
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
            Err(error) => Err(of_stream(error.into())),
        }
    }

    /// Whether the server has hung up, or said what nobody has asked for, while the connection was not used.
    pub(super) fn is_stale(&self) -> bool {
        let mut place = [PollFd::from_borrowed_fd(self.transport.socket(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(rustix::event::poll(&mut place, Some(&now)), Ok(0))
    }

    fn limit(&mut self, place: usize, until: Instant) -> Result<()> {
        let (left, set) = (left(until)?, self.limits[place]);
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
        done.map_err(of_stream)?;
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
            Self::Tls(tls) => tls.read(into),
        }
    }
}

impl KeepAlive {
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
pub(super) fn left(until: Instant) -> Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Error::new(ErrorKind::Timeout, "the Redis server did not answer in time"));
    }
    Ok(left)
}

/// The addresses of a host. The system's resolver knows no limit of time, so one that takes too long is left behind.
fn addresses(host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = mpsc::channel();
    let name = host.to_owned();
    let resolver = std::thread::Builder::new().name("fastq-resolver".into()).spawn(move || {
        // Nobody listens any more to one that comes too late.
        let _ = answer.send((name.as_str(), port).to_socket_addrs().map(Iterator::collect));
    });
    resolver.map_err(of_stream)?;
    match answered.recv_timeout(left(until)?) {
        Ok(found) => found.map_err(|error| {
            Error::new(ErrorKind::Unreachable, "the name of the Redis server cannot be resolved")
                .with("host", host)
                .because(error)
        }),
        Err(_) => {
            Err(Error::new(ErrorKind::Timeout, "the name of the Redis server was not resolved in time")
                .with("host", host))
        }
    }
}
