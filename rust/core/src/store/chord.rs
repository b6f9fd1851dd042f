//! Chords: how many members must end before the body is called, and what each of them ended with. Pure.
//!
//! A member's Part is recorded by task id in the Commit of its run, so that a repeat changes nothing. The last one is
//! followed, in the same Commit, by a release message: a built-in task that calls the body (docs/design/chords.md).

#[cfg(feature = "redis")]
use std::borrow::Cow;
use std::time::Duration;

#[cfg(feature = "redis")]
use super::record::JSON;
use crate::clock::WallTime;
use crate::error::Result;

/// How one member of a chord ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The group that the chord's header is.
    pub group_id: String,
    /// The member.
    pub task_id: String,
    /// Its place in the header; `None`: behind those that have one.
    pub place: Option<u32>,
    /// `SUCCESS`, or whatever makes the chord fail.
    pub state: String,
    /// The document `[1, task_id, state, result]`, in the format of results (protocol.md §7.6).
    pub body: Vec<u8>,
    /// The signature of the chord's body as JSON, when the member's message carried it; empty: the store has it.
    pub callback: Vec<u8>,
}

impl Part {
    /// The document in the format of `content_type`: what the core itself has written is JSON, and begins so; YAML
    /// reads that, too.
    #[cfg(feature = "redis")]
    pub(crate) fn body_as(&self, content_type: &str) -> Cow<'_, [u8]> {
        let is_ours = self.body.starts_with(b"[") && content_type != JSON;
        if is_ours { super::record::rewritten(&self.body, content_type) } else { Cow::Borrowed(&self.body) }
    }
}

/// A chord that begins: what must be known before its last member ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChord {
    /// The group that the chord's header is.
    pub group_id: String,
    /// Members that must end.
    pub size: u32,
    /// What the release needs to call the body: a JSON document of Python's.
    pub body: Vec<u8>,
}

/// What a run has to do with chords. Most runs have nothing to do with any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chords {
    /// Chords whose members follow the run.
    pub begun: Vec<NewChord>,
    /// Chords of which the run was a member.
    pub parts: Vec<Part>,
    /// The chord that the run has released: unless it had ended before, it ends, and the run's messages are sent;
    /// if it had, nothing of the run is done but its acknowledgement.
    pub ended: Option<String>,
}

impl Chords {
    /// What there is to do for one member; `None` when it is none.
    pub fn of(part: Option<Part>) -> Option<Box<Self>> {
        Self { parts: part.into_iter().collect(), ..Self::default() }.boxed()
    }

    /// `None` when there is nothing in it.
    pub fn boxed(self) -> Option<Box<Self>> {
        let is_empty = self.begun.is_empty() && self.parts.is_empty() && self.ended.is_none();
        (!is_empty).then(|| Box::new(self))
    }
}

/// A chord whose members have all ended: its body is to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The chord.
    pub group_id: String,
    /// The member that ended last; empty: nobody knows.
    pub last: String,
    /// The signature of the body as JSON; empty: the store has it.
    pub callback: Vec<u8>,
}

/// How far a chord has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChordState {
    /// Members are to end.
    #[default]
    Open,
    /// The last one has ended, and the release message was sent.
    Released,
    /// The body was called, or failed in its place.
    Ended,
}

impl ChordState {
    /// The name that Python knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Released => "released",
            Self::Ended => "ended",
        }
    }
}

/// What a store knows of a chord.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChordRecord {
    /// Members that must end, those included that were added; `None`: nobody has said yet.
    pub size: Option<u32>,
    /// Members that have ended.
    pub count: u32,
    /// As [`NewChord::body`]; empty when it is known from the members' messages alone.
    pub body: Vec<u8>,
    /// How far it has come.
    pub state: ChordState,
    /// When it was last seen to get on.
    pub progress_at: WallTime,
}

/// How long chords are left alone.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A chord that was looked at is not looked at again for so long, whoever asks.
    pub look_every: Duration,
    /// One whose release message has not been worked off for so long gets another.
    pub release: Duration,
    /// One of which no member has ended for so long may have lost some.
    pub members: Duration,
}

impl Patience {
    /// With a chord of which no member has ended for `members`.
    pub fn of(members: Duration) -> Self {
        let share = members / 4;
        Self {
            look_every: share.min(Duration::from_secs(60)),
            release: (members / 2).min(Duration::from_secs(120)),
            members,
        }
    }
}

/// Counting the members of chords, in the store that has their results.
pub trait ChordStore: Send + Sync {
    /// Begins chords, records parts and ends a chord, together. A part that is there already changes nothing; a chord
    /// that begins again with the parts it has goes on with them, and one that had ended begins anew. `expires`: how
    /// long all of it lives. Returns the chords among those named whose members have all ended and that have not
    /// ended themselves, however often it is asked.
    fn count(&self, chords: &Chords, expires: Option<Duration>) -> Result<Vec<Release>>;

    /// What is known of a chord; `None` when nothing is.
    fn chord(&self, group_id: &str) -> Result<Option<ChordRecord>>;

    /// The parts of a chord, in the order of the header.
    fn parts(&self, group_id: &str) -> Result<Vec<Part>>;

    /// So many more members must end.
    fn grow(&self, group_id: &str, by: u32) -> Result<()>;

    /// Chords that are to be looked at because they do not get on. One that was named is not named again for a while.
    fn overdue(&self, patience: &Patience) -> Result<Vec<Release>>;
}
