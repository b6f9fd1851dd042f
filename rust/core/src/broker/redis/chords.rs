//! Counting the members of chords where Celery's workers count them, too (protocol.md §7.6). Pure: who sends the commands
//! waits or blocks as it likes.
//!
//! # Format
//! ```text
//! celery-taskset-meta-<group>     the saved group, where the header has groups inside        (Celery's)
//!   .s  text    members that must end                .t  text   those that were added         (Celery's)
//!   .j  zset    documents of parts by place (list where parts are not ordered)               (Celery's)
//!   .d  set     <task>:<place> of those that are in .j: a repeat changes nothing             (Celery's, since 5.7)
//!   .c  text    who releases it; "done" when that has happened                               (Celery's, since 5.7)
//! fastq:chord:<group>             hash: body, callback, last, seen, progress_at, released_at
//! fastq:chords                    zset: chords that go on by the moment of the last look, in milliseconds
//! ```

use std::time::Duration;

use serde::de::IgnoredAny;

use super::config::RedisConfig;
use super::wire::{Batch, Replies, bytes, string};
use crate::broker::{Publication, release};
use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{ChordRecord, ChordState, NewChord, Part, Patience, Release};

const BEGIN: &str = include_str!("scripts/chord_begin.lua");
const PART: &str = include_str!("scripts/chord_part.lua");
const END: &str = include_str!("scripts/chord_end.lua");
const OVERDUE: &str = include_str!("scripts/chord_overdue.lua");
/// How long it is remembered that a chord has ended, for members that run once more.
const REMEMBERED: &[u8] = b"3600";
/// The place of a member that has none.
const LAST: &str = "+inf";

/// A release message on its way, and the queue it goes into.
pub(crate) struct Sent<'a> {
    pub(super) queue: &'a str,
    pub(super) publication: &'a Publication,
    pub(super) now: WallTime,
}

/// The keys of a chord, in the order in which scripts know them.
fn keys(config: &RedisConfig, group_id: &str) -> [String; 7] {
    let group = config.results.group(group_id);
    let [size, parts, added, seen, claim] = ["s", "j", "t", "d", "c"].map(|what| format!("{group}.{what}"));
    let [record, chords] = [config.results.chord(group_id), config.results.chords()];
    [size, parts, added, seen, claim, record, chords]
}

/// Whole seconds, where 0 is for ever.
fn seconds(expires: Option<Duration>) -> String {
    expires.filter(|after| !after.is_zero()).map_or(0, |after| after.as_secs_f64().ceil() as u64).to_string()
}

/// Adds the command that makes a chord known.
pub(crate) fn begin(
    config: &RedisConfig,
    chord: &NewChord,
    expires: Option<Duration>,
    now: WallTime,
    batch: &mut Batch,
) {
    let keys = keys(config, &chord.group_id);
    let (size, now) = (chord.size.to_string(), now.0.to_string());
    batch.script(
        BEGIN,
        &keys.each_ref().map(String::as_bytes),
        &[
            chord.group_id.as_bytes(),
            size.as_bytes(),
            &chord.body,
            seconds(expires).as_bytes(),
            now.as_bytes(),
        ],
    );
}

/// Parts of one chord each, in the order in which they stand.
pub(crate) fn by_chord<'a>(parts: impl IntoIterator<Item = &'a Part>) -> Vec<Vec<&'a Part>> {
    let mut chords: Vec<Vec<&Part>> = Vec::new();
    for part in parts {
        match chords.iter_mut().find(|chord| chord[0].group_id == part.group_id) {
            Some(chord) => chord.push(part),
            None => chords.push(vec![part]),
        }
    }
    chords
}

/// Adds the command that records parts of one chord. `sent`: the message for its release, if that is to be sent by the
/// server.
///
/// # Errors
/// `Encode` when the message cannot be written.
pub(crate) fn parts(
    config: &RedisConfig,
    parts: &[&Part],
    expires: Option<Duration>,
    now: WallTime,
    sent: Option<&Sent<'_>>,
    batch: &mut Batch,
) -> Result<()> {
    let Some(first) = parts.first() else { return Ok(()) };
    let group_id = first.group_id.as_str();
    let (list, dead, message, letter) = match sent {
        Some(sent) => {
            let message = super::publish::sealed(sent.publication)?;
            let letter =
                super::dead::letter(&message, 0, "the key of its queue holds something else", 0, sent.now);
            (config.keys.key(sent.queue), config.keys.dead(sent.queue), message, letter)
        }
        None => (String::new(), String::new(), Vec::new(), Vec::new()),
    };
    let (keys, group) = (keys(config, group_id), config.results.group(group_id));
    let mut named: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    named.extend([group.as_bytes(), list.as_bytes(), dead.as_bytes()]);
    let (expires, now) = (seconds(expires), now.0.to_string());
    let callback = parts.iter().map(|part| &part.callback[..]).find(|found| !found.is_empty());
    let ordered: &[u8] = if config.results.ordered { b"1" } else { b"0" };
    let mut arguments: Vec<&[u8]> = vec![group_id.as_bytes(), ordered, expires.as_bytes(), now.as_bytes()];
    arguments.extend([callback.unwrap_or_default(), &message, &letter]);
    let places: Vec<String> = parts.iter().map(|part| place(part)).collect();
    // What the core itself has written is JSON, whatever the format of the others.
    let documents: Vec<_> = parts.iter().map(|part| part.body_as(&config.results.content_type)).collect();
    for ((part, place), document) in parts.iter().zip(&places).zip(&documents) {
        arguments.extend([part.task_id.as_bytes(), place.as_bytes(), document]);
    }
    batch.script(PART, &named, &arguments);
    Ok(())
}

