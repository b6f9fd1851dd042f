//! Messages of task protocol 1, and of hybrids, read as protocol 2 (protocol.md §2). Pure.
//!
//! Protocol 1 has no headers: its body is a map of everything. Hybrids carry the headers of protocol 2 and the body of
//! protocol 1; then the real headers win over what the body says.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::Message;
use super::object::RawObject;

/// Keys of a protocol 1 body that are headers of protocol 2.
const HEADERS: [&str; 8] = ["task", "id", "group_index", "retries", "eta", "expires", "timelimit", "group"];
/// Keys of a protocol 1 body that are embedded in a protocol 2 body.
const EMBEDDED: [&str; 3] = ["callbacks", "errbacks", "chord"];

/// The message in the words of protocol 2: borrowed when it is one already, or is of no protocol at all.
pub fn modernized(message: &Message) -> Cow<'_, Message> {
    // A look at two bytes spares everybody else the reading of the body.
    let is_current = message.body.first() != Some(&b'{');
    if is_current {
        return Cow::Borrowed(message);
    }
    translated(message).map_or(Cow::Borrowed(message), Cow::Owned)
}

fn translated(message: &Message) -> Option<Message> {
    let body = RawObject::parse(std::str::from_utf8(&message.body).ok()?).ok()?;
    let headers = match std::str::from_utf8(&message.headers).ok()? {
        "" => RawObject::default(),
        headers => RawObject::parse(headers).ok()?,
    };
    if body.find("args").is_none() || (headers.find("task").is_none() && body.find("task").is_none()) {
        return None;
    }
    Some(Message {
        headers: translated_headers(&headers, &body).into(),
        properties: message.properties.clone(),
        body: translated_body(&body).into(),
    })
}

fn translated_headers(headers: &RawObject<'_>, body: &RawObject<'_>) -> String {
    let mut all = RawObject::default();
    all.set("lang", Some("\"py\""));
    for name in HEADERS {
        all.set(name, Some(or(body.find(name), "null")));
    }
    // The old name of the group wins, as in Celery.
    if let Some(group) = body.find("taskset").filter(|group| group.get() != "null") {
        all.set("group", Some(group.get()));
    }
    all.set("root_id", Some(or(body.find("root_id").or_else(|| body.find("id")), "null")));
    all.set("parent_id", Some(or(body.find("parent_id"), "null")));
    for (name, value) in headers.entries() {
        all.set(name, Some(value.get()));
    }
    all.to_json()
}

fn translated_body(body: &RawObject<'_>) -> String {
    let mut embedded = RawObject::default();
    for name in EMBEDDED {
        embedded.set(name, Some(or(body.find(name), "null")));
    }
    embedded.set("chain", Some("null"));
    format!("[{},{},{}]", or(body.find("args"), "[]"), or(body.find("kwargs"), "{}"), embedded.to_json())
}

fn or<'a>(value: Option<&'a RawValue>, otherwise: &'a str) -> &'a str {
    value.map_or(otherwise, RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &'static str, body: &'static str) -> Message {
        Message { headers: headers.into(), properties: "{}".into(), body: body.into() }
    }

    #[test]
    fn a_message_of_protocol_1_gets_the_headers_and_the_body_of_protocol_2() {
        let old = message(
            "{}",
            r#"{"task": "shop.add", "id": "1", "args": [1, 2], "kwargs": {"c": 3}, "retries": 1, "eta": null,
                "expires": "2026-11-22T11:42:22", "utc": true, "timelimit": [10, null], "taskset": "g",
                "callbacks": [{"task": "next"}], "errbacks": null, "chord": null}"#,
        );
        let new = modernized(&old);
        assert_eq!(
            std::str::from_utf8(&new.headers).unwrap(),
            r#"{"lang":"py","task":"shop.add","id":"1","group_index":null,"retries":1,"eta":null,"expires":"2026-11-22T11:42:22","timelimit":[10, null],"group":"g","root_id":"1","parent_id":null}"#
        );
        assert_eq!(
            std::str::from_utf8(&new.body).unwrap(),
            r#"[[1, 2],{"c": 3},{"callbacks":[{"task": "next"}],"errbacks":null,"chord":null,"chain":null}]"#
        );
    }

    #[test]
    fn in_a_hybrid_the_real_headers_win() {
        let hybrid = message(r#"{"task":"new","id":"2","x":[1]}"#, r#"{"task":"old","args":[],"kwargs":{}}"#);
        let new = modernized(&hybrid);
        let headers: serde_json::Value = serde_json::from_slice(&new.headers).unwrap();
        assert_eq!(
            (&headers["task"], &headers["id"], &headers["x"][0]),
            (&"new".into(), &"2".into(), &1.into())
        );
    }

    #[test]
    fn what_is_of_protocol_2_or_of_none_stays_as_it_is() {
        for (headers, body) in [
            (r#"{"task":"t","id":"1"}"#, "[[], {}, {}]"),
            (r#"{"task":"t","id":"1"}"#, "{\"not\":\"args\"}"),
            ("{}", "{\"args\":[]}"),
            ("{}", "{not json"),
            ("{}", ""),
        ] {
            assert!(matches!(modernized(&message(headers, body)), Cow::Borrowed(_)), "{body}");
        }
    }
}
