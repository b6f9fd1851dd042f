//! Parts of members that no run lives to tell of: expired, lost, out of time, set aside. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;

use super::Part;
use super::record::Exception;
use crate::message::Message;
use crate::message::properties;

/// The task that stands in members' messages for a body that the store has.
const REFERENCE: &str = "fastq.chord_body";

#[derive(Deserialize)]
struct Headers<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(default)]
    group_index: Option<u32>,
    #[serde(default)]
    compression: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Embed<'a> {
    #[serde(borrow, default)]
    chord: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Signature<'a> {
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(default)]
    kwargs: Option<Arguments>,
}

/// What a reference says.
#[derive(Deserialize)]
struct Arguments {
    #[serde(default)]
    within: Option<IgnoredAny>,
}

/// The part of a message that was a member of a chord and ended in `state` with an exception; `None` when it was none.
///
/// A body that cannot be read here (compressed, or not JSON) may say of a chord or not, so the part is made if there is
/// a group: a part of a group that is no chord counts for nothing, and expires.
pub fn part_of(message: &Message, state: &str, exception: &Exception) -> Option<Part> {
    let headers: Headers<'_> = serde_json::from_slice(&message.headers).ok()?;
    let is_readable = headers.compression.is_none() && properties::is_json(&message.properties);
    let mut callback = Vec::new();
    if is_readable {
        type Body<'a> = (IgnoredAny, IgnoredAny, Embed<'a>);
        let (_, _, embed): Body<'_> = serde_json::from_slice(&message.body).ok()?;
        let chord = embed.chord.filter(|chord| chord.get() != "null")?;
        let signature = serde_json::from_str::<Signature<'_>>(chord.get()).ok()?;
        // Of a reference the release needs no more than the names of chords that wait for the body.
        if signature.task != REFERENCE || signature.kwargs.is_some_and(|kwargs| kwargs.within.is_some()) {
            callback = chord.get().as_bytes().to_vec();
        }
    }
    let document = json!([1, headers.id, state, exception.stored()]);
    Some(Part {
        group_id: headers.group.into_owned(),
        task_id: headers.id.into_owned(),
        place: headers.group_index,
        state: state.to_owned(),
        body: document.to_string().into_bytes(),
        callback,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &'static str, properties: &'static str, body: &'static str) -> Message {
        Message { headers: headers.into(), properties: properties.into(), body: body.into() }
    }

    #[test]
    fn only_members_of_chords_have_a_part() {
        let member = r#"{"id":"1","group":"g","group_index":2}"#;
        let json = r#"{"content_type":"application/json"}"#;
        let reference = r#"[[],{},{"chord":{"task":"fastq.chord_body","args":[]}}]"#;
        let nested = r#"[[],{},{"chord":{"task":"fastq.chord_body","kwargs":{"within":["o"]}}}]"#;
        let whole = r#"[[],{},{"callbacks":null,"chord":{"task": "sum"}}]"#;
        for (headers, properties, body, expected) in [
            (member, json, reference, Some("")),
            (member, json, whole, Some(r#"{"task": "sum"}"#)),
            (member, json, nested, Some(r#"{"task":"fastq.chord_body","kwargs":{"within":["o"]}}"#)),
            (member, json, r#"[[],{},{"chord":null}]"#, None),
            (member, json, "[[],{},{}]", None),
            (member, json, "nonsense", None),
            (member, r#"{"content_type":"application/x-msgpack"}"#, "\u{1}", Some("")),
            (r#"{"id":"1","group":"g","compression":"application/x-gzip"}"#, json, "\u{1}", Some("")),
            (r#"{"id":"1","group":null}"#, json, whole, None),
            (r#"{"id":"1"}"#, json, whole, None),
            ("nonsense", json, whole, None),
        ] {
            let found =
                part_of(&message(headers, properties, body), "REVOKED", &Exception::revoked("expired"));
            let callback = found.map(|part| String::from_utf8(part.callback).unwrap());
            assert_eq!(callback.as_deref(), expected, "{headers} {body}");
        }
        let found =
            part_of(&message(member, json, whole), "REVOKED", &Exception::revoked("expired")).unwrap();
        assert_eq!(
            (&*found.group_id, &*found.task_id, found.place, &*found.state),
            ("g", "1", Some(2), "REVOKED")
        );
        let document: serde_json::Value = serde_json::from_slice(&found.body).unwrap();
        assert_eq!((&document[1], &document[3]["exc_type"]), (&json!("1"), &json!("TaskRevokedError")));
    }
}
