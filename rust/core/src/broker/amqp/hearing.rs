//! A session, and what its worker hears beside it. What was called off before the session began is told with the first
//! exchange; of the rest the ear tells.

use std::sync::Arc;
use std::time::Duration;

use super::config::AmqpConfig;
use super::ear::AmqpEar;
use super::names::Names;
use super::session::AmqpSession;
use crate::broker::{BoxFuture, Ear, Harvest, Queue, Renewal, Session, Subscription};
use crate::clock::Clock;
use crate::error::Result;
use crate::job::ending::Commit;
use crate::job::revocation::Revocation;

/// A session with an ear.
pub(super) struct Hearing {
    session: AmqpSession,
    /// As it was when the session began, until it is told.
    record: Vec<Revocation>,
    /// Why there is none, until that is told.
    notice: Option<String>,
    /// Until somebody asks for it.
    ear: Option<AmqpEar>,
}

impl Hearing {
    /// Begins both. An ear that cannot hear yet keeps nobody from working: it says so, and tries again.
    pub(super) async fn begin(
        config: Arc<AmqpConfig>,
        clock: Clock,
        names: Names,
        subscription: Subscription,
    ) -> Result<Self> {
        let mut ear = AmqpEar::new(Arc::clone(&config), clock.clone(), &subscription);
        let (session, record) =
            tokio::join!(AmqpSession::begin(config, clock, names, subscription), ear.learn());
        Ok(Self { session: session?, record, notice: ear.notice(), ear: Some(ear) })
    }

    async fn tell_more(&mut self, commits: &mut Vec<Commit>, credit: usize) -> Result<Harvest> {
        let mut harvest = self.session.exchange(commits, credit).await?;
        harvest.revoked = std::mem::take(&mut self.record);
        harvest.notices.extend(self.notice.take());
        Ok(harvest)
    }

    fn has_told(&self) -> bool {
        self.record.is_empty() && self.notice.is_none()
    }
}

impl Session for Hearing {
    fn exchange<'a>(
        &'a mut self,
        commits: &'a mut Vec<Commit>,
        credit: usize,
    ) -> BoxFuture<'a, Result<Harvest>> {
        if self.has_told() {
            return self.session.exchange(commits, credit);
        }
        Box::pin(self.tell_more(commits, credit))
    }

    fn publish_first<'a>(&'a mut self, commits: &'a mut Vec<Commit>) -> BoxFuture<'a, Result<()>> {
        self.session.publish_first(commits)
    }

    fn subscribe_to<'a>(&'a mut self, queues: &'a [Queue]) -> BoxFuture<'a, Result<()>> {
        self.session.subscribe_to(queues)
    }

    fn unsubscribe_from<'a>(&'a mut self, queue: &'a str) -> BoxFuture<'a, Result<()>> {
        self.session.unsubscribe_from(queue)
    }

    fn arrival<'a>(&'a mut self) -> BoxFuture<'a, ()> {
        if self.has_told() { self.session.arrival() } else { Box::pin(std::future::ready(())) }
    }

    fn renew<'a>(&'a mut self) -> BoxFuture<'a, Result<Renewal>> {
        self.session.renew()
    }

    fn ear(&mut self) -> Option<Box<dyn Ear>> {
        self.ear.take().map(|ear| Box::new(ear) as Box<dyn Ear>)
    }

    fn renew_every(&self) -> Duration {
        self.session.renew_every()
    }

    fn close<'a>(self: Box<Self>) -> BoxFuture<'a, Result<()>>
    where
        Self: 'a,
    {
        let Self { session, .. } = *self;
        Box::new(session).close()
    }
}
