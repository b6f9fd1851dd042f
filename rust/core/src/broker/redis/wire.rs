//! Commands gathered for one write, and the replies to them.

use redis::{Cmd, Pipeline, Value};

use super::error::server_error;
use crate::error::{Error, ErrorKind, Result};

/// Commands that are sent in one write.
#[derive(Default)]
pub(crate) struct Batch {
    pipeline: Pipeline,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { pipeline: Pipeline::new() }
    }

    /// Adds a command: its name and its arguments.
    pub(crate) fn add(&mut self, words: &[&[u8]]) {
        let mut command = Cmd::with_capacity(words.len(), words.iter().map(|word| word.len()).sum());
        for word in words {
            command.arg(*word);
        }
        self.pipeline.add_command(command);
    }

    /// Adds a script with its keys and arguments. The text is sent each time: a server that has restarted does not
    /// know its digest, and inside a transaction there is no second try.
    pub(crate) fn script(&mut self, script: &str, keys: &[&[u8]], arguments: &[&[u8]]) {
        let count = keys.len().to_string();
        let mut words: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), count.as_bytes()];
        words.extend_from_slice(keys);
        words.extend_from_slice(arguments);
        self.add(&words);
    }

    /// The same commands in a transaction: all or none.
    pub(crate) fn in_transaction(&self) -> Self {
        let mut whole = Self::new();
        whole.add(&[b"MULTI"]);
        for command in self.pipeline.cmd_iter() {
            whole.pipeline.add_command(command.clone());
        }
        whole.add(&[b"EXEC"]);
        whole
    }

    /// The words of one command.
    pub(crate) fn words(&self, position: usize) -> Option<Vec<Vec<u8>>> {
        let command = self.pipeline.cmd_iter().nth(position)?;
        let words = command.args_iter().filter_map(|word| match word {
            redis::Arg::Simple(word) => Some(word.to_vec()),
            _ => None,
        });
        Some(words.collect())
    }

    /// How many commands.
    pub(crate) fn len(&self) -> usize {
        self.pipeline.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pipeline.is_empty()
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}

/// The replies to a [`Batch`], in order.
pub(crate) struct Replies {
    values: std::vec::IntoIter<Value>,
}

impl Replies {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self { values: values.into_iter() }
    }

    /// The next reply.
    ///
    /// # Errors
    /// Whatever the server said instead of a reply.
    pub(crate) fn next(&mut self) -> Result<Value> {
        match self.values.next() {
            Some(Value::ServerError(error)) => Err(server_error(error.code(), error.details())),
            Some(value) => Ok(value),
            None => Err(unexpected("nothing")),
        }
    }

    /// The next reply, a number.
    pub(crate) fn int(&mut self) -> Result<i64> {
        int(self.next()?)
    }

    /// The next reply, a list.
    pub(crate) fn array(&mut self) -> Result<Vec<Value>> {
        array(self.next()?)
    }

    /// The next reply, bytes or nothing.
    pub(crate) fn bytes(&mut self) -> Result<Option<Vec<u8>>> {
        bytes(self.next()?)
    }

    /// Skips replies in which only an error would matter.
    pub(crate) fn skip(&mut self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.next().map(drop))
    }
}

/// Reads the replies to a batch of `sent` commands that is one transaction.
///
/// # Errors
/// The first thing that the server refused; `Closed` when a session that was watched is over.
pub(crate) fn committed(replies: &mut Replies, sent: usize) -> Result<()> {
    replies.skip(sent - 1)?;
    let Value::Array(values) = replies.next()? else { return Err(super::lease::lost()) };
    for value in values {
        if let Value::ServerError(error) = value {
            return Err(server_error(error.code(), error.details()));
        }
    }
    Ok(())
}

/// A number.
pub(crate) fn int(value: Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(number),
        Value::Nil => Ok(0),
        other => Err(unexpected(&format!("{other:?}"))),
    }
}

/// A list; nothing is an empty one.
pub(crate) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        Value::ServerError(error) => Err(server_error(error.code(), error.details())),
        other => Err(unexpected(&format!("{other:?}"))),
    }
}

/// Bytes, or nothing.
pub(crate) fn bytes(value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::Okay => Ok(Some(b"OK".to_vec())),
        Value::Int(number) => Ok(Some(number.to_string().into_bytes())),
        Value::ServerError(error) => Err(server_error(error.code(), error.details())),
        other => Err(unexpected(&format!("{other:?}"))),
    }
}

/// Text; nothing is empty text.
pub(crate) fn string(value: Value) -> Result<String> {
    Ok(bytes(value)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
}

/// The pairs of a hash, or of members and scores.
pub(crate) fn pairs(value: Value) -> Result<Vec<(String, String)>> {
    let mut values = array(value)?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((string(key)?, string(value)?));
    }
    Ok(pairs)
}

fn unexpected(reply: &str) -> Error {
    let shown: String = reply.chars().take(100).collect();
    Error::new(ErrorKind::Unexpected, "the server gave a reply that does not fit its command")
        .with("reply", shown)
}
