//! What a worker hears on a connection of its own, which may fail while messages are taken, and the other way round.
//!
//! Whenever it is opened, the record is read once it listens: nothing that was called off meanwhile is missed. A caller
//! who calls off is answered when it has been told here, and so knows that no task which is sent afterwards is begun.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::channels::{COUNTS, HEARS, READS, SAYS, be_counted, listen, to_caller, unless_refused};
use super::config::{AmqpConfig, PEER};
use super::error::closed;
use super::link::Link;
use super::record::{self, Reading, Spoken};
use super::wire::call::{self, To};
use super::wire::{Content, Incoming, Method, properties};
use crate::broker::hearsay::Hearsay;
use crate::broker::net::error::too_late;
use crate::broker::{BoxFuture, Ear, Said, Subscription, Word, WorkerEntry, process};
use crate::buffer::revoked::MOST;
use crate::clock::{Clock, WallTime};
use crate::error::{Error, ErrorKind, Result};
use crate::job::revocation::Revocation;
use crate::message::properties::Properties;

/// What a worker says of itself holds for so long.
const HOLDS: Duration = Duration::from_secs(30);
/// What was heard for about as long needs no writing down once more.
const ABOUT_MILLISECONDS: i64 = 60_000;

/// Hears what is called off, and remote commands; says what its worker does.
pub(super) struct AmqpEar {
    config: Arc<AmqpConfig>,
    clock: Clock,
    /// Who listens.
    entry: WorkerEntry,
    /// The exchange of remote commands.
    mailbox: Option<String>,
    link: Option<Link>,
    /// Its consumer is counted.
    is_counted: bool,
    hearsay: Hearsay,
    /// Who is to hear that it was told.
    answers: Vec<String>,
    /// What was heard lately, and until when it holds.
    known: HashMap<String, WallTime>,
    /// Why there is no record to be read.
    unread: Option<Error>,
}

impl AmqpEar {
    pub(super) fn new(config: Arc<AmqpConfig>, clock: Clock, subscription: &Subscription) -> Self {
        let now = clock.wall();
        let entry = WorkerEntry {
            node: subscription.node.clone(),
            pid: std::process::id(),
            host: process::host(),
            started_at: now,
            lease_until: now,
            in_flight: 0,
            queues: Vec::new(),
        };
        Self {
            config,
            clock,
            entry,
            mailbox: subscription.mailbox.clone(),
            link: None,
            is_counted: false,
            hearsay: Hearsay::new(),
            answers: Vec::new(),
            known: HashMap::new(),
            unread: None,
        }
    }

    /// What users should know of the record.
    pub(super) fn notice(&self) -> Option<String> {
        let told = "this worker knows only of tasks that are revoked while it runs, because their record cannot be read";
        self.unread.as_ref().map(|error| format!("{told}: {error}"))
    }

    /// Begins to listen, then reads the record: nothing where it cannot be had, which is said, and tried again.
    pub(super) async fn learn(&mut self) -> Vec<Revocation> {
        match self.begin().await {
            Ok((link, record)) => {
                self.link = Some(link);
                self.hearsay.works();
                self.note(&record);
                record
            }
            Err(error) => {
                self.broke(error);
                Vec::new()
            }
        }
    }

    async fn begin(&mut self) -> Result<(Link, Vec<Revocation>)> {
        let name = format!("fastq worker {} (hears)", self.entry.node);
        let mut link = Link::open(&self.config, &name).await?;
        listen(&mut link, self.mailbox.as_deref()).await?;
        link.open_channel(SAYS).await?;
        let record = match self.read(&mut link).await {
            // A server that has no streams, or a user who may not have one: workers can be told all the same.
            Err(error) if link.is_usable() => {
                self.unread = Some(error);
                Vec::new()
            }
            other => other?,
        };
        Ok((link, record))
    }

    async fn read(&mut self, link: &mut Link) -> Result<Vec<Revocation>> {
        link.open_channel(READS).await?;
        unless_refused(link, READS, |out| record::declare(READS, out)).await?;
        let mut reading = Reading::new(READS);
        link.ask(READS, |out| reading.ask(out)).await?;
        link.publish(READS, record::to_record(), &record::spoken("", true)?, reading.mark().as_bytes());
        let until = Instant::now() + self.config.answer_timeout;
        let mut is_over = false;
        while !is_over {
            while let Some(incoming) = link.next()? {
                match incoming {
                    Incoming::Content(READS, content) => is_over |= reading.take(&content, &mut link.out),
                    Incoming::Content(_, content) => self.hear(*content),
                    Incoming::Method(_, Method::CloseChannel(closing)) => return Err(closed(&closing)),
                    _ => {}
                }
            }
            link.flush().await?;
            if !is_over {
                tokio::time::timeout_at(until, link.wait()).await.map_err(|_| too_late(&PEER))??;
            }
        }
        call::channel_close(READS, &mut link.out);
        link.answers(READS, 1).await?;
        link.forget(READS);
        Ok(reading.end(self.clock.wall()))
    }

