//! Counting the members of chords, inside the transaction of whoever counts.

use rusqlite::{OptionalExtension, params};

use super::connection::Handle;
use crate::clock::WallTime;
use crate::error::Result;
use crate::store::{ChordRecord, ChordState, Chords, NewChord, Part, Patience, Release};

/// States of a chord, as they are written.
const RELEASED: i64 = 1;
const ENDED: i64 = 2;
/// How long it is remembered that a chord has ended, for members that run once more, in milliseconds.
const REMEMBERED: i64 = 3_600_000;
/// The place of a member that has none.
const LAST: i64 = i64::MAX;

/// A chord's row.
struct Row {
    id: i64,
    size: Option<u32>,
    count: u32,
    state: i64,
    last: String,
}

impl Row {
    fn is_complete(&self) -> bool {
        self.state != ENDED && self.size.is_some_and(|size| self.count >= size)
    }
}

/// Begins, counts and ends; the chords that are complete now. `once`: only those that were not before.
pub(crate) fn count(
    handle: &Handle,
    chords: &Chords,
    expires: Option<WallTime>,
    now: WallTime,
    once: bool,
) -> Result<Vec<Release>> {
    for chord in &chords.begun {
        begin(handle, chord, expires, now)?;
    }
    for part in &chords.parts {
        record(handle, part, expires, now)?;
    }
    if let Some(group_id) = &chords.ended {
        end(handle, group_id, now)?;
    }
    let begun = chords.begun.iter().map(|chord| &chord.group_id);
    let mut named: Vec<&String> = begun.chain(chords.parts.iter().map(|part| &part.group_id)).collect();
    named.dedup();
    let mut complete = Vec::new();
    for group_id in named {
        let Some(row) = find(handle, group_id, now)?.filter(Row::is_complete) else { continue };
        if row.state == RELEASED && once {
            continue;
        }
        let mut update = handle.prepare("UPDATE chord SET state = 1, released_at = ?2 WHERE id = ?1")?;
        update.execute([row.id, now.0])?;
        complete.push(named_release(handle, group_id.clone(), row.id, row.last)?);
    }
    Ok(complete)
}

fn begin(handle: &Handle, chord: &NewChord, expires: Option<WallTime>, now: WallTime) -> Result<()> {
    if find(handle, &chord.group_id, now)?.is_some_and(|row| row.state == ENDED) {
        forget(handle, &chord.group_id)?;
    }
    let id = entry(handle, &chord.group_id, expires, now)?.id;
    handle.prepare("UPDATE chord SET size = ?2 WHERE id = ?1")?.execute(params![id, chord.size])?;
    let mut insert = handle.prepare(
        "INSERT INTO chord_body (chord, body) VALUES (?1, ?2) ON CONFLICT (chord) DO UPDATE SET body = excluded.body",
    )?;
    insert.execute(params![id, chord.body])?;
    Ok(())
}

/// Records a part unless it is there.
fn record(handle: &Handle, part: &Part, expires: Option<WallTime>, now: WallTime) -> Result<()> {
    let row = entry(handle, &part.group_id, expires, now)?;
    if row.state == ENDED {
        return Ok(());
    }
    let place = part.place();
    let mut insert = handle.prepare(
        "INSERT OR IGNORE INTO part (chord, place, task_id, state, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    if insert.execute(params![row.id, place, part.task_id, part.state, part.body])? == 0 {
        return Ok(());
    }
    let mut update = handle.prepare("UPDATE chord SET count = count + 1, last = ?2 WHERE id = ?1")?;
    update.execute(params![row.id, part.task_id])?;
    if !part.callback.is_empty() && row.count == 0 {
        let mut insert = handle.prepare(
            "INSERT INTO chord_body (chord, callback) VALUES (?1, ?2)
             ON CONFLICT (chord) DO UPDATE SET callback = excluded.callback",
        )?;
        insert.execute(params![row.id, part.callback])?;
    }
    Ok(())
}

/// Ends a chord; false when it had ended before.
pub(super) fn end(handle: &Handle, group_id: &str, now: WallTime) -> Result<bool> {
    let row = entry(handle, group_id, None, now)?;
    if row.state == ENDED {
        return Ok(false);
    }
    handle.prepare("DELETE FROM part WHERE chord = ?1")?.execute([row.id])?;
    handle.prepare("DELETE FROM chord_body WHERE chord = ?1")?.execute([row.id])?;
    let mut update = handle.prepare("UPDATE chord SET state = 2, expires = ?2 WHERE id = ?1")?;
    update.execute([row.id, now.0 + REMEMBERED])?;
    Ok(true)
}

/// Has so many more members end.
pub(crate) fn grow(handle: &Handle, group_id: &str, by: u32, now: WallTime) -> Result<()> {
    let id = entry(handle, group_id, None, now)?.id;
    handle.prepare("UPDATE chord SET added = added + ?2 WHERE id = ?1")?.execute(params![id, by])?;
    Ok(())
}

