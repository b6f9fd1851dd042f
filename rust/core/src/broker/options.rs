//! Transport options: a JSON object and the URL's query, read by name; what nobody asked for is an error.

use std::time::Duration;

use serde_json::{Map, Value};

use super::nearest::nearest;
use super::url::BrokerUrl;
use crate::error::{Error, ErrorKind, Result};

/// Options that have not been read yet.
pub(crate) struct Options {
    /// The setting they come from.
    setting: &'static str,
    left: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Options {
    /// Options from JSON text (empty: none), and those of the URL, which go first.
    ///
    /// # Errors
    /// `Config` when the text is no JSON object.
    pub(crate) fn parse(setting: &'static str, json: &str, url: &BrokerUrl) -> Result<Self> {
        let mut left: Map<String, Value> = if json.trim().is_empty() {
            Map::new()
        } else {
            serde_json::from_str(json).map_err(|error| {
                Error::new(ErrorKind::Config, format!("{setting} must be a JSON object")).because(error)
            })?
        };
        for (key, text) in url.options() {
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
            left.insert(key.clone(), value);
        }
        Ok(Self { setting, left, asked: Vec::new() })
    }

    /// A time in seconds.
    ///
    /// # Errors
    /// `Config` when it is no number of seconds from 0 to a million.
    pub(crate) fn seconds(&mut self, name: &'static str, default: Duration) -> Result<Duration> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(seconds) if (0.0..=1e6).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
                _ => Err(self.wrong(name, &value, "a number of seconds")),
            },
        }
    }

    /// A number of things.
    ///
    /// # Errors
    /// `Config` when it is no number from 0 to a million.
    pub(crate) fn count(&mut self, name: &'static str, default: usize) -> Result<usize> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => match value.as_u64() {
                Some(count) if count <= 1_000_000 => Ok(count as usize),
                _ => Err(self.wrong(name, &value, "a number, zero or more")),
            },
        }
    }

    /// One of some words, as its position among them.
    ///
    /// # Errors
    /// `Config` when it is none of them.
    pub(crate) fn word(&mut self, name: &'static str, words: &[&str], default: usize) -> Result<usize> {
        match self.take(name) {
            None => Ok(default),
            Some(value) => {
                let found = value
                    .as_str()
                    .and_then(|text| words.iter().position(|word| word.eq_ignore_ascii_case(text)));
                found.ok_or_else(|| self.wrong(name, &value, &words.join(" or ")))
            }
        }
    }

    /// Some text.
    ///
    /// # Errors
    /// `Config` when it is none.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            // A name in a URL may look like a number.
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(value) => Err(self.wrong(name, &value, "text")),
        }
    }

    /// Yes or no.
    ///
    /// # Errors
    /// `Config` when it is neither.
    pub(crate) fn flag(&mut self, name: &'static str, default: bool) -> Result<bool> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(value) => match value.as_str().map(str::to_ascii_lowercase).as_deref() {
                Some("true" | "yes" | "on") => Ok(true),
                Some("false" | "no" | "off") => Ok(false),
                _ => Err(self.wrong(name, &value, "true or false")),
            },
        }
    }

    /// A value of any kind, for the broker to read.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.take(name)
    }

    /// Options that another client of the same URL reads and that mean nothing here.
    pub(crate) fn leave(&mut self, names: &[&'static str]) {
        for name in names {
            let _ = self.take(name);
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `Config` when an option is left that nobody asked for.
    pub(crate) fn finish(self, scheme: &str) -> Result<()> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        let hint = match nearest(name, self.asked.iter().copied()) {
            Some(near) => format!("; did you mean {near:?}?"),
            None if self.asked.is_empty() => "; it has none".to_owned(),
            None => format!("; it has {}", self.asked.join(", ")),
        };
        Err(Error::new(
            ErrorKind::Config,
            format!("{}: {scheme}:// has no transport option {name:?}{hint}", self.setting),
        ))
    }

    /// The error for an option with a value it cannot have.
    pub(crate) fn wrong(&self, name: &str, value: &Value, expected: &str) -> Error {
        let sentence = format!("{}: the option {name:?} must be {expected}", self.setting);
        Error::new(ErrorKind::Config, sentence).with("value", value)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }
}
