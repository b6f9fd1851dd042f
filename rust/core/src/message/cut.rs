//! Cutting a JSON object into its entries without reading what is in them. Pure.
//!
//! Reading checks every value; here only brackets and quotes are followed. So what comes out is right if the whole is
//! valid JSON, and whoever uses a part must still check it.

/// Gives each entry of the object `text` to `take`, its key without quotes, until that says `None`. `None` when the
/// text is not cut to the end: it is no object, a key holds an escape, or something does not fit.
pub(crate) fn cut<'a>(text: &'a str, mut take: impl FnMut(&'a str, &'a str) -> Option<()>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = pass(bytes, 0, b'{')?;
    if let Some(end) = pass(bytes, at, b'}') {
        return is_end(bytes, end);
    }
    loop {
        let (start, end) = value(bytes, at)?;
        let key = plain(text.get(start..end)?)?;
        let (start, end) = value(bytes, pass(bytes, end, b':')?)?;
        take(key, text.get(start..end)?)?;
        match pass(bytes, end, b',') {
            Some(next) => at = next,
            None => return is_end(bytes, pass(bytes, end, b'}')?),
        }
    }
}

/// The text of a JSON string that is written without escapes.
pub(crate) fn plain(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    // Whole blocks at once: a body may be large.
    let has_control = text.bytes().min().is_some_and(|least| least < b' ');
    let is_odd = has_control || memchr::memchr2(b'"', b'\\', text.as_bytes()).is_some();
    (!is_odd).then_some(text)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// What comes after space and `wanted`, if that is what comes.
fn pass(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    let at = skip_space(bytes, at);
    (bytes.get(at) == Some(&wanted)).then_some(at + 1)
}

fn is_end(bytes: &[u8], at: usize) -> Option<()> {
    (skip_space(bytes, at) == bytes.len()).then_some(())
}

/// Where the next value begins and ends.
fn value(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = skip_space(bytes, at);
    let end = match bytes.get(start)? {
        b'"' => end_of_string(bytes, start)?,
        b'{' | b'[' => end_of_nest(bytes, start)?,
        _ => start + bytes[start..].iter().position(|byte| b",:}] \n\r\t".contains(byte))?,
    };
    (end > start).then_some((start, end))
}

fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn end_of_nest(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = end_of_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;

    fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        cut(text, |key, value| {
            found.push((key, value));
            Some(())
        })?;
        Some(found)
    }

    #[test]
    fn entries_are_cut_out_as_they_are_written() {
        let text = "\n{ \"a\" : [1, \"]\\\"\"] ,\"b\":{\"c\":{}}, \"d\":-1.5e3,\"e\":\"x\\\\\" } ";
        let expected = [("a", "[1, \"]\\\"\"]"), ("b", "{\"c\":{}}"), ("d", "-1.5e3"), ("e", "\"x\\\\\"")];
        assert_eq!(entries(text).unwrap(), expected);
        assert_eq!(entries("{}"), Some(Vec::new()));
        assert_eq!(entries(r#"{"a\u0062":1}"#), None, "a key with an escape");
    }

    #[test]
    fn what_is_no_object_is_not_cut_to_the_end() {
        for text in
            ["", "[]", "{", "{}x", "{,}", r#"{"a"}"#, r#"{"a":}"#, r#"{"a":1,}"#, r#"{"a":1"#, r#"{"a":"}"#]
        {
            assert_eq!(entries(text), None, "{text}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}|[\"\\\\{}\\[\\],:]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = prop::collection::btree_map("[a-z\"{}]{0,4}", inner, 0..4);
            prop_oneof![list, map.prop_map(|map| Value::Object(map.into_iter().collect()))]
        })
    }

    proptest! {
        #[test]
        fn it_cuts_where_a_reader_does(
            object in prop::collection::btree_map("[a-z]{0,4}", values(), 0..5), spaced: bool,
        ) {
            let text = if spaced { serde_json::to_string_pretty(&object) } else { serde_json::to_string(&object) };
            let text = text.unwrap();
            let read: BTreeMap<&str, &RawValue> = serde_json::from_str(&text).unwrap();
            let read: Vec<_> = read.into_iter().map(|(key, value)| (key, value.get())).collect();
            prop_assert_eq!(entries(&text).unwrap(), read);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a\"\\\\{}\\[\\],: é]{0,40}") {
            let _ = entries(&text);
        }
    }
}
