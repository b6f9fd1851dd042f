//! Calling tasks off: which, whether a run is to be ended, and how long that is remembered.
//!
//! # Format
//! ```text
//! {"id": "…"}                              the task of this id
//! {"id": "…", "signal": "SIGTERM"}         and end its run, if it runs
//! {"stamp": "tenant", "value": 7}          every task that has this value among its stamps (protocol.md §8)
//! ```

use std::collections::HashSet;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use crate::clock::WallTime;
use crate::error::{Error, ErrorKind, Result};

/// The longest id, and the longest stamp, that is believed to be one.
const LONGEST_BYTES: usize = 1024;

/// One demand to call tasks off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Which tasks.
    pub target: Target,
    /// A run that goes on is to be ended, where it is a process by this signal. `None`: it may end by itself.
    pub terminate: Option<Signal>,
    /// It is forgotten then.
    pub until: WallTime,
}

/// Which tasks are called off.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The task of this id.
    Id(String),
    /// Every task with this stamp.
    Stamp {
        /// The name of the stamped header.
        header: String,
        /// The value, as JSON text.
        value: String,
    },
}

/// The stamps of a message: header and value, as JSON text. A header with a list counts once for each of its values.
pub type Stamps = HashSet<(String, String)>;

impl Revocation {
    /// Reads what [`Revocation::to_json`] has written.
    ///
    /// # Errors
    /// `Decode` when it is not that, `Config` when it names no signal of this system.
    pub fn of_json(value: &Value, until: WallTime) -> Result<Self> {
        let terminate = match &value["signal"] {
            Value::Null => None,
            name => Some(signal(name)?),
        };
        let target = match (&value["id"], &value["stamp"]) {
            (Value::String(id), Value::Null) => Target::Id(id.clone()),
            (Value::Null, Value::String(header)) => {
                Target::Stamp { header: header.clone(), value: value["value"].to_string() }
            }
            _ => return Err(Error::new(ErrorKind::Decode, "a revocation names neither a task nor a stamp")),
        };
        if target.size_bytes() > LONGEST_BYTES {
            return Err(Error::new(ErrorKind::Decode, "a revocation names something longer than 1024 bytes"));
        }
        Ok(Self { target, terminate, until })
    }

    /// Reads a list of them from JSON text.
    ///
    /// # Errors
    /// As [`Revocation::of_json`].
    pub fn list(text: &[u8], until: WallTime) -> Result<Vec<Self>> {
        let values: Vec<Value> = serde_json::from_slice(text).map_err(|error| {
            Error::new(ErrorKind::Decode, "revocations are no list of JSON objects").because(error)
        })?;
        values.iter().map(|value| Self::of_json(value, until)).collect()
    }

    /// Writes a list of them as JSON text, each with `until`, in seconds since 1970.
    pub fn write(revocations: &[Self]) -> String {
        let whole = |revocation: &Self| {
            let mut object = revocation.to_json();
            object["until"] = json!(revocation.until.seconds());
            object
        };
        Value::Array(revocations.iter().map(whole).collect()).to_string()
    }

    /// Whether another one demands the same, however long.
    pub fn is_like(&self, other: &Self) -> bool {
        self.target == other.target && self.terminate == other.terminate
    }

    /// All but the time.
    pub fn to_json(&self) -> Value {
        let mut object = match &self.target {
            Target::Id(id) => Map::from_iter([("id".to_owned(), json!(id))]),
            Target::Stamp { header, value } => Map::from_iter([
                ("stamp".to_owned(), json!(header)),
                ("value".to_owned(), serde_json::from_str(value).unwrap_or_default()),
            ]),
        };
        if let Some(signal) = self.terminate {
            object.insert("signal".to_owned(), json!(signal.as_str()));
        }
        Value::Object(object)
    }
}

