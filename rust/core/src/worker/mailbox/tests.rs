use super::*;

const NODE: &str = "fastq@shop";
const NOW: WallTime = WallTime(1_000_000);
const KEEP: Duration = Duration::from_secs(3);
const UNTIL: WallTime = WallTime(1_003_000);

fn sent(body: &Value) -> Option<Request> {
    let message = Message {
        headers: json!({"clock": 3, "expires": 0}).to_string().into(),
        properties: "{}".into(),
        body: body.to_string().into(),
    };
    read(&message, NODE, NOW, KEEP)
}

fn command_of(method: &str, arguments: &Value) -> Option<Command> {
    sent(&json!({"method": method, "arguments": arguments, "destination": null}))
        .map(|request| request.command)
}

fn of_id(id: &str, terminate: Option<Signal>) -> Revocation {
    Revocation { target: Target::Id(id.into()), terminate, until: UNTIL }
}

#[test]
fn tasks_are_called_off_by_id_in_every_way_that_celery_writes() {
    let term = Some(Signal::SIGTERM);
    for (method, arguments, expected) in [
        ("revoke", json!({"task_id": "1", "terminate": false, "signal": "SIGTERM"}), vec![of_id("1", None)]),
        ("revoke", json!({"task_id": ["1", "2"]}), vec![of_id("1", None), of_id("2", None)]),
        ("revoke", json!({"task_id": ["1"], "terminate": true, "signal": null}), vec![of_id("1", term)]),
        (
            "revoke",
            json!({"task_id": "1", "terminate": true, "signal": 9}),
            vec![of_id("1", Some(Signal::SIGKILL))],
        ),
        ("terminate", json!({"task_id": "1", "signal": "TERM"}), vec![of_id("1", term)]),
    ] {
        assert_eq!(command_of(method, &arguments), Some(Command::Revoke(expected)), "{arguments}");
    }
    let error = command_of("revoke", &json!({"task_id": "1", "terminate": true, "signal": "SIGNAL"}));
    assert!(matches!(error, Some(Command::Impossible(sentence)) if sentence.contains("no such signal")));
}

#[test]
fn tasks_are_called_off_by_stamps() {
    let stamp = |header: &str, value: Value| Revocation {
        target: Target::Stamp { header: header.into(), value: value.to_string() },
        terminate: Some(Signal::SIGTERM),
        until: UNTIL,
    };
    for (headers, expected) in [
        (json!({"a": "x"}), vec![stamp("a", json!("x"))]),
        (json!({"a": [1, "x"]}), vec![stamp("a", json!(1)), stamp("a", json!("x"))]),
        (json!(["a=x", "b=y=z", "c"]), vec![stamp("a", json!("x")), stamp("b", json!("y=z"))]),
    ] {
        let found = command_of("revoke_by_stamped_headers", &json!({"headers": headers, "terminate": true}));
        assert_eq!(found, Some(Command::RevokeByStamps(expected, headers)));
    }
}

#[test]
fn what_is_not_meant_for_this_worker_is_passed_over() {
    let to = |more: &Value| {
        let mut body = json!({"method": "ping", "arguments": {}});
        let pairs = more.as_object().cloned().unwrap_or_default();
        body.as_object_mut().unwrap().extend(pairs);
        sent(&body).is_some()
    };
    assert!(to(&json!({})) && to(&json!({"destination": [NODE, "other"]})));
    assert!(!to(&json!({"destination": ["other"]})) && !to(&json!({"destination": []})));
    assert!(to(&json!({"pattern": "fastq@*"})) && to(&json!({"pattern": "*shop", "matcher": "glob"})));
    assert!(to(&json!({"pattern": "^fastq@(shop|bar)$", "matcher": "pcre"})));
    assert!(!to(&json!({"pattern": "celery@*"})) && !to(&json!({"pattern": "fastq@$", "matcher": "pcre"})));
    assert_eq!(command_of("shutdown", &json!({})), None);
    for body in ["", "[]", "{}", r#"{"method": 7}"#] {
        assert_eq!(
            read(&Message { body: body.into(), ..Message::default() }, NODE, NOW, KEEP),
            None,
            "{body}"
        );
    }
    let late = Message {
        headers: json!({"expires": 999.0}).to_string().into(),
        body: json!({"method": "ping"}).to_string().into(),
        ..Message::default()
    };
    assert_eq!(read(&late, NODE, NOW, KEEP), None, "nobody waits for it any more");
}

#[test]
fn a_command_whose_receivers_cannot_be_told_is_answered_with_the_reason() {
    for (pattern, matcher, reason) in
        [("*", "sql", "no matcher of that name"), ("(", "pcre", "no regular expression")]
    {
        let request = sent(&json!({"method": "ping", "pattern": pattern, "matcher": matcher})).unwrap();
        let Command::Impossible(sentence) = request.command else { panic!("{matcher} was obeyed") };
        assert!(sentence.contains(reason), "{sentence}");
        let other =
            json!({"method": "ping", "pattern": pattern, "matcher": matcher, "destination": ["other"]});
        assert!(sent(&other).is_none(), "others are meant");
    }
}

#[test]
fn who_waits_for_an_answer_gets_it_under_the_name_of_the_worker() {
    let body =
        json!({"method": "ping", "ticket": "t", "reply_to": {"exchange": "reply.x", "routing_key": "key"}});
    let reply_to = sent(&body).unwrap().reply_to.unwrap();
    let Word::Answer { exchange, routing_key, message } = reply_to.answer(NODE, &json!({"ok": "pong"}))
    else {
        panic!("no answer")
    };
    assert_eq!((exchange.as_str(), routing_key.as_str()), ("reply.x", "key"));
    assert_eq!(serde_json::from_slice::<Value>(&message.headers).unwrap()["ticket"], "t");
    assert_eq!(serde_json::from_slice::<Value>(&message.body).unwrap(), json!({NODE: {"ok": "pong"}}));
    assert_eq!(sent(&json!({"method": "ping", "ticket": "t"})).unwrap().reply_to, None);
}
