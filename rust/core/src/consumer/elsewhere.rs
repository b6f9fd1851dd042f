//! Where broker and store are two servers: what goes to the store, and in which order.
//!
//! Results are stored and members counted before the deliveries are acknowledged: a crash in between repeats a run, and
//! never loses a result. A chord that is complete is released by a message that goes with the acknowledgement; a member
//! that runs once more is told again that its chord is complete, and the release comes again, which changes nothing once
//! the chord has ended. That it has is written down after its body was sent.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::release;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::Tag;
use crate::job::ending::Commit;
use crate::store::{ChordState, Chords, Record, Store};

/// What the store must be told of some Commits.
#[derive(Debug, Default)]
struct Told {
    records: Vec<Record>,
    /// By the place of the Commit.
    chords: Vec<(usize, Box<Chords>)>,
}

/// What the store answered: by the place of the Commit, its chords that are complete, or that another run has ended
/// what it wants to end.
enum Answer {
    Complete(usize, Vec<crate::store::Release>),
    EndedBefore(usize),
}

/// Chords that end when their Commits are carried out.
#[derive(Debug, Default)]
pub(super) struct Ending(Vec<(Option<Tag>, String)>);

impl Ending {
    /// The session is over: what was to be settled is void, and so is what goes with it.
    pub(super) fn lost(&mut self) {
        self.0.retain(|(tag, _)| tag.is_none());
    }

    /// Takes those whose Commits were carried out.
    pub(super) fn carried_out(&mut self, refused: &[Tag]) -> Vec<String> {
        let all = std::mem::take(&mut self.0).into_iter();
        let kept = all.filter(|(tag, _)| tag.is_none_or(|tag| !refused.contains(&tag)));
        kept.map(|(_, group_id)| group_id).collect()
    }
}

/// Stores and counts what `commits` ask for, and takes it out of them: what is left is the broker's. On a thread of its
/// own: a store that hangs must not keep the caller from renewing the lease.
///
/// # Errors
/// Those of the store; everything is as it was then.
pub(super) async fn store_first(
    store: Arc<dyn Store>,
    commits: &mut [Commit],
    expires: (Option<Duration>, Option<Duration>),
    queue: &str,
    ending: &mut Ending,
) -> Result<()> {
    let told = gather(commits);
    if told.records.is_empty() && told.chords.is_empty() {
        return Ok(());
    }
    let answers = off_the_loop(move || tell(&*store, &told, expires)).await?;
    for commit in commits.iter_mut() {
        commit.records.clear();
        if let Some(group_id) = commit.chords.take().and_then(|chords| chords.ended) {
            let tag = commit.settle.as_ref().map(|(receipt, _)| receipt.tag());
            ending.0.push((tag, group_id));
        }
    }
    for answer in answers {
        match answer {
            Answer::Complete(place, complete) => {
                let messages = complete.iter().map(|complete| release(complete, queue, ""));
                commits[place].publications.extend(messages);
            }
            Answer::EndedBefore(place) => commits[place].publications.clear(),
        }
    }
    Ok(())
}

/// Writes down that chords have ended.
pub(super) async fn end(
    store: Arc<dyn Store>,
    group_ids: Vec<String>,
    expires: Option<Duration>,
) -> Result<()> {
    off_the_loop(move || {
        for group_id in group_ids {
            store.count(&Chords { ended: Some(group_id), ..Chords::default() }, expires)?;
        }
        Ok(())
    })
    .await
}

/// Runs something that may block.
pub(super) async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Unexpected, "the result store panicked").because(error))
    })
}

fn gather(commits: &[Commit]) -> Told {
    let mut told = Told::default();
    for (place, commit) in commits.iter().enumerate() {
        told.records.extend(commit.records.iter().cloned());
        told.chords.extend(commit.chords.iter().map(|chords| (place, chords.clone())));
    }
    told
}

fn tell(
    store: &dyn Store,
    told: &Told,
    (result_expires, chord_expires): (Option<Duration>, Option<Duration>),
) -> Result<Vec<Answer>> {
    if !told.records.is_empty() {
        store.save(&told.records, result_expires)?;
    }
    let mut answers = Vec::new();
    for (place, chords) in &told.chords {
        if let Some(group_id) = &chords.ended {
            let record = store.chord(group_id)?;
            if record.is_some_and(|record| record.state == ChordState::Ended) {
                answers.push(Answer::EndedBefore(*place));
                continue;
            }
        }
        let counted = Chords { ended: None, ..(**chords).clone() };
        let complete = store.count(&counted, chord_expires)?;
        if !complete.is_empty() {
            answers.push(Answer::Complete(*place, complete));
        }
    }
    Ok(answers)
}