impl Target {
    /// Whether it is about a task of this id, with these stamps.
    pub fn concerns(&self, task_id: &str, stamps: &Stamps) -> bool {
        match self {
            Self::Id(id) => id == task_id,
            Self::Stamp { header, value } => stamps.contains(&(header.clone(), value.clone())),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Id(id) => id.len(),
            Self::Stamp { header, value } => header.len() + value.len(),
        }
    }
}

/// A signal by its name, with or without SIG in front, or by its number.
///
/// # Errors
/// `Config` when this system has no such signal.
pub fn signal(given: &Value) -> Result<Signal> {
    let found = match given {
        Value::String(name) => {
            let name = name.trim().to_ascii_uppercase();
            let whole = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
            whole.parse().ok()
        }
        Value::Number(number) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok())
            .and_then(|number| Signal::try_from(number).ok()),
        _ => None,
    };
    found.ok_or_else(|| {
        let shown: String = given.to_string().chars().take(40).collect();
        Error::new(ErrorKind::Config, "there is no such signal; use a name such as SIGTERM")
            .with("signal", shown)
    })
}

/// The stamps that the headers of a message tell of: those whose names stand among its `stamped_headers`.
pub fn stamps(headers: &[u8]) -> Stamps {
    let mut found = Stamps::new();
    if memchr::memmem::find(headers, b"stamped_headers").is_none() {
        return found;
    }
    let headers: Value = serde_json::from_slice(headers).unwrap_or_default();
    let names = headers["stamped_headers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in names {
        match &headers["stamps"][name] {
            Value::Null => {}
            Value::Array(values) => {
                found.extend(values.iter().map(|value| (name.to_owned(), value.to_string())));
            }
            value => drop(found.insert((name.to_owned(), value.to_string()))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: WallTime = WallTime(5);

    #[test]
    fn a_revocation_is_read_as_it_was_written() {
        let text =
            br#"[{"id":"1"},{"id":"1","signal":"SIGKILL"},{"stamp":"tenant","value":7,"signal":"SIGTERM"}]"#;
        let read = Revocation::list(text, UNTIL).unwrap();
        assert_eq!(read[1].terminate, Some(Signal::SIGKILL));
        assert_eq!(read[2].target, Target::Stamp { header: "tenant".into(), value: "7".into() });
        let written: Vec<Value> = read.iter().map(Revocation::to_json).collect();
        assert_eq!(Revocation::list(json!(written).to_string().as_bytes(), UNTIL).unwrap(), read);
    }

    #[test]
    fn what_is_no_revocation_is_refused() {
        let long = format!(r#"[{{"id":"{}"}}]"#, "x".repeat(LONGEST_BYTES + 1));
        for text in ["", "{}", "[{}]", "[7]", r#"[{"id":7}]"#, r#"[{"id":"1","signal":"SIGNAL"}]"#, &long] {
            assert!(Revocation::list(text.as_bytes(), UNTIL).is_err(), "{text}");
        }
    }

    #[test]
    fn signals_go_by_names_and_numbers() {
        for given in [json!("SIGTERM"), json!("term"), json!(15)] {
            assert_eq!(signal(&given).unwrap(), Signal::SIGTERM);
        }
        for given in [json!("SIGNAL"), json!(0), json!(-9), json!(1e9), json!(["TERM"])] {
            assert!(signal(&given).is_err(), "{given}");
        }
    }

    #[test]
    fn stamps_are_those_that_the_message_names_one_by_one() {
        let headers = br#"{"stamped_headers":["a","b"],"stamps":{"a":[1,"x"],"b":"y","c":"not named"}}"#;
        let found = stamps(headers);
        assert_eq!(found.len(), 3);
        for (header, value) in [("a", "1"), ("a", "\"x\""), ("b", "\"y\"")] {
            let target = Target::Stamp { header: header.into(), value: value.into() };
            assert!(target.concerns("", &found), "{header} {value}");
        }
        for headers in
            [&b"{}"[..], b"nonsense stamped_headers", br#"{"stamped_headers":null,"stamps":{"a":1}}"#]
        {
            assert!(stamps(headers).is_empty());
        }
    }
}
