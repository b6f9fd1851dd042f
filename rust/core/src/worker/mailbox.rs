//! Remote commands as Celery broadcasts them, and answers as it expects them (protocol.md §6). Pure.
//!
//! A command that is not known here, or cannot be read, is none of this worker's business: others may obey it.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::broker::Word;
use crate::buffer::revoked::MOST;
use crate::clock::WallTime;
use crate::error::Result;
use crate::job::revocation::{Revocation, Target, signal};
use crate::message::Message;

/// A larger command is not read.
const LARGEST_BYTES: usize = 8 * 1024 * 1024;

/// What a command asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Call tasks off.
    Revoke(Vec<Revocation>),
    /// Call tasks off that bear stamps; the headers as they were given.
    RevokeByStamps(Vec<Revocation>, Value),
    /// Is anybody there?
    Ping,
    /// Which tasks are called off.
    Revoked,
    /// What runs.
    Active,
    /// What was taken and does not run.
    Reserved,
    /// What waits for its time.
    Scheduled,
    /// What is known of these tasks.
    Query(Vec<String>),
    /// It cannot be done as it was asked for: one sentence.
    Impossible(String),
}

/// A command for this worker.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// Who waits for an answer.
    pub reply_to: Option<ReplyTo>,
}

/// Where an answer goes, and what it is named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    exchange: String,
    routing_key: String,
    ticket: String,
}

#[derive(Deserialize)]
struct Body {
    method: String,
    #[serde(default)]
    arguments: Option<Map<String, Value>>,
    #[serde(default)]
    destination: Option<Vec<String>>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    matcher: Option<String>,
    #[serde(default)]
    ticket: Option<String>,
    #[serde(default)]
    reply_to: Option<Address>,
}

#[derive(Deserialize)]
struct Address {
    #[serde(default)]
    exchange: String,
    #[serde(default)]
    routing_key: String,
}

/// Reads a command. `keep`: how long it is remembered what it calls off. `None`: it is not for this worker, or too old.
pub fn read(message: &Message, node: &str, now: WallTime, keep: Duration) -> Option<Request> {
    if message.body.len() > LARGEST_BYTES || is_over(&message.headers, now) {
        return None;
    }
    let body: Body = serde_json::from_slice(&message.body).ok()?;
    if !body.is_for(node) {
        return None;
    }
    let arguments = body.arguments.unwrap_or_default();
    let command = command(&body.method, &arguments, now.after(keep))
        .unwrap_or_else(|error| Some(Command::Impossible(error.to_string())))?;
    let reply_to = body.ticket.zip(body.reply_to).map(|(ticket, address)| ReplyTo {
        exchange: address.exchange,
        routing_key: address.routing_key,
        ticket,
    });
    Some(Request { command, reply_to })
}

impl Body {
    fn is_for(&self, node: &str) -> bool {
        let named = self.destination.as_ref().is_none_or(|nodes| nodes.iter().any(|name| name == node));
        let is_glob = self.matcher.as_deref().is_none_or(|matcher| matcher == "glob");
        named
            && self
                .pattern
                .as_deref()
                .is_none_or(|pattern| is_glob && glob(pattern.as_bytes(), node.as_bytes()))
    }
}

/// Whether the time in which somebody waits for it is over.
fn is_over(headers: &[u8], now: WallTime) -> bool {
    let headers: Value = serde_json::from_slice(headers).unwrap_or_default();
    headers["expires"].as_f64().is_some_and(|expires| expires > 0.0 && expires < now.seconds())
}

fn command(method: &str, arguments: &Map<String, Value>, until: WallTime) -> Result<Option<Command>> {
    Ok(Some(match method {
        "revoke" => Command::Revoke(by_id(arguments, terminating(arguments, false)?, until)),
        "terminate" => Command::Revoke(by_id(arguments, terminating(arguments, true)?, until)),
        "revoke_by_stamped_headers" => {
            let headers = arguments.get("headers").unwrap_or(&Value::Null);
            Command::RevokeByStamps(by_stamp(headers, terminating(arguments, false)?, until), headers.clone())
        }
        "ping" => Command::Ping,
        "revoked" | "dump_revoked" => Command::Revoked,
        "active" | "dump_active" => Command::Active,
        "reserved" | "dump_reserved" => Command::Reserved,
        "scheduled" | "dump_schedule" => Command::Scheduled,
        "query_task" => Command::Query(texts(arguments.get("ids"))),
        _ => return Ok(None),
    }))
}

