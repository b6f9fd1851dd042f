//! Remote commands as Celery broadcasts them, and answers as it expects them (protocol.md §6). Pure.
//!
//! A command that is not known here, or cannot be read, is none of this worker's business: others may obey it.

mod matcher;

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
use matcher::Matcher;

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
    let command = match body.is_for(node) {
        Ok(false) => return None,
        Ok(true) => command(&body.method, &body.arguments.unwrap_or_default(), now.after(keep)),
        Err(error) => Err(error),
    };
    let command = command.unwrap_or_else(|error| Some(Command::Impossible(error.to_string())))?;
    let reply_to = body.ticket.zip(body.reply_to).map(|(ticket, address)| ReplyTo {
        exchange: address.exchange,
        routing_key: address.routing_key,
        ticket,
    });
    Some(Request { command, reply_to })
}

impl Body {
    fn is_for(&self, node: &str) -> Result<bool> {
        let named = self.destination.as_ref().is_none_or(|nodes| nodes.iter().any(|name| name == node));
        match &self.pattern {
            Some(pattern) if named => Matcher::named(self.matcher.as_deref())?.matches(pattern, node),
            _ => Ok(named),
        }
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

#[cfg(test)]
mod tests;
