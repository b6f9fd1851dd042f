//! The Commit of a task that is called off, before it ran or in the middle of it (celery-inventory §10.8).

use crate::clock::WallTime;
use crate::job::Job;
use crate::job::ending::{Commit, Verdict};
use crate::store::Record;
use crate::store::record::Exception;

/// Acknowledges the message and stores REVOKED, with `why` as what its caller is told; nothing that should follow the
/// task is sent. Whatever waits for the task as a part of something larger learns of its end here. `None` when there is
/// nothing to do.
pub fn revoked(job: &mut Job, why: &str, now: WallTime) -> Option<Commit> {
    let settle = job.delivery.receipt.spend().map(|receipt| (receipt, Verdict::Ack));
    let wanted = !job.ignores_result() || job.policy.store_errors_even_if_ignored;
    let exception = Exception::revoked(why);
    let chords = job.chords("REVOKED", &exception);
    let mut commit = Commit { settle, chords, ..Commit::default() };
    if wanted {
        let record = Record::of_exception(&job.id, "REVOKED", &exception, now);
        commit.add_state(&job.name, record, job.policy.results_elsewhere);
    }
    (!commit.is_nothing()).then_some(commit)
}