/// The signal that is to end runs; `None`: they are to go on.
fn terminating(arguments: &Map<String, Value>, always: bool) -> Result<Option<Signal>> {
    if !always && !arguments.get("terminate").is_some_and(is_true) {
        return Ok(None);
    }
    match arguments.get("signal").unwrap_or(&Value::Null) {
        Value::Null => Ok(Some(Signal::SIGTERM)),
        given => signal(given).map(Some),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        _ => false,
    }
}

fn by_id(arguments: &Map<String, Value>, terminate: Option<Signal>, until: WallTime) -> Vec<Revocation> {
    let ids = texts(arguments.get("task_id")).into_iter();
    ids.map(|id| Revocation { target: Target::Id(id), terminate, until }).collect()
}

/// From a map of names and values, or of lists of them; or from a list of `name=value`.
fn by_stamp(headers: &Value, terminate: Option<Signal>, until: WallTime) -> Vec<Revocation> {
    let mut found = Vec::new();
    let mut add = |header: &str, value: &Value| {
        let target = Target::Stamp { header: header.to_owned(), value: value.to_string() };
        found.push(Revocation { target, terminate, until });
    };
    match headers {
        Value::Object(map) => {
            for (header, value) in map {
                match value {
                    Value::Array(values) => values.iter().for_each(|value| add(header, value)),
                    value => add(header, value),
                }
            }
        }
        Value::Array(pairs) => {
            for (header, value) in
                pairs.iter().filter_map(Value::as_str).filter_map(|pair| pair.split_once('='))
            {
                add(header, &json!(value));
            }
        }
        _ => {}
    }
    found.truncate(MOST);
    found
}

/// A text, or those of a list.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).take(MOST).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

impl ReplyTo {
    /// The answer of `node`.
    pub fn answer(self, node: &str, value: &Value) -> Word {
        let message = Message {
            headers: json!({"ticket": self.ticket, "clock": 0}).to_string().into(),
            properties: json!({
                "content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 1,
            })
            .to_string()
            .into(),
            body: json!({ node: value }).to_string().into(),
        };
        Word::Answer { exchange: self.exchange, routing_key: self.routing_key, message }
    }
}

/// Whether a name matches a pattern of shells: `*`, `?` and `[…]`, as Python's `fnmatch`. In steps that are at most as
/// many as pattern and name are long, multiplied.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    // Where to go on when the star that came last has to take one letter more.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (rest.first(), left.first()) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                rest = &rest[1..];
                star = Some((rest, left));
            }
            (_, letter) => match letter.and_then(|letter| one(rest, *letter)) {
                Some(after) => (rest, left) = (after, &left[1..]),
                None => match star {
                    Some((after, taken)) if !taken.is_empty() => {
                        (rest, left) = (after, &taken[1..]);
                        star = Some((after, left));
                    }
                    _ => return false,
                },
            },
        }
    }
}

/// What follows the first piece of a pattern, if that piece matches a letter.
fn one(pattern: &[u8], letter: u8) -> Option<&[u8]> {
    match pattern.first()? {
        b'?' => Some(&pattern[1..]),
        b'[' => match class(&pattern[1..], letter) {
            Some((matches, rest)) => matches.then_some(rest),
            None => (letter == b'[').then_some(&pattern[1..]),
        },
        wanted => (*wanted == letter).then_some(&pattern[1..]),
    }
}

/// Whether a letter is of the class that a pattern begins with, and what follows it; `None`: it never ends.
fn class(pattern: &[u8], letter: u8) -> Option<(bool, &[u8])> {
    let negated = pattern.first() == Some(&b'!');
    let inner = &pattern[usize::from(negated)..];
    // A bracket that stands first is one of the class.
    let end = inner.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (members, rest) = (&inner[..end], &inner[end + 1..]);
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == b'-' {
            found |= (members[at]..=members[at + 2]).contains(&letter);
            at += 3;
        } else {
            found |= members[at] == letter;
            at += 1;
        }
    }
    Some((found != negated, rest))
}

#[cfg(test)]
mod tests;