/// As [`parts`], with the message for the release, which goes into the queue `internal`.
///
/// # Errors
/// As [`parts`].
pub(super) fn released(
    config: &RedisConfig,
    counted: &[&Part],
    expires: Option<Duration>,
    now: WallTime,
    internal: &str,
    batch: &mut Batch,
) -> Result<()> {
    let Some(complete) = complete(counted) else { return Ok(()) };
    let publication = release(&complete, internal, "");
    let sent = Sent { queue: internal, publication: &publication, now };
    parts(config, counted, expires, now, Some(&sent), batch)
}

/// The release of the chord whose last parts these are.
pub(crate) fn complete(parts: &[&Part]) -> Option<Release> {
    let last = parts.last()?;
    let callback = parts.iter().map(|part| &part.callback).find(|callback| !callback.is_empty());
    Some(Release {
        group_id: last.group_id.clone(),
        last: last.task_id.clone(),
        callback: callback.cloned().unwrap_or_default(),
    })
}

fn place(part: &Part) -> String {
    part.place.map_or_else(|| LAST.to_owned(), |place| place.to_string())
}

/// Adds the command that ends a chord, and carries out `commands` unless it had ended before.
pub(crate) fn end(
    config: &RedisConfig,
    group_id: &str,
    commands: &Batch,
    internal: &str,
    now: WallTime,
    batch: &mut Batch,
) {
    let words: Vec<Vec<Vec<u8>>> = (0..commands.len()).filter_map(|place| commands.words(place)).collect();
    let counts: Vec<String> = words.iter().map(|words| words.len().to_string()).collect();
    let (now, dead) = (now.0.to_string(), config.keys.dead(internal));
    let mut arguments: Vec<&[u8]> = vec![group_id.as_bytes(), REMEMBERED, now.as_bytes()];
    for (count, words) in counts.iter().zip(&words) {
        arguments.push(count.as_bytes());
        arguments.extend(words.iter().map(Vec::as_slice));
    }
    let keys = keys(config, group_id);
    let mut named: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    named.push(dead.as_bytes());
    batch.script(END, &named, &arguments);
}

/// Adds the command that has so many more members end.
pub(crate) fn grow(config: &RedisConfig, group_id: &str, by: u32, batch: &mut Batch) {
    let [_, _, added, ..] = keys(config, group_id);
    batch.add(&[b"INCRBY", added.as_bytes(), by.to_string().as_bytes()]);
}

/// Adds the commands that ask for a chord; their answers go to [`described`].
pub(crate) fn describe(config: &RedisConfig, group_id: &str, batch: &mut Batch) {
    let [size, parts, added, seen, claim, record, _] = keys(config, group_id);
    let count: &[u8] = if config.results.ordered { b"ZCARD" } else { b"LLEN" };
    batch.add(&[b"MGET", size.as_bytes(), added.as_bytes(), claim.as_bytes()]);
    batch.add(&[count, parts.as_bytes()]);
    batch.add(&[b"SCARD", seen.as_bytes()]);
    batch.add(&[b"HMGET", record.as_bytes(), b"body", b"progress_at"]);
}

/// Reads the answers to [`describe`].
pub(crate) fn described(replies: &mut Replies) -> Result<Option<ChordRecord>> {
    let mut numbers = replies.array()?.into_iter().map(string);
    let mut number = || numbers.next().transpose().map(Option::unwrap_or_default);
    let (size, added, claim) = (number()?, number()?, number()?);
    // Two members with one id may have one document; and workers of Celery 5.6 know nothing of the other set.
    let count = u32::try_from(replies.int()?.max(replies.int()?)).unwrap_or(u32::MAX);
    let mut fields = replies.array()?.into_iter().map(bytes);
    let mut field = || fields.next().transpose().map(|field| field.flatten().unwrap_or_default());
    let (body, progress_at) = (field()?, field()?);
    if size.is_empty() && claim.is_empty() && count == 0 && body.is_empty() {
        return Ok(None);
    }
    let state = match claim.as_str() {
        "done" => ChordState::Ended,
        "" => ChordState::Open,
        _ => ChordState::Released,
    };
    let size = size.parse().ok().map(|size: u32| size.saturating_add(added.parse().unwrap_or(0)));
    let progress_at = String::from_utf8_lossy(&progress_at).parse().unwrap_or(0);
    Ok(Some(ChordRecord { size, count, body, state, progress_at: WallTime(progress_at) }))
}

