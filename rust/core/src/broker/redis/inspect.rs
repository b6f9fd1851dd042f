//! Looking and tidying by hand: depths, dead letters, workers, purge. Blocking, over a client's connection.

use super::dead::{self, Found};
use super::keeper::Keeper;
use super::wire::{Batch, array, bytes, pairs, string};
use crate::broker::{DeadLetter, Depth, WorkerEntry};
use crate::clock::WallTime;
use crate::error::Result;

const PUT_ASIDE: &str = include_str!("scripts/put_aside.lua");
const REQUEUE_DEAD: &str = include_str!("scripts/requeue_dead.lua");

/// Deletes what waits in a queue, at every priority.
pub(super) fn purge(keeper: &Keeper, queue: &str) -> Result<u64> {
    let config = &keeper.config;
    let lists: Vec<String> =
        config.steps.all().iter().map(|step| config.keys.list_name(queue, *step)).collect();
    let mut batch = Batch::new();
    batch.add(&[b"SREM", config.keys.key("fastq:locking").as_bytes(), queue.as_bytes()]);
    if keeper.call("purge", &batch)?.int()? == 1 {
        return purge_locking(keeper, &lists);
    }
    let mut batch = Batch::new();
    batch.add(&[b"MULTI"]);
    for list in &lists {
        batch.add(&[b"LLEN", config.keys.key(list).as_bytes()]);
        batch.add(&[b"ZCARD", config.keys.delayed(list).as_bytes()]);
    }
    for list in &lists {
        batch.add(&[b"DEL", config.keys.key(list).as_bytes(), config.keys.delayed(list).as_bytes()]);
        batch.add(&[b"ZREM", config.keys.key("fastq:due").as_bytes(), list.as_bytes()]);
    }
    batch.add(&[b"EXEC"]);
    let mut replies = keeper.call("purge", &batch)?;
    replies.skip(batch.len() - 1)?;
    let counts = replies.array()?.into_iter().take(lists.len() * 2);
    counts.map(|count| super::wire::int(count).map(|count| count as u64)).sum()
}

/// As [`purge`], of a queue that may hold messages with locks: moved out of everybody's way, and then looked through.
fn purge_locking(keeper: &Keeper, lists: &[String]) -> Result<u64> {
    let config = &keeper.config;
    let mark = uuid::Uuid::new_v4().simple().to_string();
    let mut moved = Vec::new();
    for list in lists {
        for key in [config.keys.key(list), config.keys.delayed(list)] {
            let aside = format!("{key}:purge:{mark}");
            let mut batch = Batch::new();
            batch.script(PUT_ASIDE, &[key.as_bytes(), aside.as_bytes()], &[]);
            keeper.call("purge", &batch)?;
            moved.push(aside);
        }
        let mut batch = Batch::new();
        batch.add(&[b"ZREM", config.keys.key("fastq:due").as_bytes(), list.as_bytes()]);
        keeper.call("purge", &batch)?;
    }
    super::lock::purge(keeper, &moved)
}

/// The sessions that hold a lease or are being reaped, with the queues they take from.
pub(super) struct Holder {
    pub(super) session: String,
    pub(super) is_reaped: bool,
    pub(super) queues: Vec<String>,
}

