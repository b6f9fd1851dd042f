//! The chords of a hub: plain data and the moves on it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::Shared;
use crate::clock::WallTime;
use crate::store::{ChordRecord, ChordState, Chords, NewChord, Part, Patience, Release};

/// All chords, by group.
#[derive(Default)]
pub(super) struct Counter(HashMap<String, Counted>);

/// One chord.
#[derive(Default)]
struct Counted {
    size: Option<u32>,
    added: u32,
    body: Vec<u8>,
    callback: Vec<u8>,
    state: ChordState,
    /// By place in the header and task.
    parts: BTreeMap<(u32, String), Part>,
    last: String,
    /// How many parts there were when it was last looked at.
    seen: usize,
    progress_at: WallTime,
    released_at: WallTime,
    look_at: WallTime,
    expires: Option<WallTime>,
}

impl Counter {
    /// Whether a chord may be ended by the Commit at hand: it has not ended before.
    pub(super) fn may_end(&self, group_id: &str, now: WallTime) -> bool {
        self.find(group_id, now).is_none_or(|chord| chord.state != ChordState::Ended)
    }

    /// Begins, counts and ends; the chords that are complete now. `once`: only those that were not before.
    pub(super) fn count(
        &mut self,
        chords: &Chords,
        now: WallTime,
        expires: Option<WallTime>,
        once: bool,
    ) -> Vec<Release> {
        for chord in &chords.begun {
            self.begin(chord, now, expires);
        }
        for part in &chords.parts {
            self.record(part, now, expires);
        }
        if let Some(group_id) = &chords.ended {
            let chord = self.entry(group_id, now, expires);
            *chord = Counted { state: ChordState::Ended, expires: chord.expires, ..Counted::default() };
        }
        let begun = chords.begun.iter().map(|chord| &chord.group_id);
        let named: BTreeSet<&String> = begun.chain(chords.parts.iter().map(|part| &part.group_id)).collect();
        named
            .into_iter()
            .filter_map(|group_id| self.0.get_mut(group_id)?.release(group_id, now, once))
            .collect()
    }

    fn begin(&mut self, new: &NewChord, now: WallTime, expires: Option<WallTime>) {
        let chord = self.entry(&new.group_id, now, expires);
        if chord.state == ChordState::Ended {
            *chord = Counted { progress_at: now, look_at: now, expires, ..Counted::default() };
        }
        chord.size = Some(new.size);
        chord.body.clone_from(&new.body);
    }

    fn record(&mut self, part: &Part, now: WallTime, expires: Option<WallTime>) {
        let chord = self.entry(&part.group_id, now, expires);
        if chord.state == ChordState::Ended {
            return;
        }
        if !part.callback.is_empty() {
            chord.callback.clone_from(&part.callback);
        }
        let place = (part.place.unwrap_or(u32::MAX), part.task_id.clone());
        if let std::collections::btree_map::Entry::Vacant(vacant) = chord.parts.entry(place) {
            vacant.insert(part.clone());
            chord.last.clone_from(&part.task_id);
        }
    }

    pub(super) fn grow(&mut self, group_id: &str, by: u32, now: WallTime) {
        self.entry(group_id, now, None).added += by;
    }

    pub(super) fn describe(&self, group_id: &str, now: WallTime) -> Option<ChordRecord> {
        let chord = self.find(group_id, now)?;
        Some(ChordRecord {
            size: chord.size.map(|size| size + chord.added),
            count: chord.parts.len() as u32,
            body: chord.body.clone(),
            state: chord.state,
            progress_at: chord.progress_at,
        })
    }

    pub(super) fn parts(&self, group_id: &str, now: WallTime) -> Vec<Part> {
        self.find(group_id, now).map(|chord| chord.parts.values().cloned().collect()).unwrap_or_default()
    }

    /// Those that do not get on.
    pub(super) fn overdue(&mut self, patience: &Patience, now: WallTime) -> Vec<Release> {
        self.0.retain(|_, chord| chord.lives(now));
        let look = |(group_id, chord): (&String, &mut Counted)| chord.look(group_id, patience, now);
        self.0.iter_mut().filter_map(look).collect()
    }

    fn find(&self, group_id: &str, now: WallTime) -> Option<&Counted> {
        self.0.get(group_id).filter(|chord| chord.lives(now))
    }

    fn entry(&mut self, group_id: &str, now: WallTime, expires: Option<WallTime>) -> &mut Counted {
        self.0.retain(|id, chord| id != group_id || chord.lives(now));
        let fresh = || Counted { progress_at: now, look_at: now, expires, ..Counted::default() };
        self.0.entry(group_id.to_owned()).or_insert_with(fresh)
    }
}

impl Counted {
    fn lives(&self, now: WallTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }

    fn is_complete(&self) -> bool {
        self.state != ChordState::Ended
            && self.size.is_some_and(|size| self.parts.len() as u32 >= size + self.added)
    }

    fn release(&mut self, group_id: &str, now: WallTime, once: bool) -> Option<Release> {
        if !self.is_complete() || (once && self.state == ChordState::Released) {
            return None;
        }
        (self.state, self.released_at) = (ChordState::Released, now);
        Some(self.named(group_id))
    }

    fn named(&self, group_id: &str) -> Release {
        Release { group_id: group_id.to_owned(), last: self.last.clone(), callback: self.callback.clone() }
    }

    fn look(&mut self, group_id: &str, patience: &Patience, now: WallTime) -> Option<Release> {
        if self.state == ChordState::Ended || self.look_at.after(patience.look_every) > now {
            return None;
        }
        self.look_at = now;
        if self.parts.len() != self.seen {
            (self.seen, self.progress_at) = (self.parts.len(), now);
        }
        let late = |since: WallTime, limit: Duration| since.after(limit) <= now;
        let overdue = match self.state {
            ChordState::Released => late(self.released_at, patience.release),
            _ => self.is_complete() || late(self.progress_at, patience.members),
        };
        overdue.then(|| self.named(group_id))
    }
}

/// What the store sees of a hub's chords.
impl Shared {
    pub(crate) fn count(&self, chords: &Chords, expires: Option<Duration>) -> Vec<Release> {
        self.with_chords(|counter, now| {
            counter.count(chords, now, expires.map(|after| now.after(after)), false)
        })
    }

    pub(crate) fn chord(&self, group_id: &str) -> Option<ChordRecord> {
        self.with_chords(|counter, now| counter.describe(group_id, now))
    }

    pub(crate) fn parts(&self, group_id: &str) -> Vec<Part> {
        self.with_chords(|counter, now| counter.parts(group_id, now))
    }

    pub(crate) fn grow(&self, group_id: &str, by: u32) {
        self.with_chords(|counter, now| counter.grow(group_id, by, now));
    }

    pub(crate) fn overdue(&self, patience: &Patience) -> Vec<Release> {
        self.with_chords(|counter, now| counter.overdue(patience, now))
    }
}
