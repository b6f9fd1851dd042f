//! A client's connection. Blocking, in the caller's thread, over one channel that confirms what is published.

use std::collections::{HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::adrift::Adrift;
use super::config::{AmqpConfig, Wanted};
use super::confirms::Confirms;
use super::error::{closed, unexpected};
use super::greeting::{Agreed, Greeting};
use super::mailbox;
use super::wire::{Content, Inbox, Incoming, Method, call};
use crate::broker::Publication;
use crate::broker::net::{Dial, Stream};
use crate::error::{Error, ErrorKind, Result};

/// The one channel.
pub(super) const CHANNEL: u16 = 1;
/// A connection that was used so short a time ago is not looked at before it is used again.
const FRESH: Duration = Duration::from_millis(50);
/// Reading what has come takes no longer.
const AT_ONCE: Duration = Duration::from_millis(20);

/// An open connection.
pub(crate) struct Handle {
    stream: Stream,
    inbox: Inbox,
    pub(super) out: Vec<u8>,
    pub(super) agreed: Agreed,
    /// The server says when it has a message; without that nobody learns that it has not.
    pub(super) confirming: bool,
    /// What is not confirmed, with the messages that nobody waits for ([`super::late`]).
    pub(super) confirms: Confirms<Option<Box<Publication>>>,
    /// When the server last confirmed something.
    pub(super) confirmed_at: Instant,
    pub(super) returned: Vec<Returned>,
    /// Routing keys of each exchange where messages have arrived.
    pub(super) addresses: HashMap<String, HashSet<String>>,
    /// Where messages go that this connection cannot bring to an end.
    pub(super) adrift: Arc<Adrift>,
    /// Why the server takes no messages, while it does not.
    pub(super) blocked: Option<String>,
    /// Exchanges that are known to exist.
    pub(super) exchanges: HashSet<String>,
    /// Something went wrong in the middle of a call.
    pub(super) broken: bool,
    pub(super) used: Instant,
}

/// A message that no queue took.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) content: Box<Content>,
}

impl From<Returned> for Publication {
    /// The message as it was sent. What is due later comes back from the queues of delays only, which are there.
    fn from(returned: Returned) -> Self {
        let Returned { exchange, routing_key, content } = returned;
        let priority = content.properties.priority;
        Self { exchange, routing_key, priority, due: None, message: content.properties.message(content.body) }
    }
}

impl Handle {
    /// Opens a connection to the first server of `config` that can be had.
    pub(super) fn open(config: &AmqpConfig, name: &str, until: Instant) -> Result<Self> {
        let order = config.places.order();
        let (mut last, count) = (None, order.len());
        for (tried, number) in order.into_iter().enumerate() {
            match Self::to(config, number, name, share(until, count - tried)) {
                Ok(handle) => {
                    config.places.works(number);
                    return Ok(handle);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Config, "the URL names no server")))
    }

    fn to(config: &AmqpConfig, number: usize, name: &str, until: Instant) -> Result<Self> {
        let place = &config.places.all[number];
        let until = until.min(Instant::now() + config.connect_timeout);
        let dial = Dial { connect_timeout: config.connect_timeout, ..config.dial() };
        let stream = Stream::to_host(dial, &place.host, place.port, until)?;
        let mut handle = Self {
            stream,
            inbox: Inbox::default(),
            out: Vec::new(),
            agreed: Agreed { frame_max: 0, heartbeat: 0, channels: 0 },
            confirming: config.confirms != Wanted::Never,
            confirms: Confirms::default(),
            confirmed_at: Instant::now(),
            returned: Vec::new(),
            addresses: HashMap::new(),
            adrift: Arc::clone(&config.adrift),
            blocked: None,
            exchanges: HashSet::new(),
            broken: false,
            used: Instant::now(),
        };
        handle.greet(Greeting::new(config, place, name, 0), until)?;
        handle.open_channel(until)?;
        if let Some(queue) = config.reply_queue() {
            // Before a task is sent whose result is to go there.
            handle.ask(until, |out| mailbox::declare(&queue, config.reply_expires, out))?;
        }
        Ok(handle)
    }