    /// What came to the queue.
    fn hear(&mut self, content: Content) {
        let Method::Deliver { exchange, .. } = content.method else { return };
        let Properties { reply_to, .. } = Properties::parse(&content.properties.others).unwrap_or_default();
        let reply_to = reply_to.filter(|queue| !queue.is_empty()).map(std::borrow::Cow::into_owned);
        if self.mailbox.as_ref().is_some_and(|mailbox| *mailbox == exchange) {
            return self.hearsay.put(Said::Command(content.properties.message(content.body)));
        }
        match (Spoken::read(&content.body), reply_to) {
            (Some(Spoken::Revoked(demands)), reply_to) => {
                self.note(&demands);
                self.answers.extend(reply_to);
                self.hearsay.put(Said::Revoked(demands));
            }
            (Some(Spoken::Describe), Some(reply_to)) => {
                let lease_until = self.clock.wall().after(HOLDS);
                self.hearsay
                    .put(Said::Asked { reply_to, entry: WorkerEntry { lease_until, ..self.entry.clone() } });
            }
            _ => {}
        }
    }

    fn note(&mut self, demands: &[Revocation]) {
        if self.known.len() + demands.len() > 2 * MOST {
            self.known.clear();
        }
        self.known.extend(demands.iter().map(|demand| (demand.to_json().to_string(), demand.until)));
    }

    /// Takes in what has come.
    fn take_in(&mut self) -> Result<()> {
        loop {
            let Some(link) = &mut self.link else { return Ok(()) };
            match link.next()? {
                None => return Ok(()),
                Some(Incoming::Content(HEARS, content)) => self.hear(*content),
                // An answer went to an exchange that is not there: whoever waited for it is gone.
                Some(Incoming::Method(SAYS, Method::CloseChannel(_))) => {
                    call::channel_close_ok(SAYS, &mut link.out);
                    call::channel_open(SAYS, &mut link.out);
                }
                Some(Incoming::Method(HEARS, Method::CloseChannel(closing))) => return Err(closed(&closing)),
                Some(Incoming::Method(HEARS, Method::Cancelled(_))) => {
                    let gone = "the queue is gone in which this worker hears";
                    return Err(Error::new(ErrorKind::Unreachable, gone));
                }
                Some(Incoming::Method(COUNTS, Method::CloseChannel(_))) => {
                    call::channel_close_ok(COUNTS, &mut link.out);
                }
                // The queue was deleted, or its node is gone: it is made again with the next connection.
                Some(_) => {}
            }
        }
    }

    fn broke(&mut self, error: Error) {
        self.is_counted = false;
        self.answers.clear();
        self.hearsay.broke(self.link.take().is_some(), error);
    }

    /// One thing after the other, until there is something to tell.
    async fn step(&mut self) {
        if self.link.is_none() {
            self.hearsay.rest().await;
            let record = self.learn().await;
            return self.hearsay.put(Said::Revoked(record));
        }
        let done =
            if self.answers.is_empty() && self.is_counted { self.wait().await } else { self.speak().await };
        if let Err(error) = done.and_then(|()| self.take_in()) {
            self.broke(error);
        }
    }

    async fn wait(&mut self) -> Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if let Ok(waited) = timeout(link.pulse(), link.wait()).await {
            return waited;
        }
        self.speak().await
    }

    /// Answers those who wait for it, and says that it is there. A connection on which this is cut off is of no more use:
    /// nobody has it meanwhile.
    async fn speak(&mut self) -> Result<()> {
        let Some(mut link) = self.link.take() else { return Ok(()) };
        for reply_to in std::mem::take(&mut self.answers) {
            link.publish(SAYS, to_caller(&reply_to), &record::spoken("", false)?, b"{}");
        }
        let mut spoken = link.beat().await;
        if spoken.is_ok() && !std::mem::replace(&mut self.is_counted, true) {
            spoken = be_counted(&mut link).await;
        }
        self.link = Some(link);
        spoken
    }

    async fn answer(&mut self, word: Word) -> Result<()> {
        let Some(mut link) = self.link.take() else {
            return Err(Error::new(ErrorKind::Unreachable, "the connection to the RabbitMQ server broke"));
        };
        let written = self.write(word, &mut link);
        let flushed = link.flush().await;
        self.link = Some(link);
        if let Err(error) = flushed {
            self.broke(error);
        }
        written
    }

    fn write(&mut self, word: Word, link: &mut Link) -> Result<()> {
        match word {
            Word::Keep(mut revocations) => {
                revocations.retain(|one| !self.knows(one));
                self.note(&revocations);
                for some in revocations.chunks(record::AT_ONCE) {
                    let body = record::revoked(some);
                    link.publish(SAYS, record::to_record(), &record::spoken("", true)?, body.as_bytes());
                    link.publish(SAYS, record::to_workers(), &record::spoken("", false)?, body.as_bytes());
                }
            }
            Word::Answer { exchange, routing_key, message } => {
                let mut written = Vec::new();
                properties::write(&message.headers, &message.properties, None, &mut written)?;
                let to = To { exchange: &exchange, routing_key: &routing_key, mandatory: false };
                link.publish(SAYS, to, &written, &message.body);
            }
            Word::Described { reply_to, entry, held } => {
                let body = record::described(&entry, &held);
                link.publish(SAYS, to_caller(&reply_to), &record::spoken("", false)?, body.as_bytes());
            }
        }
        Ok(())
    }

    /// Whether it was said to all workers, and so is in the record.
    fn knows(&self, one: &Revocation) -> bool {
        let known = self.known.get(&one.to_json().to_string());
        known.is_some_and(|until| until.0 + ABOUT_MILLISECONDS >= one.until.0)
    }
}

impl Ear for AmqpEar {
    fn next<'a>(&'a mut self) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            loop {
                match self.hearsay.take() {
                    Some(said) => return said,
                    None => self.step().await,
                }
            }
        })
    }

    fn say<'a>(&'a mut self, word: Word) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.answer(word))
    }
}
