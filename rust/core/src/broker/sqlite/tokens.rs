//! Turns and tokens: rows beside the messages, asked for in one transaction, given back in the Commit that ends a run.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::connection::Handle;
use crate::clock::WallTime;
use crate::error::Result;
use crate::job::limits::{Ask, Asked, Granted, turns};

/// Turns that were free so long ago are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Answers what a worker asks for. Inside a transaction.
pub(super) fn admit(handle: &Handle, worker: i64, asks: &[Ask], now: WallTime) -> Result<Vec<Granted>> {
    let answer = |ask: &Ask| match ask.what {
        Asked::Turns { every, within } => give_turns(handle, ask, every, within, now),
        Asked::Tokens { most } => {
            give_tokens(handle, worker, ask, most, now).map(|count| Granted::of(ask, count, Duration::ZERO))
        }
    };
    asks.iter().map(answer).collect()
}

fn give_turns(
    handle: &Handle,
    ask: &Ask,
    every: Duration,
    within: Duration,
    now: WallTime,
) -> Result<Granted> {
    let mut select = handle.prepare("SELECT free_at FROM turn WHERE key = ?1")?;
    let free_at: Option<i64> = select.query_row([&*ask.key], |row| row.get(0)).optional()?;
    let now = now.0.saturating_mul(1000);
    let left = Duration::from_micros(u64::try_from(free_at.unwrap_or(now) - now).unwrap_or(0));
    let count = turns(left, every, within, ask.wanted);
    if count > 0 {
        let taken = i64::try_from((left + every.saturating_mul(count)).as_micros()).unwrap_or(i64::MAX);
        let mut upsert = handle.prepare(
            "INSERT INTO turn (key, free_at) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET free_at = excluded.free_at",
        )?;
        upsert.execute(params![&*ask.key, now.saturating_add(taken)])?;
    }
    Ok(Granted::of(ask, count, left))
}

/// Gives tokens, first to those in line. A worker that is gone has no row any more, and its tokens went with it.
fn give_tokens(handle: &Handle, worker: i64, ask: &Ask, most: u32, now: WallTime) -> Result<u32> {
    if ask.wanted == 0 {
        handle
            .prepare("UPDATE token SET wanted = 0 WHERE key = ?1 AND worker = ?2")?
            .execute(params![&*ask.key, worker])?;
        forget(handle, &ask.key)?;
        return Ok(0);
    }
    let mut select = handle.prepare(
        "SELECT coalesce(sum(held), 0), max(coalesce(max(since), 0) + 1, ?3),
             coalesce(sum(wanted > 0 AND worker <> ?2 AND since < coalesce(
                 (SELECT since FROM token WHERE key = ?1 AND worker = ?2 AND wanted > 0), 9e18)), 0)
         FROM token WHERE key = ?1",
    )?;
    let (held, last, before): (u32, i64, u32) = select
        .query_row(params![&*ask.key, worker, now.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let count = most.saturating_sub(held).saturating_sub(before).min(ask.wanted);
    // What it still wants keeps its place in line only if it got nothing.
    let mut upsert = handle.prepare(
        "INSERT INTO token (key, worker, held, wanted, since) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (key, worker) DO UPDATE SET held = held + excluded.held, wanted = excluded.wanted,
             since = iif(wanted > 0 AND excluded.held = 0, since, excluded.since)",
    )?;
    upsert.execute(params![&*ask.key, worker, count, ask.wanted - count, last])?;
    Ok(count)
}

/// Takes a token back; whether somebody is in line for it. Inside a transaction.
pub(super) fn give_back(handle: &Handle, worker: i64, key: &Arc<str>) -> Result<bool> {
    handle
        .prepare("UPDATE token SET held = held - 1 WHERE key = ?1 AND worker = ?2 AND held > 0")?
        .execute(params![&**key, worker])?;
    forget(handle, key)?;
    Ok(handle.prepare("SELECT 1 FROM token WHERE key = ?1 AND wanted > 0 LIMIT 1")?.exists([&**key])?)
}

fn forget(handle: &Handle, key: &str) -> Result<()> {
    handle.prepare("DELETE FROM token WHERE key = ?1 AND held = 0 AND wanted = 0")?.execute([key])?;
    Ok(())
}

/// Takes back what a worker holds; whether that was anything. Inside a transaction.
pub(super) fn end(handle: &Handle, worker: i64) -> Result<bool> {
    let mut delete = handle.prepare("DELETE FROM token WHERE worker = ?1")?;
    Ok(delete.execute([worker])? > 0)
}

/// Forgets turns that are long free.
pub(super) fn tidy(handle: &Handle, now: WallTime) -> Result<()> {
    let free = now.0.saturating_mul(1000) - i64::try_from(FORGOTTEN.as_micros()).unwrap_or(0);
    if handle.prepare("SELECT 1 FROM turn WHERE free_at < ?1 LIMIT 1")?.exists([free])? {
        handle.prepare("DELETE FROM turn WHERE free_at < ?1")?.execute([free])?;
    }
    Ok(())
}