    fn greet(&mut self, mut greeting: Greeting<'_>, until: Instant) -> Result<()> {
        Greeting::begin(&mut self.out);
        loop {
            self.flush(until)?;
            let incoming = self.receive(until).map_err(|error| greeting.ended(error))?;
            let Incoming::Method(0, method) = incoming else { continue };
            if let Some(agreed) = greeting.hear(&method, &mut self.out)? {
                self.agreed = agreed;
                self.inbox.set_frame_max(agreed.frame_max);
                return Ok(());
            }
        }
    }

    /// Opens the channel, anew after the server has closed it.
    fn open_channel(&mut self, until: Instant) -> Result<()> {
        self.broken = true;
        self.put_aside();
        self.set_adrift();
        self.addresses.clear();
        call::channel_open(CHANNEL, &mut self.out);
        if self.confirming {
            call::confirm_select(CHANNEL, &mut self.out);
        }
        self.flush(until)?;
        for _ in 0..=usize::from(self.confirming) {
            self.answer(until)?;
        }
        self.broken = false;
        Ok(())
    }

    /// Asks something and gives the last of its answers.
    ///
    /// # Errors
    /// What the server closed the channel for; the connection can be used again then.
    pub(super) fn ask(
        &mut self,
        until: Instant,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
    ) -> Result<Incoming> {
        let last = self.ask_some(until, write)?;
        last.ok_or_else(|| Error::new(ErrorKind::Unexpected, "nothing was asked"))
    }

    /// As [`Handle::ask`], where nothing may be to ask.
    ///
    /// # Errors
    /// As [`Handle::ask`].
    pub(super) fn ask_some(
        &mut self,
        until: Instant,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
    ) -> Result<Option<Incoming>> {
        self.broken = true;
        self.out.clear();
        let answers = write(&mut self.out).inspect_err(|_| self.broken = false)?;
        self.flush(until)?;
        let mut last = None;
        for _ in 0..answers {
            last = Some(self.answer(until)?);
        }
        (self.broken, self.used) = (false, Instant::now());
        Ok(last)
    }

    /// Writes what needs no answer.
    pub(super) fn tell(&mut self, until: Instant, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        write(&mut self.out);
        self.flush(until)
    }

    /// The next answer on the channel.
    fn answer(&mut self, until: Instant) -> Result<Incoming> {
        loop {
            let incoming = self.receive(until)?;
            if let Some(answer) = self.hear(incoming, until)? {
                return Ok(answer);
            }
        }
    }

    /// Takes in what was said unasked; gives back an answer, or a message.
    ///
    /// # Errors
    /// When the connection or its channel was closed; the channel is open again then.
    pub(super) fn hear(&mut self, incoming: Incoming, until: Instant) -> Result<Option<Incoming>> {
        match incoming {
            Incoming::Heartbeat => {}
            Incoming::Method(_, Method::Ack { tag, multiple }) => self.confirms.heard(tag, multiple, true),
            Incoming::Method(_, Method::Nack { tag, multiple }) => self.confirms.heard(tag, multiple, false),
            Incoming::Method(_, Method::Blocked(reason)) => self.blocked = Some(reason),
            Incoming::Method(_, Method::Unblocked) => self.blocked = None,
            Incoming::Method(_, Method::Flow(active)) => {
                call::channel_flow_ok(CHANNEL, active, &mut self.out);
                self.flush(until)?;
            }
            Incoming::Method(_, Method::CloseConnection(closing)) => {
                self.broken = true;
                call::close_ok(&mut self.out);
                let _ = self.flush(until);
                return Err(closed(&closing));
            }
            Incoming::Method(CHANNEL, Method::CloseChannel(closing)) => {
                self.out.clear();
                call::channel_close_ok(CHANNEL, &mut self.out);
                self.exchanges.clear();
                self.open_channel(until)?;
                return Err(closed(&closing));
            }
            Incoming::Content(_, content) => match &content.method {
                Method::Return { exchange, routing_key, .. } => {
                    let (exchange, routing_key) = (exchange.clone(), routing_key.clone());
                    self.returned.push(Returned { exchange, routing_key, content });
                }
                _ => return Ok(Some(Incoming::Content(CHANNEL, content))),
            },
            Incoming::Method(_, Method::Cancelled(_)) => {
                let gone = "the queue is gone that was listened to";
                return Err(Error::new(ErrorKind::Unreachable, gone));
            }
            answer @ Incoming::Method(..) => return Ok(Some(answer)),
        }
        Ok(None)
    }

