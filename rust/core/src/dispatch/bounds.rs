//! What becomes of a task's lock and token when a run ends.

use std::time::Duration;

use super::held::Held;
use super::machine::Machine;
use super::{Effect, Effects, Now};
use crate::broker::Publication;
use crate::clock::WallTime;
use crate::ident::Tag;
use crate::job::ending::{Commit, Verdict};
use crate::job::limits::{Limits, Locked};
use crate::message::bounds::Lock;
use crate::message::task::Headers;
use crate::store::Record;
use crate::store::record::Exception;

/// A worker that has jobs of a key passes a token on to them for so long: with short runs most of the time would go by
/// on the way to the server and back.
const KEPT: Duration = Duration::from_millis(50);

/// What a Commit does to locks and tokens.
///
/// The lock goes with the end of the task, not of the run: what will be run again keeps it, be it the same message or
/// the next try, which has the same id.
pub(super) fn limits(
    held: &mut Held,
    verdict: Option<&Verdict>,
    publications: &[Publication],
    now: WallTime,
) -> Option<Box<Limits>> {
    let id = held.job.id.as_str();
    let own = held.job.keys.as_ref().and_then(|keys| keys.lock.as_deref());
    let mut goes_on = matches!(verdict, Some(Verdict::Release | Verdict::Requeue { .. }));
    let mut locked = Vec::new();
    for (place, publication) in publications.iter().enumerate() {
        let headers = &publication.message.headers;
        let Ok(Some(lock)) = Lock::wanted(headers) else { continue };
        if lock.id == id && Some(lock.key.as_str()) == own {
            goes_on = true;
        } else {
            locked.push(Locked { place, otherwise: refused(headers, &lock, now), lock });
        }
    }
    let unlock = own.filter(|_| !goes_on).map(|key| (key.to_owned(), id.to_owned()));
    Limits { unlock, token: held.token.take(), locked }.boxed()
}

/// What is stored for a follow-up that may not go: its callers are not to wait for a run that will not be.
fn refused(headers: &[u8], lock: &Lock, now: WallTime) -> Option<Record> {
    let headers = Headers::parse(headers).ok().filter(|headers| headers.ignore_result != Some(true))?;
    let exception = Exception::already_queued(&headers.task.unwrap_or_default(), &lock.key);
    Some(Record::of_exception(&lock.id, "FAILURE", &exception, now))
}

impl Machine {
    /// A run ends: a token that this worker has not had for long goes to the next job here, at no cost; any other goes
    /// back with the Commit, and whoever has waited longest in whatever worker may have it.
    pub(super) fn pass_token_on(&mut self, now: Now, held: &mut Held) {
        let Some(key) = &held.token else { return };
        let is_fresh = now.monotonic.since(held.token_since) < KEPT && !self.stopping;
        while is_fresh && let Some(tag) = self.buffer.gates.pass_on(key) {
            if let Some(next) = self.jobs.get_mut(&tag) {
                (next.token, next.token_since) = (held.token.take(), held.token_since);
                self.admit(now, tag);
                return;
            }
        }
        self.token_goes(held);
    }

    /// A run ends that had a token: with its Commit another job may have it.
    pub(super) fn token_goes(&mut self, held: &Held) {
        if let Some(key) = &held.token {
            self.buffer.gates.gave_back(key);
        }
    }

    /// Gives the token of a job back that leaves without a Commit.
    pub(super) fn drop_token(&mut self, tag: Tag, effects: &mut Effects) {
        let token = self.jobs.get_mut(&tag).and_then(|held| held.token.take());
        let limits = Limits { token, ..Limits::default() }.boxed();
        effects.extend(
            limits.map(|limits| Effect::Settle(Commit { limits: Some(limits), ..Commit::default() })),
        );
    }
}