/// What is known of a chord.
pub(crate) fn describe(handle: &Handle, group_id: &str, now: WallTime) -> Result<Option<ChordRecord>> {
    let mut select = handle.prepare(
        "SELECT size + added, count, ifnull(body, x''), state, progress_at
         FROM chord LEFT JOIN chord_body ON chord_body.chord = chord.id
         WHERE group_id = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    let found = select.query_row((group_id, now.0), |row| {
        Ok(ChordRecord {
            size: row.get(0)?,
            count: row.get(1)?,
            body: row.get(2)?,
            state: match row.get(3)? {
                ENDED => ChordState::Ended,
                RELEASED => ChordState::Released,
                _ => ChordState::Open,
            },
            progress_at: WallTime(row.get(4)?),
        })
    });
    Ok(found.optional()?)
}

/// The parts of a chord, in the order of the header.
pub(crate) fn parts(handle: &Handle, group_id: &str) -> Result<Vec<Part>> {
    let mut select = handle.prepare(
        "SELECT place, task_id, part.state, part.body FROM part
         JOIN chord ON chord.id = part.chord WHERE group_id = ?1 ORDER BY place, task_id",
    )?;
    let rows = select.query_map([group_id], |row| {
        Ok(Part {
            group_id: group_id.to_owned(),
            place: u32::try_from(row.get::<_, i64>(0)?).ok(),
            task_id: row.get(1)?,
            state: row.get(2)?,
            body: row.get(3)?,
            callback: Vec::new(),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those that do not get on; they are not named again for a while.
pub(crate) fn overdue(handle: &Handle, patience: &Patience, now: WallTime) -> Result<Vec<Release>> {
    let before = |limit: std::time::Duration| now.0 - i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    let (look, release) = (before(patience.look_every), before(patience.release));
    let mut update = handle.prepare(
        "UPDATE chord SET look_at = ?1, progress_at = iif(seen = count, progress_at, ?1), seen = count
         WHERE state <> 2 AND look_at <= ?2 AND (expires IS NULL OR expires > ?1) AND size IS NOT NULL
         RETURNING id, group_id, last, iif(state = 1, released_at <= ?3, count >= size + added OR progress_at <= ?4)",
    )?;
    let rows = update.query_map([now.0, look, release, before(patience.members)], |row| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, bool>(3)?,
        ))
    })?;
    let looked_at = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let late = looked_at.into_iter().filter(|(.., late)| *late);
    late.map(|(id, group_id, last, _)| named_release(handle, group_id, id, last)).collect()
}

/// Deletes chords that have expired; returns how many.
pub(crate) fn delete_expired(handle: &Handle, now: WallTime, limit: i64) -> Result<usize> {
    let mut select = handle.prepare(
        "SELECT id FROM chord INDEXED BY chord_expires WHERE expires <= ?1 ORDER BY expires LIMIT ?2",
    )?;
    let ids: Vec<i64> =
        select.query_map([now.0, limit], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    ids.iter().try_for_each(|id| forget_row(handle, *id))?;
    Ok(ids.len())
}

fn find(handle: &Handle, group_id: &str, now: WallTime) -> Result<Option<Row>> {
    let mut select = handle.prepare(
        "SELECT id, size + added, count, state, last FROM chord
         WHERE group_id = ?1 AND (expires IS NULL OR expires > ?2)",
    )?;
    let found = select.query_row((group_id, now.0), |row| {
        Ok(Row {
            id: row.get(0)?,
            size: row.get(1)?,
            count: row.get(2)?,
            state: row.get(3)?,
            last: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// The row of a chord, made if it is not there.
fn entry(handle: &Handle, group_id: &str, expires: Option<WallTime>, now: WallTime) -> Result<Row> {
    if let Some(row) = find(handle, group_id, now)? {
        return Ok(row);
    }
    forget(handle, group_id)?;
    let mut insert = handle
        .prepare("INSERT INTO chord (group_id, progress_at, look_at, expires) VALUES (?1, ?2, ?2, ?3)")?;
    insert.execute(params![group_id, now.0, expires.map(|expires| expires.0)])?;
    let id = handle.connection.last_insert_rowid();
    Ok(Row { id, size: None, count: 0, state: 0, last: String::new() })
}

/// Forgets a chord whatever its state.
fn forget(handle: &Handle, group_id: &str) -> Result<()> {
    let mut select = handle.prepare("SELECT id FROM chord WHERE group_id = ?1")?;
    let id: Option<i64> = select.query_row([group_id], |row| row.get(0)).optional()?;
    id.map_or(Ok(()), |id| forget_row(handle, id))
}

fn forget_row(handle: &Handle, id: i64) -> Result<()> {
    for statement in [
        "DELETE FROM part WHERE chord = ?1",
        "DELETE FROM chord_body WHERE chord = ?1",
        "DELETE FROM chord WHERE id = ?1",
    ] {
        handle.prepare(statement)?.execute([id])?;
    }
    Ok(())
}

fn named_release(handle: &Handle, group_id: String, id: i64, last: String) -> Result<Release> {
    let mut select = handle.prepare("SELECT callback FROM chord_body WHERE chord = ?1")?;
    let callback: Option<Option<Vec<u8>>> = select.query_row([id], |row| row.get(0)).optional()?;
    Ok(Release { group_id, last, callback: callback.flatten().unwrap_or_default() })
}

impl Part {
    fn place(&self) -> i64 {
        self.place.map_or(LAST, i64::from)
    }
}
