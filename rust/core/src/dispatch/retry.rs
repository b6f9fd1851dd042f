//! A run that died is retried, where its task says so: as the task itself would, counted as one of its retries.

use super::bounds;
use super::held::{Ack, Held};
use super::machine::again;
use crate::broker::Publication;
use crate::clock::WallTime;
use crate::job::Job;
use crate::job::ending::{Commit, Verdict};
use crate::message::Message;
use crate::message::object::RawObject;
use crate::message::task::Headers;
use crate::store::Record;
use crate::store::record::Exception;

/// The Commit that sends the next try; `None` when the task does not want it, or has no tries left.
pub(super) fn of_lost(held: &mut Held, exception: &Exception, now: WallTime) -> Option<Commit> {
    let publications = vec![next_try(&held.job)?];
    let mut commit = Commit::default();
    if !held.job.ignores_result() {
        let record = Record::of_exception(&held.job.id, "RETRY", exception, now);
        commit.add_state(&held.job.name, record, held.job.policy.results_elsewhere);
    }
    let verdict = (held.ack == Ack::Late).then_some(Verdict::Ack);
    let limits = bounds::limits(held, verdict.as_ref(), &publications, now);
    let settle = verdict.and_then(|verdict| Some((held.job.delivery.receipt.spend()?, verdict)));
    Some(Commit { settle, publications, limits, ..commit })
}

fn next_try(job: &Job) -> Option<Publication> {
    let most = job.policy.retries_when_lost?;
    let message = &job.delivery.message;
    let retries = Headers::parse(&message.headers).ok()?.retries.unwrap_or(0);
    if retries >= most {
        return None;
    }
    let text = std::str::from_utf8(&message.headers).ok()?;
    let mut headers = RawObject::parse(text).ok()?;
    let count = (retries + 1).to_string();
    headers.set("retries", Some(&count));
    let message = Message { headers: headers.to_json().into_bytes().into(), ..message.clone() };
    Some(Publication { message, due: None, ..again(job) })
}
