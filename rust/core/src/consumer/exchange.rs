//! One exchange with the broker after the other: what goes elsewhere first, the round trip, and what it brought.

use tokio::time::{Instant as TokioInstant, sleep_until, timeout_at};

use super::link::LinkInput;
use super::{Consumer, Fault, elsewhere, ends_session, jitter};
use crate::broker::{Delivery, Harvest, Said, Session};
use crate::consumer::News;
use crate::error::Result;
use crate::ident::Tag;
use crate::job::ending::Commit;

impl Consumer {
    /// One round trip: settles the batch and takes what may be taken; returns whether there may be more.
    pub(super) async fn exchange(&mut self, session: &mut dyn Session) -> Result<bool, Fault> {
        if self.store.is_some() {
            session.publish_first(self.batch.commits()).await.map_err(Fault::Session)?;
        }
        self.store_first().await.map_err(Fault::Store)?;
        let credit = if self.draining { 0 } else { self.credit };
        let commits = self.batch.commits();
        let mut noted: Vec<Tag> = commits.iter().filter_map(Commit::noted).collect();
        let Harvest { deliveries, refused, more, revoked, lost, notices } =
            session.exchange(commits, credit).await.map_err(Fault::Session)?;
        self.works();
        for notice in notices {
            self.say(News::Notice(notice));
        }
        if lost {
            self.say(News::SessionLost);
        }
        let ended = self.end_chords(&refused).await;
        if !refused.is_empty() {
            noted.retain(|tag| !refused.contains(tag));
            self.say(News::Refused(refused));
        }
        if !noted.is_empty() {
            self.say(News::Settled(noted));
        }
        if !revoked.is_empty() {
            self.say(News::Said(Said::Revoked(revoked))); // before what was taken: it may be among that
        }
        self.taken(deliveries);
        // What could not be written down comes again: a sweeper finds the chord, and releases it once more.
        ended.map_err(Fault::Store)?;
        // What was just settled may have put messages into the queues, and without credit nobody looked.
        Ok(more || credit == 0)
    }

    /// Hands on what an exchange brought.
    fn taken(&mut self, deliveries: Vec<Delivery>) {
        if let Some(pace) = &mut self.pace {
            pace.note(TokioInstant::now(), deliveries.len());
        }
        if !deliveries.is_empty() {
            self.credit = self.credit.saturating_sub(deliveries.len());
            self.harvest += 1;
            self.uncounted.push_back((self.harvest, deliveries.len()));
            self.say(News::Taken { deliveries, harvest: self.harvest });
        }
    }

    /// What goes to another server first, where broker and store are two.
    async fn store_first(&mut self) -> Result<()> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let Self { subscription, ending, batch, .. } = self;
        let expires = (subscription.result_expires, subscription.chord_expires);
        elsewhere::store_first(store, batch.commits(), expires, subscription.internal_queue(), ending).await
    }

    /// And what goes there afterwards.
    async fn end_chords(&mut self, refused: &[Tag]) -> Result<()> {
        let ended = self.ending.carried_out(refused);
        match self.store.clone().filter(|_| !ended.is_empty()) {
            Some(store) => elsewhere::end(store, ended, self.subscription.chord_expires).await,
            None => Ok(()),
        }
    }

    /// Settles what is left and gives the rest back; keeps trying for a while.
    pub(super) async fn finish(&mut self, mut session: Box<dyn Session>) -> bool {
        let deadline = TokioInstant::now() + Self::LAST_TRIES;
        while !self.batch.is_empty() && TokioInstant::now() < deadline {
            match self.exchange(&mut *session).await {
                Ok(_) => {}
                Err(Fault::Session(error)) if ends_session(&error) => break,
                Err(Fault::Session(error) | Fault::Store(error)) => {
                    self.warn(&error);
                    sleep_until((TokioInstant::now() + self.link.pause(jitter())).min(deadline)).await;
                }
            }
        }
        let closed =
            timeout_at(deadline.max(TokioInstant::now() + Self::CLOSE_WITHIN), session.close()).await;
        let clean = closed.is_ok_and(|closed| closed.is_ok()) && self.batch.is_empty();
        self.step(LinkInput::Settled, String::new());
        clean
    }
}
