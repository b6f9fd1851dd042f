//! A worker's connection: async, with a limit on every answer. It runs no task of its own: whoever owns it reads, writes
//! and sends its heartbeats.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::address::Place;
use super::config::{AmqpConfig, PEER};
use super::error::closed;
use super::greeting::{Agreed, Greeting};
use super::wire::call::{self, To};
use super::wire::{Inbox, Incoming, Method};
use crate::broker::net::error::{not_reached, of_handshake, of_stream, too_late};
use crate::error::{Error, ErrorKind, Result};

/// What bytes go through.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection.
pub(super) struct Link {
    stream: Box<dyn Duplex>,
    inbox: Inbox,
    /// What is to be written with the next flush.
    pub(super) out: Vec<u8>,
    pub(super) agreed: Agreed,
    /// What came while an answer was waited for, in its order.
    came: VecDeque<Incoming>,
    /// How long an answer may take.
    limit: Duration,
    heard_at: Instant,
    said_at: Instant,
    /// Why the server takes no messages, while it does not.
    pub(super) blocked: Option<String>,
    /// The last thing asked was answered by closing its channel; the connection is as good as before.
    channel_closed: bool,
}

impl Link {
    /// Opens a connection to the first server of `config` that can be had, each within the time for one.
    ///
    /// # Cancel safety
    /// Cancel safe: a connection half open is closed.
    pub(super) async fn open(config: &AmqpConfig, name: &str) -> Result<Self> {
        let mut last = None;
        for number in config.places.order() {
            let place = &config.places.all[number];
            let opened = timeout(config.connect_timeout, Self::to(config, place, name)).await;
            match opened.unwrap_or_else(|_| Err(too_late(&PEER))) {
                Ok(link) => {
                    config.places.works(number);
                    return Ok(link);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "the URL names no server")))
    }

    async fn to(config: &AmqpConfig, place: &Place, name: &str) -> Result<Self> {
        let now = Instant::now();
        let mut link = Self {
            stream: connect(config, place).await?,
            inbox: Inbox::default(),
            out: Vec::new(),
            agreed: Agreed { frame_max: 0, heartbeat: 0, channels: 0 },
            came: VecDeque::new(),
            limit: config.answer_timeout,
            heard_at: now,
            said_at: now,
            blocked: None,
            channel_closed: false,
        };
        let heartbeat = config.heartbeat.as_secs() as u16;
        link.greet(Greeting::new(config, place, name, heartbeat)).await?;
        Ok(link)
    }

    async fn greet(&mut self, mut greeting: Greeting<'_>) -> Result<()> {
        Greeting::begin(&mut self.out);
        loop {
            self.flush().await?;
            let incoming = self.receive().await.map_err(|error| greeting.ended(error))?;
            let Incoming::Method(0, method) = incoming else { continue };
            if let Some(agreed) = greeting.hear(&method, &mut self.out)? {
                self.agreed = agreed;
                self.inbox.set_frame_max(agreed.frame_max);
                return Ok(());
            }
        }
    }

