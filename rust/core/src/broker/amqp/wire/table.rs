//! Field tables as JSON objects, and back. Values keep their order; types are chosen as py-amqp chooses them, so that a
//! Celery worker reads what a Celery client would have written.

use serde_json::value::RawValue;

use super::super::error::malformed;
use super::read::{self, Reader};
use super::write::Write;
use crate::error::{Error, ErrorKind, Result};
use crate::message::object::{RawObject, quote, text};

/// Deepest nesting of tables and lists, both ways.
const DEEPEST: usize = 64;

/// Writes a JSON object as a table, with its length.
///
/// # Errors
/// `Encode` when it is none, or too deep.
pub(super) fn write(json: &str, out: &mut Vec<u8>) -> Result<()> {
    let object = RawObject::parse(json).map_err(not_a_table)?;
    write_object(&object, out, 0)
}

fn write_object(object: &RawObject<'_>, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    let mut result = Ok(());
    out.measured(|out| {
        for (key, value) in object.entries() {
            out.short(key);
            result = write_value(value, out, depth);
            if result.is_err() {
                return;
            }
        }
    });
    result
}

fn write_value(value: &RawValue, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::new(ErrorKind::Encode, "headers are nested more than 64 deep"));
    }
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => {
            out.push(b'S');
            out.long(text(value).map_err(not_a_table)?.as_bytes());
        }
        Some(b'{') => {
            out.push(b'F');
            write_object(&RawObject::parse(json).map_err(not_a_table)?, out, depth + 1)?;
        }
        Some(b'[') => {
            out.push(b'A');
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(not_a_table)?;
            let mut result = Ok(());
            out.measured(|out| {
                result = items.into_iter().try_for_each(|item| write_value(item, out, depth + 1));
            });
            result?;
        }
        Some(b't') => out.extend_from_slice(b"t\x01"),
        Some(b'f') => out.extend_from_slice(b"t\x00"),
        Some(b'n') | None => out.push(b'V'),
        Some(_) => write_number(json, out)?,
    }
    Ok(())
}

fn write_number(json: &str, out: &mut Vec<u8>) -> Result<()> {
    if let Ok(number) = json.parse::<i64>() {
        if let Ok(small) = i32::try_from(number) {
            out.push(b'I');
            out.u32(small as u32);
        } else {
            out.push(b'l');
            out.u64(number as u64);
        }
        return Ok(());
    }
    let number: f64 = json
        .parse()
        .map_err(|_| Error::new(ErrorKind::Encode, "a header holds what is no number").with("value", json))?;
    out.push(b'd');
    out.u64(number.to_bits());
    Ok(())
}

fn not_a_table(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Encode, "headers and arguments must be a JSON object").because(error)
}

