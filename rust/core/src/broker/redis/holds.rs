//! Whether any message on the server says something in its headers or body. Blocking, over a client's connection; rare.
//!
//! It is looked for in two ways. First place by place, in pages, so that the server goes on with its work: what waits is
//! found so. What is not found may have moved behind the look's back, so a script looks everywhere in one moment.

use std::collections::BTreeSet;

use redis::Value;

use super::inspect::{Holder, names};
use super::keeper::Keeper;
use super::wire::{Batch, array, bytes, int, string};
use crate::error::Result;
use crate::message::sought::Sought;

/// Among more messages, or bytes of them, nobody looks: it would keep the server from its work, and in so full a place
/// what is looked for may well be.
const MOST: u64 = 50_000;
const MOST_BYTES: usize = 64 << 20;
/// Read at once.
const PAGE: u64 = 500;
/// So often it is looked again when workers or queues have come or gone meanwhile.
const LOOKS: usize = 3;

const HOLDS: &str = include_str!("scripts/holds.lua");

/// Something that holds messages.
struct Place {
    key: String,
    is_sorted: bool,
}

/// Who holds messages, and where they wait: sessions that live, that are reaped, and queues, each in order.
#[derive(PartialEq, Eq)]
struct Known([BTreeSet<String>; 3]);

/// Whether a message waits, is delayed or held by a worker, kombu's included, that has `text` in its envelope.
pub(super) fn holds(keeper: &Keeper, text: &str) -> Result<bool> {
    let sought = Sought::sealed(text);
    for _ in 0..LOOKS {
        let (queues, holders) = names(keeper)?;
        let places = places(keeper, &queues, &holders);
        if look(keeper, &places, &sought)? {
            return Ok(true);
        }
        let (found, known) = look_at_once(keeper, &places, &sought)?;
        if found || known == Known::of(queues, holders) {
            return Ok(found);
        }
    }
    Ok(true)
}

fn places(keeper: &Keeper, queues: &[String], holders: &[Holder]) -> Vec<Place> {
    let config = &keeper.config;
    let all: BTreeSet<&String> =
        queues.iter().chain(holders.iter().flat_map(|holder| &holder.queues)).collect();
    let (mut places, mut sets) = (Vec::new(), Vec::new());
    for queue in all {
        for step in config.steps.all() {
            let list = config.keys.list_name(queue, *step);
            let held = holders.iter().map(|holder| config.keys.in_flight(&list, &holder.session));
            places.extend(held.chain([config.keys.key(&list)]).map(|key| Place { key, is_sorted: false }));
            sets.push(Place { key: config.keys.delayed(&list), is_sorted: true });
        }
    }
    places.append(&mut sets);
    places
}

/// Looks at one place after the other. Also true where there is too much to look at.
fn look(keeper: &Keeper, places: &[Place], sought: &Sought) -> Result<bool> {
    let unacked = unacked(keeper);
    let mut batch = Batch::new();
    batch.add(&[b"HLEN", unacked.as_bytes()]);
    for place in places {
        let length: &[u8] = if place.is_sorted { b"ZCARD" } else { b"LLEN" };
        batch.add(&[length, place.key.as_bytes()]);
    }
    let mut replies = keeper.call("look for messages", &batch)?;
    let kombus = replies.int()? as u64;
    let lengths: Vec<u64> =
        places.iter().map(|_| replies.int().map(|length| length as u64)).collect::<Result<_>>()?;
    if lengths.iter().sum::<u64>() + kombus > MOST {
        return Ok(true);
    }
    let mut bytes = 0;
    let mut may_be_among = |messages: Vec<Vec<u8>>| {
        bytes += messages.iter().map(Vec::len).sum::<usize>();
        bytes > MOST_BYTES || messages.iter().any(|message| sought.may_be_in(message, b""))
    };
    for (place, length) in places.iter().zip(lengths) {
        let mut from = 0;
        while from < length {
            if may_be_among(page(keeper, place, from)?) {
                return Ok(true);
            }
            from += PAGE;
        }
    }
    let mut batch = Batch::new();
    batch.add(&[b"HVALS", unacked.as_bytes()]);
    Ok(may_be_among(texts(keeper.call("look for messages", &batch)?.array()?)?))
}

fn page(keeper: &Keeper, place: &Place, from: u64) -> Result<Vec<Vec<u8>>> {
    let (first, last) = (from.to_string(), (from + PAGE - 1).to_string());
    let range: &[u8] = if place.is_sorted { b"ZRANGE" } else { b"LRANGE" };
    let mut batch = Batch::new();
    batch.add(&[range, place.key.as_bytes(), first.as_bytes(), last.as_bytes()]);
    texts(array(keeper.call("look for messages", &batch)?.next()?)?)
}

/// Looks everywhere in one moment; also who held messages then, and where they waited.
fn look_at_once(keeper: &Keeper, places: &[Place], sought: &Sought) -> Result<(bool, Known)> {
    let keys = &keeper.config.keys;
    let registers = ["fastq:workers", "fastq:reaping", "fastq:queues"].map(|name| keys.key(name));
    let unacked = unacked(keeper);
    let named = registers.iter().chain([&unacked]).chain(places.iter().map(|place| &place.key));
    let named: Vec<&[u8]> = named.map(String::as_bytes).collect();
    let lists = places.iter().filter(|place| !place.is_sorted).count().to_string();
    let mut words = vec![lists.as_bytes()];
    words.extend(sought.release());
    words.extend(sought.needles());
    let mut batch = Batch::new();
    batch.script(HOLDS, &named, &words);
    let mut answer = keeper.call("look for messages", &batch)?.array()?.into_iter();
    let mut next = || answer.next().unwrap_or(Value::Nil);
    let found = int(next())? == 1;
    let mut set = || array(next())?.into_iter().map(string).collect::<Result<_>>();
    Ok((found, Known([set()?, set()?, set()?])))
}

fn unacked(keeper: &Keeper) -> String {
    keeper.config.keys.key(&keeper.config.unacked.hash)
}

fn texts(values: Vec<Value>) -> Result<Vec<Vec<u8>>> {
    values.into_iter().map(|value| Ok(bytes(value)?.unwrap_or_default())).collect()
}

impl Known {
    fn of(queues: Vec<String>, holders: Vec<Holder>) -> Self {
        let (reaped, living): (Vec<_>, Vec<_>) = holders.into_iter().partition(|holder| holder.is_reaped);
        let sessions = |holders: Vec<Holder>| holders.into_iter().map(|holder| holder.session).collect();
        Self([sessions(living), sessions(reaped), queues.into_iter().collect()])
    }
}