pub(super) fn names(keeper: &Keeper) -> Result<(Vec<String>, Vec<Holder>)> {
    let keys = &keeper.config.keys;
    let mut batch = Batch::new();
    batch.add(&[b"HKEYS", keys.key("fastq:queues").as_bytes()]);
    batch.add(&[b"ZRANGE", keys.key("fastq:workers").as_bytes(), b"0", b"-1"]);
    batch.add(&[b"ZRANGE", keys.key("fastq:reaping").as_bytes(), b"0", b"-1"]);
    let mut replies = keeper.call("count messages", &batch)?;
    let mut queues: Vec<String> = replies.array()?.into_iter().map(string).collect::<Result<_>>()?;
    let living: Vec<String> = replies.array()?.into_iter().map(string).collect::<Result<_>>()?;
    let reaped: Vec<String> = replies.array()?.into_iter().map(string).collect::<Result<_>>()?;
    let sessions = living
        .into_iter()
        .map(|session| (keys.worker(&session), session, false))
        .chain(reaped.into_iter().map(|session| (keys.dead_worker(&session), session, true)));
    let sessions: Vec<(String, String, bool)> = sessions.collect();
    let mut batch = Batch::new();
    for (key, ..) in &sessions {
        batch.add(&[b"HGET", key.as_bytes(), b"queues"]);
    }
    let mut holders = Vec::new();
    if !batch.is_empty() {
        let mut replies = keeper.call("count messages", &batch)?;
        for (_, session, is_reaped) in sessions {
            let taken = replies.bytes()?.unwrap_or_default();
            let queues = serde_json::from_slice(&taken).unwrap_or_default();
            holders.push(Holder { session, is_reaped, queues });
        }
    }
    queues.sort_unstable();
    Ok((queues, holders))
}

/// Counts the messages of each queue that is known to exist.
pub(super) fn depths(keeper: &Keeper) -> Result<Vec<Depth>> {
    let config = &keeper.config;
    let (queues, holders) = names(keeper)?;
    let mut batch = Batch::new();
    let of = |queue: &str| -> Vec<String> {
        let holders = holders.iter().filter(|holder| holder.queues.iter().any(|name| name == queue));
        holders.map(|holder| holder.session.clone()).collect()
    };
    for queue in &queues {
        batch.add(&[b"LLEN", config.keys.dead(queue).as_bytes()]);
        for step in config.steps.all() {
            let list = config.keys.list_name(queue, *step);
            batch.add(&[b"LLEN", config.keys.key(&list).as_bytes()]);
            batch.add(&[b"ZCARD", config.keys.delayed(&list).as_bytes()]);
            for session in of(queue) {
                count_held(&config.keys.in_flight(&list, &session), &mut batch);
            }
        }
    }
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut replies = keeper.call("count messages", &batch)?;
    let mut depths = Vec::new();
    for queue in queues {
        let mut depth = Depth { dead: replies.int()? as u64, ..Depth::default() };
        for _ in config.steps.all() {
            depth.ready += replies.int()? as u64;
            depth.delayed += replies.int()? as u64;
            for _ in of(&queue) {
                depth.in_flight += replies.int()? as u64;
                depth.in_flight -= replies.array()?.len() as u64;
            }
        }
        depths.push(Depth { queue, ..depth });
    }
    Ok(depths)
}

/// Asks for the length of what a session took from a list, and for the places in it that are settled.
fn count_held(key: &str, batch: &mut Batch) {
    batch.add(&[b"LLEN", key.as_bytes()]);
    batch.add(&[b"LPOS", key.as_bytes(), b"", b"COUNT", b"0"]);
}

