//! The basic properties the core needs (protocol.md §1.2); the rest travels untouched.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// Properties, borrowed from the message.
#[derive(Debug, Default, Deserialize)]
pub struct Properties<'a> {
    /// Such as `application/json`.
    #[serde(borrow, default)]
    pub content_type: Option<Cow<'a, str>>,
    /// `utf-8` or `binary`.
    #[serde(borrow, default)]
    pub content_encoding: Option<Cow<'a, str>>,
    /// 0 to 255; what a number means is the broker's to say.
    #[serde(default)]
    pub priority: Option<u8>,
    /// The caller's reply queue.
    #[serde(borrow, default)]
    pub reply_to: Option<Cow<'a, str>>,
    /// Equals the task id.
    #[serde(borrow, default)]
    pub correlation_id: Option<Cow<'a, str>>,
}

/// Whether the content type is surely JSON, as that of nearly all messages: a look instead of a reading.
///
/// Between these quotes there is a key and its value: inside a text they would have backslashes before them. It could
/// be a key of an inner map, so where there is one this says no.
pub fn is_json(bytes: &[u8]) -> bool {
    static JSON: LazyLock<Finder<'_>> =
        LazyLock::new(|| Finder::new(br#""content_type":"application/json""#));
    let has_inner_map = memchr::memchr(b'{', bytes.get(1..).unwrap_or_default()).is_some();
    !has_inner_map && JSON.find(bytes).is_some()
}

impl<'a> Properties<'a> {
    /// Reads properties from their JSON object.
    ///
    /// # Errors
    /// `Decode` when the bytes are no JSON object.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            Error::new(ErrorKind::Decode, "properties are not a valid JSON object").because(error)
        })
    }
}
