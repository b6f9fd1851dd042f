//! Taking from more or fewer queues while the session goes on.
//!
//! What was taken refers to the place of its list, so lists are added at the end and closed where they are. The session
//! writes its lists down before it takes from them: whoever reaps it finds what it held.

use super::link::Link;
use super::session::RedisSession;
use super::wire::Batch;
use crate::broker::Queue;
use crate::broker::topology::ExchangeKind;
use crate::error::Result;

impl RedisSession {
    /// Takes from more queues.
    pub(super) async fn take_from(&mut self, queues: &[Queue]) -> Result<()> {
        self.connect().await?;
        // Over a connection of its own: a transaction ends what the session's one watches.
        Link::open(&self.config).await?.declare(&self.config, queues).await?;
        for queue in queues {
            self.book.open(&self.config, &queue.name, &self.lease.session);
            self.queues.retain(|known| known != queue);
            self.queues.push(queue.clone());
        }
        self.show_queues().await?;
        self.waiters.grow(&self.config, &self.book.sources);
        if queues.iter().any(is_fanout) {
            self.waiters.listen(&self.config, &self.queues).await?;
        }
        let mut batch = Batch::new();
        self.ask_for_lengths(&mut batch);
        let mut replies = self.call(&batch).await?;
        self.learn_lengths(&mut replies)
    }

    /// Takes from a queue no more.
    pub(super) async fn take_no_more_from(&mut self, queue: &str) -> Result<()> {
        self.connect().await?;
        // First of all nobody may wait for its messages any more: one that comes now is for others.
        self.book.close(queue);
        self.stop_waiting().await;
        let heard = self.queues.iter().any(|known| known.name == queue && is_fanout(known));
        self.queues.retain(|known| known.name != queue);
        if heard {
            self.waiters.listen(&self.config, &self.queues).await?;
        }
        self.show_queues().await
    }

    /// Opens a new connection if the last one broke.
    pub(super) async fn connect(&mut self) -> Result<()> {
        if self.link.is_some() { Ok(()) } else { self.reconnect().await }
    }

    async fn show_queues(&mut self) -> Result<()> {
        let mut batch = Batch::new();
        batch.add(&[b"MULTI"]);
        self.lease.show(&self.book, &mut batch);
        batch.add(&[b"EXEC"]);
        self.send_alone(&batch).await
    }
}

/// Whether what is sent to a queue is heard on a channel.
pub(super) fn is_fanout(queue: &Queue) -> bool {
    !queue.exchange.is_empty() && ExchangeKind::parse(&queue.exchange_type).ok() == Some(ExchangeKind::Fanout)
}