/// Dead letters, newest first.
pub(super) fn dead_letters(keeper: &Keeper, queue: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>> {
    let mut letters: Vec<DeadLetter> =
        found(keeper, queue, limit)?.into_iter().map(|found| found.letter).collect();
    // Each queue's are in their order; a stable sort keeps it among those of the same moment.
    letters.sort_by_key(|letter| std::cmp::Reverse(letter.buried_at));
    letters.truncate(limit);
    Ok(letters)
}

fn found(keeper: &Keeper, queue: Option<&str>, limit: usize) -> Result<Vec<Found>> {
    let queues = match queue {
        Some(queue) => vec![queue.to_owned()],
        None => names(keeper)?.0,
    };
    let last = (i64::try_from(limit).unwrap_or(i64::MAX) - 1).to_string();
    let mut batch = Batch::new();
    for queue in &queues {
        batch.add(&[b"LRANGE", keeper.config.keys.dead(queue).as_bytes(), b"0", last.as_bytes()]);
    }
    if batch.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let mut replies = keeper.call("list dead letters", &batch)?;
    let mut letters = Vec::new();
    for queue in &queues {
        for entry in replies.array()? {
            letters.extend(bytes(entry)?.and_then(|entry| dead::read(entry, queue)));
        }
    }
    Ok(letters)
}

/// The dead letters meant, oldest first; all of the queue when `ids` is empty.
fn chosen(keeper: &Keeper, queue: Option<&str>, ids: &[String]) -> Result<Vec<Found>> {
    let mut letters = found(keeper, queue, usize::MAX)?;
    letters.retain(|found| ids.is_empty() || ids.contains(&found.letter.id));
    letters.reverse();
    Ok(letters)
}

/// Puts dead letters at the end of their queues, their deaths forgotten.
pub(super) fn requeue_dead(keeper: &Keeper, queue: Option<&str>, ids: &[String]) -> Result<u64> {
    let keys = &keeper.config.keys;
    let mut batch = Batch::new();
    for letter in chosen(keeper, queue, ids)? {
        let list = keys.key(&keys.list_name(&letter.letter.queue, letter.step));
        let message = crate::message::envelope::readdress(&letter.raw, false, 0);
        let dead = keys.dead(&letter.letter.queue);
        batch.script(REQUEUE_DEAD, &[dead.as_bytes(), list.as_bytes()], &[&letter.entry, &message]);
    }
    sum(keeper, "requeue dead letters", &batch)
}

/// Deletes dead letters.
pub(super) fn drop_dead(keeper: &Keeper, queue: Option<&str>, ids: &[String]) -> Result<u64> {
    let mut batch = Batch::new();
    for letter in chosen(keeper, queue, ids)? {
        let dead = keeper.config.keys.dead(&letter.letter.queue);
        batch.add(&[b"LREM", dead.as_bytes(), b"1", &letter.entry]);
    }
    sum(keeper, "drop dead letters", &batch)
}

fn sum(keeper: &Keeper, operation: &'static str, batch: &Batch) -> Result<u64> {
    if batch.is_empty() {
        return Ok(0);
    }
    let mut replies = keeper.call(operation, batch)?;
    (0..batch.len()).map(|_| replies.int().map(|count| count as u64)).sum()
}

/// The workers that hold a lease.
pub(super) fn workers(keeper: &Keeper) -> Result<Vec<WorkerEntry>> {
    let config = &keeper.config;
    let mut batch = Batch::new();
    batch.add(&[b"ZRANGE", config.keys.key("fastq:workers").as_bytes(), b"0", b"-1", b"WITHSCORES"]);
    let leases = pairs(keeper.call("list workers", &batch)?.next()?)?;
    let mut batch = Batch::new();
    for (session, _) in &leases {
        batch.add(&[b"HGETALL", config.keys.worker(session).as_bytes()]);
    }
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let mut replies = keeper.call("list workers", &batch)?;
    let mut workers = Vec::new();
    for (session, lease) in leases {
        let fields = pairs(replies.next()?)?;
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
        if fields.is_empty() {
            continue;
        }
        let queues: Vec<String> = serde_json::from_str(field("queues")).unwrap_or_default();
        workers.push(WorkerEntry {
            node: field("node").to_owned(),
            pid: field("pid").parse().unwrap_or(0),
            host: field("host").to_owned(),
            started_at: WallTime(field("started_at").parse().unwrap_or(0)),
            lease_until: WallTime(lease.parse::<f64>().unwrap_or(0.0) as i64),
            in_flight: in_flight(keeper, &session, &queues)?,
            queues,
        });
    }
    workers.sort_by_key(|worker| worker.started_at);
    Ok(workers)
}

fn in_flight(keeper: &Keeper, session: &str, queues: &[String]) -> Result<u64> {
    let config = &keeper.config;
    let mut batch = Batch::new();
    for queue in queues {
        for step in config.steps.all() {
            let list = config.keys.list_name(queue, *step);
            count_held(&config.keys.in_flight(&list, session), &mut batch);
        }
    }
    if batch.is_empty() {
        return Ok(0);
    }
    let mut replies = keeper.call("list workers", &batch)?;
    let mut held = 0;
    for _ in 0..batch.len() / 2 {
        held += replies.int()? as u64;
        held -= array(replies.next()?)?.len() as u64;
    }
    Ok(held)
}
