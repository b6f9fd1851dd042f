//! The end of a session: everything it holds goes back, at once.

use std::sync::Arc;

use super::link::Link;
use super::open::{self, end_clients};
use super::session::RedisSession;
use super::wire::Batch;
use crate::error::Result;

const GIVE_BACK: &str = include_str!("scripts/give_back.lua");

impl RedisSession {
    /// The commands that put everything back and give up the lease. They come after those of [`end_clients`]:
    /// first of all nothing more may be taken.
    pub(super) fn ending(&self, mut batch: Batch) -> Batch {
        for source in &self.book.sources {
            batch.script(GIVE_BACK, &[source.held.as_bytes(), source.key.as_bytes()], &[]);
        }
        self.end_mirror(&mut batch);
        self.tokens.end(&self.config.keys, &self.lease.session, &mut batch);
        self.lease.end(&mut batch);
        batch
    }

    pub(super) async fn end(&mut self) -> Result<()> {
        self.check()?;
        if self.link.is_none() {
            let link = Link::open(&self.config).await?;
            self.link = Some(link);
        }
        let mut batch = Batch::new();
        batch.add(&[b"UNWATCH"]);
        self.call(&batch).await?;
        // One that is only about to wait would take what is given back.
        let waited = self.waiters.end().await;
        let mut batch = Batch::new();
        let server = self.link.as_ref().map_or("", |link| &link.welcome.server);
        end_clients(waited.iter(), server, &mut batch);
        let batch = self.ending(batch);
        self.call(&batch).await?;
        self.has_ended = true;
        if let Some(page) = &self.lease.page {
            super::lease::remove_page(page);
        }
        Ok(())
    }
}

impl Drop for RedisSession {
    /// Dropped without closing, it puts back what it holds from a thread of its own: there may be no runtime any more.
    fn drop(&mut self) {
        if self.has_ended || self.is_lost || self.pid != std::process::id() {
            return;
        }
        let (config, batch) = (Arc::clone(&self.config), self.ending(Batch::new()));
        let clients = self.waiters.begin_to_end();
        // If no thread can be had or the server is away, the lease runs out.
        let _ = std::thread::Builder::new().name("fastq-redis-end".into()).spawn(move || {
            let until = std::time::Instant::now() + config.publish_timeout;
            let _ = super::connection::Handle::open(&config, until).and_then(|mut handle| {
                let mut first = Batch::new();
                open::which_server(&mut first);
                let server = open::server(&mut handle.call(&first, until)?);
                let mut kills = Batch::new();
                end_clients(clients.iter().filter_map(|client| client.get()), &server, &mut kills);
                if !kills.is_empty() {
                    handle.call(&kills, until)?;
                }
                handle.call(&batch, until)
            });
        });
    }
}