    /// Writes what is to be written.
    ///
    /// # Cancel safety
    /// Not cancel safe: a frame may be cut off.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.said_at = Instant::now();
        let write = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let written = timeout(self.limit, write).await;
        self.out.clear();
        match written.map_err(|_| too_late(&PEER))? {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words().await.unwrap_or_else(|| of_stream(&PEER, error))),
        }
    }

    /// Why the server hung up, where it has said so before we had said everything.
    async fn last_words(&mut self) -> Option<Error> {
        loop {
            let looked = self.look().await;
            while let Some(incoming) = self.inbox.next().ok()? {
                if let Incoming::Method(_, Method::CloseConnection(closing)) = incoming {
                    return Some(closed(&closing));
                }
            }
            match looked {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(error).filter(|error| error.kind() == ErrorKind::Denied),
            }
        }
    }

    /// Waits until something has come.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn wait(&mut self) -> Result<()> {
        if !self.came.is_empty() {
            return Ok(());
        }
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(self.inbox.room());
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
        .and_then(|count| if count == 0 { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) })
        .map(|count| self.read(count))
        .map_err(|error| of_stream(&PEER, error))
    }

    fn read(&mut self, count: usize) {
        self.inbox.came(count);
        self.heard_at = Instant::now();
    }

    /// Reads what is there without waiting; whether there was something.
    pub(super) async fn look(&mut self) -> Result<bool> {
        let found = poll_fn(|context| {
            let mut buffer = ReadBuf::new(self.inbox.room());
            Poll::Ready(match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => Some(Ok(buffer.filled().len())),
                Poll::Ready(Err(error)) => Some(Err(error)),
                Poll::Pending => None,
            })
        })
        .await;
        match found {
            None => Ok(false),
            Some(Ok(0)) => Err(of_stream(&PEER, std::io::ErrorKind::UnexpectedEof.into())),
            Some(Ok(count)) => {
                self.read(count);
                Ok(true)
            }
            Some(Err(error)) => Err(of_stream(&PEER, error)),
        }
    }

    /// The next thing that has come whole, without waiting. What concerns the connection alone is dealt with here.
    ///
    /// # Errors
    /// When the server closes the connection.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>> {
        if let Some(came) = self.came.pop_front() {
            return Ok(Some(came));
        }
        self.read_next()
    }

    fn read_next(&mut self) -> Result<Option<Incoming>> {
        while let Some(incoming) = self.inbox.next()? {
            match incoming {
                Incoming::Heartbeat => {}
                Incoming::Method(0, Method::Blocked(reason)) => self.blocked = Some(reason),
                Incoming::Method(0, Method::Unblocked) => self.blocked = None,
                Incoming::Method(0, Method::CloseConnection(closing)) if self.agreed.frame_max != 0 => {
                    call::close_ok(&mut self.out);
                    return Err(closed(&closing));
                }
                Incoming::Method(channel, Method::Flow(active)) => {
                    call::channel_flow_ok(channel, active, &mut self.out);
                }
                other => return Ok(Some(other)),
            }
        }
        Ok(None)
    }

    /// Waits for the next thing that comes whole.
    async fn receive(&mut self) -> Result<Incoming> {
        let until = Instant::now() + self.limit;
        loop {
            if let Some(incoming) = self.read_next()? {
                return Ok(incoming);
            }
            self.flush().await?;
            timeout_at(until, self.wait_for_more()).await.map_err(|_| too_late(&PEER))??;
        }
    }

    async fn wait_for_more(&mut self) -> Result<()> {
        let kept = std::mem::take(&mut self.came);
        let waited = self.wait().await;
        self.came = kept;
        waited
    }

    /// Asks something on a channel and gives the last of its `answers`; what comes meanwhile is kept for
    /// [`Link::next`].
    ///
    /// # Errors
    /// What the server closed the channel for, which is then closed; or that of a connection which is of no more use.
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(super) async fn ask(
        &mut self,
        channel: u16,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
    ) -> Result<Method> {
        let answers = write(&mut self.out)?;
        self.answers(channel, answers).await
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// As [`Link::ask`].
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(super) async fn open_channel(&mut self, channel: u16) -> Result<()> {
        let opened = self.ask(channel, |out| {
            call::channel_open(channel, out);
            Ok(1)
        });
        opened.await.map(drop)
    }

    /// Writes a message, to be sent with the next flush.
    pub(super) fn publish(&mut self, channel: u16, to: To<'_>, properties: &[u8], body: &[u8]) {
        call::publish(channel, to, properties, body, self.agreed.frame_max, &mut self.out);
    }

    /// As [`Link::ask`], for what is written already.
    ///
    /// # Errors
    /// As [`Link::ask`].
    ///
    /// # Cancel safety
    /// Not cancel safe.
    pub(super) async fn answers(&mut self, channel: u16, answers: usize) -> Result<Method> {
        self.channel_closed = false;
        self.flush().await?;
        let (mut last, mut left) = (None, answers);
        while left > 0 {
            match self.receive().await? {
                Incoming::Method(from, Method::CloseChannel(closing)) if from == channel => {
                    call::channel_close_ok(channel, &mut self.out);
                    self.came.retain(|incoming| !is_of(incoming, channel));
                    self.flush().await?;
                    self.channel_closed = true;
                    return Err(closed(&closing));
                }
                Incoming::Method(from, method) if from == channel && method.is_answer() => {
                    (last, left) = (Some(method), left - 1);
                }
                other => self.came.push_back(other),
            }
        }
        last.ok_or_else(|| Error::new(ErrorKind::Unexpected, "nothing was asked"))
    }

    /// Forgets what came over a channel that is closed.
    pub(super) fn forget(&mut self, channel: u16) {
        self.came.retain(|incoming| !is_of(incoming, channel));
    }

    /// Whether the last thing asked was answered by closing its channel: then the connection can be used on.
    pub(super) fn is_usable(&self) -> bool {
        self.channel_closed
    }

    /// How often somebody must look after this connection.
    pub(super) fn pulse(&self) -> Duration {
        match self.agreed.heartbeat {
            0 => Duration::from_secs(5),
            seconds => Duration::from_secs(u64::from(seconds)) / 4,
        }
    }

    /// Sends a heartbeat when it is time.
    ///
    /// # Errors
    /// `Timeout` when nothing was heard for too long: nobody is there any more.
    pub(super) async fn beat(&mut self) -> Result<()> {
        let interval = Duration::from_secs(u64::from(self.agreed.heartbeat));
        if interval.is_zero() {
            return Ok(());
        }
        if self.heard_at.elapsed() > interval {
            let sentence = "nothing was heard of the RabbitMQ server for longer than the heartbeat allows";
            return Err(Error::new(ErrorKind::Timeout, sentence)
                .with("heartbeat", format_args!("{} s", self.agreed.heartbeat)));
        }
        if self.said_at.elapsed() >= interval / 3 {
            call::heartbeat(&mut self.out);
        }
        self.flush().await
    }

    /// Says goodbye: what was not acknowledged goes back at once.
    pub(super) async fn close(mut self, within: Duration) {
        call::close(&mut self.out);
        let said = async {
            self.flush().await?;
            loop {
                if matches!(self.receive().await?, Incoming::Method(0, Method::CloseConnectionOk)) {
                    return Ok::<(), Error>(());
                }
            }
        };
        // One that does not answer is closed all the same, by being dropped.
        let _ = timeout(within, said).await;
    }
}

fn is_of(incoming: &Incoming, channel: u16) -> bool {
    matches!(incoming, Incoming::Method(from, _) | Incoming::Content(from, _) if *from == channel)
}

async fn connect(config: &AmqpConfig, place: &Place) -> Result<Box<dyn Duplex>> {
    let socket = TcpStream::connect((place.host.as_str(), place.port))
        .await
        .map_err(|error| not_reached(&PEER, error))?;
    socket.set_nodelay(true).map_err(|error| of_stream(&PEER, error))?;
    // What we say and nobody acknowledges is an outage, too, when no answer is waited for.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, config.answer_timeout.as_millis() as u32);
    let Some(tls) = &config.tls else { return Ok(Box::new(socket)) };
    let shown = tls.server_name.clone().unwrap_or_else(|| place.host.clone());
    let name = ServerName::try_from(shown).map_err(|error| {
        Error::new(ErrorKind::Config, "this is not the name of a host")
            .with("host", &place.host)
            .because(error)
    })?;
    let connector = TlsConnector::from(Arc::clone(tls.client()?));
    let secured = connector.connect(name, socket).await.map_err(|error| of_handshake(&PEER, error))?;
    Ok(Box::new(secured))
}
