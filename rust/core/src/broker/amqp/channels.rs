//! The channels of a worker's ear: how each is opened, and what goes over it.

use uuid::Uuid;

use super::link::Link;
use super::record::{self, WORKERS};
use super::topology;
use super::wire::call::{self, Declared, To};
use crate::error::{ErrorKind, Result};

/// The channels: what is heard; the record; what is said; and that there is somebody.
pub(super) const HEARS: u16 = 1;
pub(super) const READS: u16 = 2;
pub(super) const SAYS: u16 = 3;
pub(super) const COUNTS: u16 = 4;
/// The consumer that is only there to be counted.
const COUNTED: &str = "fastq-counted";

/// Takes from a queue of its own what is said to all workers, and remote commands.
pub(super) async fn listen(link: &mut Link, mailbox: Option<&str>) -> Result<()> {
    link.open_channel(HEARS).await?;
    unless_refused(link, HEARS, |out| record::declare_workers(HEARS, out)).await?;
    if let Some(mailbox) = mailbox {
        // As Celery declares it.
        let how = (false, false, false);
        unless_refused(link, HEARS, |out| {
            call::exchange_declare(HEARS, mailbox, "fanout", how, "", out).map(|()| 1)
        })
        .await?;
    }
    let queue = format!("fastq.worker.{}", Uuid::new_v4().simple());
    let asked = link.ask(HEARS, |out| {
        let how = Declared { exclusive: true, auto_delete: true, ..Declared::default() };
        call::queue_declare(HEARS, &queue, how, "", out)?;
        let mut answers = 2;
        for exchange in [Some(WORKERS), mailbox].into_iter().flatten() {
            call::queue_bind(HEARS, &queue, exchange, "", "", out)?;
            answers += 1;
        }
        call::consume(HEARS, &queue, "fastq-hears", (true, true), "", out)?;
        Ok(answers)
    });
    asked.await.map(drop)
}

/// Asks for something that may be there otherwise, or that we may not declare: then it is used as it is.
pub(super) async fn unless_refused(
    link: &mut Link,
    channel: u16,
    write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
) -> Result<()> {
    match link.ask(channel, write).await {
        Err(error) if link.is_usable() && matches!(error.kind(), ErrorKind::Mismatch | ErrorKind::Denied) => {
            link.open_channel(channel).await
        }
        other => other.map(drop),
    }
}

/// Takes from the queue whose consumers are counted. Where that cannot be, nobody waits for this worker's answers.
pub(super) async fn be_counted(link: &mut Link) -> Result<()> {
    link.open_channel(COUNTS).await?;
    let asked = link.ask(COUNTS, |out| {
        let made = topology::make(COUNTS, WORKERS, out)?;
        call::consume(COUNTS, WORKERS, COUNTED, (true, false), "", out)?;
        Ok(made + 1)
    });
    match asked.await {
        Err(_) if link.is_usable() => Ok(()),
        other => other.map(drop),
    }
}

pub(super) fn to_caller(reply_to: &str) -> To<'_> {
    To { exchange: "", routing_key: reply_to, mandatory: false }
}
