//! Whether any message on the server says something in its headers or body. Blocking, over a client's connection; rare.

use std::collections::BTreeSet;

use redis::Value;

use super::inspect::names;
use super::keeper::Keeper;
use super::wire::{Batch, array, bytes};
use crate::error::Result;
use crate::message::sought::Sought;

/// Among more messages nobody looks: it would keep the server from its work, and in so full a place what is looked for
/// may well be.
const MOST: u64 = 200_000;
/// Read at once.
const PAGE: u64 = 500;

/// Something that holds messages.
struct Place {
    key: String,
    is_sorted: bool,
    length: u64,
}

/// Whether a message waits, is delayed or held by a worker, kombu's included, that has `text` in its envelope.
pub(super) fn holds(keeper: &Keeper, text: &str) -> Result<bool> {
    let places = places(keeper)?;
    let unacked = keeper.config.keys.key(&keeper.config.unacked.hash);
    let mut batch = Batch::new();
    batch.add(&[b"HLEN", unacked.as_bytes()]);
    let kombus = keeper.call("look for messages", &batch)?.int()? as u64;
    if places.iter().map(|place| place.length).sum::<u64>() + kombus > MOST {
        return Ok(true);
    }
    let sought = Sought::sealed(text);
    for place in &places {
        let mut from = 0;
        while from < place.length {
            if page(keeper, place, from)?.iter().any(|message| sought.may_be_in(message, b"")) {
                return Ok(true);
            }
            from += PAGE;
        }
    }
    let mut batch = Batch::new();
    batch.add(&[b"HVALS", unacked.as_bytes()]);
    let held = texts(keeper.call("look for messages", &batch)?.array()?)?;
    Ok(held.iter().any(|message| sought.may_be_in(message, b"")))
}

fn places(keeper: &Keeper) -> Result<Vec<Place>> {
    let config = &keeper.config;
    let (queues, holders) = names(keeper)?;
    let all: BTreeSet<&String> =
        queues.iter().chain(holders.iter().flat_map(|holder| &holder.queues)).collect();
    let mut places = Vec::new();
    for queue in all {
        for step in config.steps.all() {
            let list = config.keys.list_name(queue, *step);
            let held = holders.iter().map(|holder| config.keys.in_flight(&list, &holder.session));
            let keys = held.chain([config.keys.key(&list)]);
            places.extend(keys.map(|key| Place { key, is_sorted: false, length: 0 }));
            places.push(Place { key: config.keys.delayed(&list), is_sorted: true, length: 0 });
        }
    }
    let mut batch = Batch::new();
    for place in &places {
        let length: &[u8] = if place.is_sorted { b"ZCARD" } else { b"LLEN" };
        batch.add(&[length, place.key.as_bytes()]);
    }
    if !batch.is_empty() {
        let mut replies = keeper.call("look for messages", &batch)?;
        for place in &mut places {
            place.length = replies.int()? as u64;
        }
    }
    places.retain(|place| place.length > 0);
    Ok(places)
}

fn page(keeper: &Keeper, place: &Place, from: u64) -> Result<Vec<Vec<u8>>> {
    let (first, last) = (from.to_string(), (from + PAGE - 1).to_string());
    let range: &[u8] = if place.is_sorted { b"ZRANGE" } else { b"LRANGE" };
    let mut batch = Batch::new();
    batch.add(&[range, place.key.as_bytes(), first.as_bytes(), last.as_bytes()]);
    texts(array(keeper.call("look for messages", &batch)?.next()?)?)
}

fn texts(values: Vec<Value>) -> Result<Vec<Vec<u8>>> {
    values.into_iter().map(|value| Ok(bytes(value)?.unwrap_or_default())).collect()
}