/// Reads a table, with its length, as a JSON object.
pub(super) fn read(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<()> {
    read_object(reader, out, 0)
}

fn read_object(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    let mut inner = Reader::new(reader.long()?);
    out.push(b'{');
    let mut first = true;
    while !inner.is_empty() {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        quote(&inner.short()?, out);
        out.push(b':');
        read_value(&mut inner, out, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn read_value(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    if depth > DEEPEST {
        return Err(malformed("a table is nested more than 64 deep"));
    }
    match reader.u8()? {
        b't' => out.extend_from_slice(if reader.u8()? == 0 { b"false" } else { b"true" }),
        b'b' => integer(i64::from(reader.u8()?.cast_signed()), out),
        b'B' => integer(i64::from(reader.u8()?), out),
        // Everybody's way, and not that of the specification: two signed bytes.
        b's' | b'U' => integer(i64::from(reader.u16()?.cast_signed()), out),
        b'u' => integer(i64::from(reader.u16()?), out),
        b'I' => integer(i64::from(reader.u32()?.cast_signed()), out),
        b'i' => integer(i64::from(reader.u32()?), out),
        b'l' | b'L' => integer(reader.u64()?.cast_signed(), out),
        b'T' => out.extend_from_slice(reader.u64()?.to_string().as_bytes()),
        b'f' => float(f64::from(f32::from_bits(reader.u32()?)), out),
        b'd' => float(f64::from_bits(reader.u64()?), out),
        b'D' => {
            let (scale, value) = (reader.u8()?, reader.u32()?.cast_signed());
            float(f64::from(value) / 10_f64.powi(i32::from(scale)), out);
        }
        b'S' | b'x' => quote(&read::text(reader.long()?), out),
        b'F' => read_object(reader, out, depth + 1)?,
        b'A' => {
            let mut items = Reader::new(reader.long()?);
            out.push(b'[');
            let mut first = true;
            while !items.is_empty() {
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                read_value(&mut items, out, depth + 1)?;
            }
            out.push(b']');
        }
        b'V' => out.extend_from_slice(b"null"),
        _ => return Err(malformed("a table holds a value of an unknown type")),
    }
    Ok(())
}

fn integer(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(number.to_string().as_bytes());
}

fn float(number: f64, out: &mut Vec<u8>) {
    // JSON has no NaN and no infinity.
    let text = serde_json::Number::from_f64(number).map(|number| number.to_string());
    out.extend_from_slice(text.as_deref().unwrap_or("null").as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn there_and_back(json: &str) -> String {
        let mut bytes = Vec::new();
        write(json, &mut bytes).unwrap();
        let (mut reader, mut out) = (Reader::new(&bytes), Vec::new());
        read(&mut reader, &mut out).unwrap();
        assert!(reader.is_empty());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn headers_keep_their_order_and_their_text() {
        let json = r#"{"task":"shop.add","id":"1","eta":null,"retries":0,"big":4294967296,"neg":-5,"f":1.5,"t":true,"n":false,"timelimit":[null,3],"stamps":{"é":["x"]}}"#;
        assert_eq!(there_and_back(json), json);
    }

    #[test]
    fn values_are_written_in_the_types_of_py_amqp() {
        let mut bytes = Vec::new();
        write(r#"{"a":1,"b":4294967296,"c":"x","d":null,"e":true,"f":0.5,"g":[1],"h":{}}"#, &mut bytes)
            .unwrap();
        let expected: &[u8] = b"\x00\x00\x00\x3f\x01aI\x00\x00\x00\x01\x01bl\x00\x00\x00\x01\x00\x00\x00\x00\x01cS\x00\x00\x00\x01x\x01dV\x01et\x01\x01fd\x3f\xe0\x00\x00\x00\x00\x00\x00\x01gA\x00\x00\x00\x05I\x00\x00\x00\x01\x01hF\x00\x00\x00\x00";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_too_deep_or_no_object_is_refused_both_ways() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
        for json in ["[]", "x", "", &deep] {
            assert_eq!(write(json, &mut Vec::new()).unwrap_err().kind(), ErrorKind::Encode, "{json}");
        }
        let mut nested = b"V".to_vec();
        for _ in 0..100 {
            let mut outer = b"A".to_vec();
            outer.long(&nested);
            nested = outer;
        }
        let mut table = Vec::new();
        table.measured(|out| {
            out.short("a");
            out.extend_from_slice(&nested);
        });
        assert!(read(&mut Reader::new(&table), &mut Vec::new()).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let map = prop::collection::btree_map("\\PC{0,4}", inner, 0..4);
            prop_oneof![list, map.prop_map(|map| Value::Object(map.into_iter().collect()))]
        })
    }

    proptest! {
        #[test]
        fn every_object_comes_back(object in prop::collection::btree_map("[a-z]{0,4}", values(), 0..5)) {
            let json = serde_json::to_string(&object).unwrap();
            let back: Value = serde_json::from_str(&there_and_back(&json)).unwrap();
            prop_assert_eq!(back, serde_json::to_value(&object).unwrap());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&mut Reader::new(&bytes), &mut Vec::new());
        }
    }
}