/// Adds the command that asks for the parts of a chord; its answer goes to [`listed`].
pub(crate) fn list(config: &RedisConfig, group_id: &str, batch: &mut Batch) {
    let [_, parts, _, seen, ..] = keys(config, group_id);
    batch.add(&[b"SMEMBERS", seen.as_bytes()]);
    if config.results.ordered {
        batch.add(&[b"ZRANGE", parts.as_bytes(), b"0", b"-1", b"WITHSCORES"]);
    } else {
        batch.add(&[b"LRANGE", parts.as_bytes(), b"0", b"-1"]);
    }
}

/// Reads the answer to [`list`].
pub(crate) fn listed(config: &RedisConfig, group_id: &str, replies: &mut Replies) -> Result<Vec<Part>> {
    let seen: Vec<String> = replies.array()?.into_iter().map(string).collect::<Result<_>>()?;
    let mut values = replies.array()?.into_iter();
    let mut parts = Vec::new();
    while let Some(document) = values.next() {
        let document = bytes(document)?.unwrap_or_default();
        let score = if config.results.ordered { values.next().map(string).transpose()? } else { None };
        let place = score.and_then(|score| score.parse::<f64>().ok()).filter(|score| score.is_finite());
        parts.push(read(group_id, document, place.map(|place| place as u32)));
    }
    if seen.len() > parts.len() {
        add_twins(&mut parts, &seen);
    }
    Ok(parts)
}

/// Adds members that have the id and the document of another, and are therefore known by their place alone.
fn add_twins(parts: &mut Vec<Part>, seen: &[String]) {
    for (task_id, place) in seen.iter().filter_map(|member| member.rsplit_once(':')) {
        let place = place.parse().ok();
        let is_there = parts.iter().any(|part| part.task_id == task_id && part.place == place);
        if let Some(twin) = parts.iter().find(|part| part.task_id == task_id && !is_there).cloned() {
            parts.push(Part { place, ..twin });
        }
    }
    parts.sort_by_key(|part| part.place.unwrap_or(u32::MAX));
}

/// A part from its document, which says itself whose it is.
fn read(group_id: &str, body: Vec<u8>, place: Option<u32>) -> Part {
    type Document = (IgnoredAny, String, String, IgnoredAny);
    // Of what is in another format its reader learns as much from the document.
    let found = serde_json::from_slice::<Document>(&body).ok();
    let (task_id, state) = found.map(|(_, task_id, state, _)| (task_id, state)).unwrap_or_default();
    Part { group_id: group_id.to_owned(), task_id, place, state, body, callback: Vec::new() }
}

/// Adds the command that looks for chords that do not get on; its answer goes to [`late`].
pub(crate) fn overdue(config: &RedisConfig, patience: &Patience, now: WallTime, batch: &mut Batch) {
    let before = |limit: Duration| (now.0 - i64::try_from(limit.as_millis()).unwrap_or(now.0)).to_string();
    let moments =
        [now.0.to_string(), before(patience.look_every), before(patience.release), before(patience.members)];
    let (group, record, chords) =
        (config.results.group(""), config.results.chord(""), config.results.chords());
    let ordered: &[u8] = if config.results.ordered { b"1" } else { b"0" };
    let mut arguments: Vec<&[u8]> = moments.iter().map(String::as_bytes).collect();
    arguments.extend([group.as_bytes(), record.as_bytes(), ordered]);
    batch.script(OVERDUE, &[chords.as_bytes()], &arguments);
}

/// Reads the answer to [`overdue`].
pub(crate) fn late(replies: &mut Replies) -> Result<Vec<Release>> {
    let fields = replies.array()?.into_iter().map(|field| Ok(bytes(field)?.unwrap_or_default()));
    let fields = fields.collect::<Result<Vec<Vec<u8>>>>()?;
    let text = |field: &Vec<u8>| {
        String::from_utf8(field.clone())
            .map_err(|error| Error::new(ErrorKind::Decode, "the name of a chord is no text").because(error))
    };
    let releases = fields.chunks_exact(3).map(|fields| {
        Ok(Release { group_id: text(&fields[0])?, last: text(&fields[1])?, callback: fields[2].clone() })
    });
    releases.collect()
}
