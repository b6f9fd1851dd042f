use super::*;

/// As kombu 5.7 writes it, with the spaces of Python's json (kombu-layouts.md §1.1).
const CELERYS: &str = r#"{"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"lang": "py", "task": "shop.add", "id": "0c7a", "eta": null, "retries": 0, "timelimit": [null, null], "stamps": {}}, "properties": {"correlation_id": "0c7a", "reply_to": "5f2c", "delivery_mode": 2, "expiration": "200000", "delivery_info": {"exchange": "", "routing_key": "celery"}, "priority": 0, "body_encoding": "base64", "delivery_tag": "9d0e"}}"#;

fn opened(text: &str) -> Opened {
    open(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn address(tag: &str) -> Address<'_> {
    Address { exchange: "", routing_key: "celery", priority: None, delivery_tag: tag }
}

#[test]
fn an_envelope_of_celery_is_opened() {
    let opened = opened(CELERYS);
    assert_eq!(
        &opened.message.headers[..],
        br#"{"lang": "py", "task": "shop.add", "id": "0c7a", "eta": null, "retries": 0, "timelimit": [null, null], "stamps": {}}"#
    );
    assert_eq!(
        &opened.message.properties[..],
        br#"{"correlation_id":"0c7a","reply_to":"5f2c","delivery_mode":2,"expiration":"200000","content_type":"application/json","content_encoding":"utf-8"}"#
    );
    assert_eq!(
        &opened.message.body[..],
        br#"[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#
    );
    assert_eq!((opened.exchange.as_str(), opened.routing_key.as_str()), ("", "celery"));
    assert_eq!((opened.priority, opened.redelivered, opened.deaths), (Some(0), false, 0));
    assert_eq!(opened.delivery_tag, "9d0e");
}

#[test]
fn what_was_opened_is_sealed_with_the_same_keys_in_the_same_order() {
    let opened = opened(CELERYS);
    let sealed = seal(&opened.message, Address { priority: opened.priority, ..address("9d0e") }).unwrap();
    let (was, is): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(CELERYS).unwrap(), serde_json::from_slice(&sealed).unwrap());
    assert_eq!(was, is);
    assert_eq!(
        String::from_utf8(sealed).unwrap(),
        r#"{"body":"W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbnVsbCwgImNob3JkIjogbnVsbH1d","content-encoding":"utf-8","content-type":"application/json","headers":{"lang": "py", "task": "shop.add", "id": "0c7a", "eta": null, "retries": 0, "timelimit": [null, null], "stamps": {}},"properties":{"correlation_id":"0c7a","reply_to":"5f2c","delivery_mode":2,"expiration":"200000","delivery_info":{"exchange":"","routing_key":"celery"},"priority":0,"body_encoding":"base64","delivery_tag":"9d0e"}}"#
    );
}

#[test]
fn any_bytes_come_back_as_they_were_sealed() {
    for size in [0_usize, 1, 2, 3, 255, 256, 10_000] {
        let message = Message {
            headers: Bytes::from_static(br#"{"task":"t","id":"1"}"#),
            properties: Bytes::from_static(br#"{"content_type":"application/data"}"#),
            body: (0..size).map(|number| number as u8).collect::<Vec<u8>>().into(),
        };
        let sealed = seal(&message, address("d")).unwrap();
        assert_eq!(open(&sealed.into()).unwrap().message, message, "{size}");
    }
}

#[test]
fn a_body_without_encoding_is_the_text_itself() {
    for (body, text) in [(r#""[[], {}, {}]""#, "[[], {}, {}]"), (r#""a \"b\" \u00e9""#, "a \"b\" é")] {
        let opened = opened(&format!(r#"{{"body":{body},"headers":null,"properties":{{"priority":"3"}}}}"#));
        assert_eq!(&opened.message.body[..], text.as_bytes());
        assert_eq!((&opened.message.headers[..], opened.priority), (&b"{}"[..], Some(3)));
    }
}

#[test]
fn names_with_quotes_and_unicode_survive() {
    let message = Message::default();
    let sealed =
        seal(&message, Address { exchange: "a\"b", routing_key: "ü\u{6}\u{16}", ..address("d") }).unwrap();
    let opened = open(&sealed.into()).unwrap();
    assert_eq!((opened.exchange.as_str(), opened.routing_key.as_str()), ("a\"b", "ü\u{6}\u{16}"));
}

#[test]
fn what_went_back_is_marked_and_its_deaths_are_counted() {
    let again = readdress(CELERYS.as_bytes(), true, 2);
    let text = String::from_utf8(again.clone()).unwrap();
    assert!(text.contains(r#""stamps":{},"redelivered":true,"x-fastq-deaths":2}"#), "{text}");
    assert!(
        text.contains(r#""delivery_info":{"exchange":"","routing_key":"celery","redelivered":true}"#),
        "{text}"
    );
    let back = opened(&text);
    assert_eq!((back.redelivered, back.deaths), (true, 2));
    assert_eq!(back.message.body, opened(CELERYS).message.body);
    let third = opened(&String::from_utf8(readdress(&again, true, 3)).unwrap());
    assert_eq!((third.redelivered, third.deaths), (true, 3));
    let fresh = readdress(&again, false, 0);
    let (was, is): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(CELERYS).unwrap(), serde_json::from_slice(&fresh).unwrap());
    assert_eq!(was, is);
}

#[test]
fn what_kombu_restored_counts_as_redelivered() {
    for text in [
        r#"{"headers":{"redelivered":true},"properties":{}}"#,
        r#"{"headers":{},"properties":{"delivery_info":{"redelivered":true}}}"#,
    ] {
        assert!(opened(text).redelivered, "{text}");
    }
    assert!(!opened(r#"{"headers":{"redelivered":null}}"#).redelivered);
}

#[test]
fn what_is_no_envelope_is_a_decode_error_and_goes_back_unchanged() {
    for bytes in [
        &b""[..],
        b"[]",
        b"{",
        b"\xff",
        br#"{"body":3}"#,
        br#"{"body":"!","properties":{"body_encoding":"base64"}}"#,
    ] {
        assert_eq!(open(&Bytes::copy_from_slice(bytes)).unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(readdress(bytes, true, 1), bytes);
    }
}

#[test]
fn headers_that_are_no_object_cannot_be_sealed() {
    for headers in [&b"[]"[..], b"\xff not json", b"3", b"{"] {
        let message = Message { headers: Bytes::copy_from_slice(headers), ..Message::default() };
        assert_eq!(seal(&message, address("d")).unwrap_err().kind(), ErrorKind::Encode);
    }
}
