//! A JSON object taken apart into keys and raw values, in their order, so that one value can be changed without
//! decoding the others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Keys and the text of their values.
#[derive(Debug, Default)]
pub(crate) struct RawObject<'a> {
    entries: Vec<(Cow<'a, str>, Raw<'a>)>,
}

/// The text of a value: as it was read, or as it was set.
#[derive(Debug)]
enum Raw<'a> {
    Read(&'a RawValue),
    Set(&'a str),
}

impl<'a> RawObject<'a> {
    /// Takes an object apart.
    pub(crate) fn parse(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The value of a key, as it was read. Of a key that is there twice, the last.
    pub(crate) fn find(&self, key: &str) -> Option<&'a RawValue> {
        self.entries.iter().rev().find(|(name, _)| name == key).and_then(|(_, value)| match value {
            Raw::Read(value) => Some(*value),
            Raw::Set(_) => None,
        })
    }

    /// Keys and values as they were read.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.entries.iter().filter_map(|(name, value)| match value {
            Raw::Read(value) => Some((&**name, *value)),
            Raw::Set(_) => None,
        })
    }

    /// Gives a key another value, where it stands or at the end; `None` takes it away.
    pub(crate) fn set(&mut self, key: &'a str, value: Option<&'a str>) {
        let place = self.entries.iter().position(|(name, _)| name == key);
        match (place, value) {
            (Some(place), Some(value)) => self.entries[place].1 = Raw::Set(value),
            (Some(place), None) => drop(self.entries.remove(place)),
            (None, Some(value)) => self.entries.push((Cow::Borrowed(key), Raw::Set(value))),
            (None, None) => {}
        }
    }

    /// The object as text.
    pub(crate) fn to_json(&self) -> String {
        let mut out = vec![b'{'];
        for (position, (name, value)) in self.entries.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            quote(name, &mut out);
            out.push(b':');
            out.extend_from_slice(match value {
                Raw::Read(value) => value.get().as_bytes(),
                Raw::Set(value) => value.as_bytes(),
            });
        }
        out.push(b'}');
        // Made of strings and of what was parsed from one.
        String::from_utf8(out).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

/// A key, borrowed when it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = RawObject<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(12);
        while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            entries.push((key, Raw::Read(value)));
        }
        Ok(RawObject { entries })
    }
}

/// The text of a JSON string; borrowed when it holds no escapes.
pub(crate) fn text(value: &RawValue) -> serde_json::Result<Cow<'_, str>> {
    match value.get().strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        _ if value.get() == "null" => Ok(Cow::Borrowed("")),
        _ => serde_json::from_str::<String>(value.get()).map(Cow::Owned),
    }
}

/// Writes a JSON string.
pub(crate) fn quote(text: &str, out: &mut Vec<u8>) {
    // Writing into memory does not fail, and a string can always be written.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_changed_where_it_stands_and_the_others_keep_their_bytes() {
        let mut object = RawObject::parse(r#"{"a": 1.50, "b\n": [ 2 ], "c":null}"#).unwrap();
        object.set("a", Some("true"));
        object.set("d", Some("\"new\""));
        object.set("c", None);
        object.set("never", None);
        assert_eq!(object.to_json(), r#"{"a":true,"b\n":[ 2 ],"d":"new"}"#);
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts() {
        let object = RawObject::parse(r#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(object.find("a").unwrap().get(), "2");
        assert_eq!(object.entries().count(), 2);
    }

    #[test]
    fn only_objects_are_taken_apart() {
        for text in ["", "[]", "{", "{\"a\"}", "null"] {
            assert!(RawObject::parse(text).is_err(), "{text}");
        }
    }
}