    /// Waits for the next thing that comes, which is no answer.
    pub(super) fn hear_next(&mut self, until: Instant) -> Result<()> {
        let incoming = self.receive(until)?;
        match self.hear(incoming, until)? {
            Some(answer) => Err(unexpected(&answer)),
            None => Ok(()),
        }
    }

    /// Takes in what has come, without waiting.
    ///
    /// # Errors
    /// When the connection is of no more use; a channel that was closed is open again.
    pub(super) fn take_in(&mut self) -> Result<()> {
        let soon = Instant::now() + AT_ONCE;
        loop {
            while let Some(incoming) = self.inbox.next()? {
                if let Err(error) = self.hear(incoming, soon)
                    && self.broken
                {
                    return Err(error);
                }
            }
            if !self.stream.is_stale() {
                return Ok(());
            }
            match self.stream.read(self.inbox.room(), soon) {
                Ok(count) => self.inbox.came(count),
                // Over TLS something may have come, and not be whole.
                Err(error) if error.kind() == ErrorKind::Timeout => return Ok(()),
                Err(error) => {
                    self.broken = true;
                    return Err(error);
                }
            }
        }
    }

    /// The next message, for connections that listen; `None` when nothing came in time, or the alarm rang.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) fn listen(&mut self, alarm: BorrowedFd<'_>, until: Instant) -> Result<Option<Box<Content>>> {
        loop {
            while let Some(incoming) = self.inbox.next()? {
                let soon = Instant::now() + Duration::from_secs(1);
                if let Some(Incoming::Content(_, content)) = self.hear(incoming, soon)? {
                    return Ok(Some(content));
                }
            }
            if !self.stream.wait(alarm, until)? {
                return Ok(None);
            }
            // There is something to read, so this does not wait.
            let count = self.stream.read(self.inbox.room(), Instant::now() + Duration::from_secs(1))?;
            self.inbox.came(count);
        }
    }

    /// Whether more has come than was read.
    pub(super) fn has_more(&self) -> bool {
        !self.inbox.is_empty()
    }

    pub(super) fn flush(&mut self, until: Instant) -> Result<()> {
        let written = self.stream.write(&self.out, until);
        self.out.clear();
        // A part of it may be on its way.
        self.broken |= written.is_err();
        written.map_err(|error| self.last_words(until).unwrap_or(error))
    }

    /// Why the server hung up, where it has said so before we had said everything.
    fn last_words(&mut self, until: Instant) -> Option<Error> {
        loop {
            match self.receive(until) {
                Ok(Incoming::Method(_, Method::CloseConnection(closing))) => return Some(closed(&closing)),
                Ok(_) => {}
                Err(error) => return Some(error).filter(|error| error.kind() == ErrorKind::Denied),
            }
        }
    }

    pub(super) fn receive(&mut self, until: Instant) -> Result<Incoming> {
        loop {
            if let Some(incoming) = self.inbox.next()? {
                return Ok(incoming);
            }
            let count = self.stream.read(self.inbox.room(), until)?;
            self.inbox.came(count);
        }
    }

    /// Whether this process opened it.
    pub(super) fn is_ours(&self) -> bool {
        self.stream.is_ours()
    }

    /// Whether something went wrong, so that it can be used no more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether it can be used for another call of this process: the server has not hung up, takes messages, and answers
    /// if it was not asked for a while.
    pub(super) fn is_sound(&mut self, config: &AmqpConfig, until: Instant) -> bool {
        if self.broken || !self.stream.is_ours() {
            return false;
        }
        let idle = self.used.elapsed();
        if idle < FRESH {
            return true;
        }
        // Something may have been said meanwhile: that it is blocked, or the end.
        if self.take_in().is_err() {
            return false;
        }
        if config.health_check_interval.is_none_or(|interval| idle < interval) {
            return true;
        }
        let asked = self.ask(share(until, 3), |out| {
            call::qos(CHANNEL, 0, out);
            Ok(1)
        });
        asked.is_ok()
    }
}

/// The moment by which one of several tries must have ended.
pub(super) fn share(until: Instant, tries: usize) -> Instant {
    let now = Instant::now();
    now + until.saturating_duration_since(now) / tries.max(1) as u32
}
