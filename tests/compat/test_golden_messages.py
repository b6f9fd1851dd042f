"""Messages: what Celery sent is read as it was meant, and the same call makes the same message."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from fastq.app import send
from fastq.app.context import STANDARD_HEADERS, Context
from fastq.execute.arguments import reader
from fastq.serialization import content_type_of
from tests.compat.calls import CALLS, NESTED, NUMBERS, TYPED, UNICODE, WORKFLOWS, Call
from tests.compat.compare import compare
from tests.compat.recordings import VERSIONS, Envelope, open_recording
from tests.compat.support import ACCEPTED, WireJob, open_shop

BY_VERSION = [pytest.param(version, call, id=f"{version}-{call.name}") for version in VERSIONS for call in CALLS]
ALL_BY_VERSION = BY_VERSION + [
    pytest.param(version, call, id=f"{version}-{call.name}") for version in VERSIONS for call in WORKFLOWS
]

WITHOUT_TUPLES = {**TYPED, "tuple": [1, [2, 3]]}
READ: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "plain": ([1, 2], {}),
    "arguments-none": ([], {}),
    "arguments-keyword": ([1], {"colour": "red", "size": None}),
    "arguments-nested": ([json.loads(json.dumps(NESTED))], {"nested": json.loads(json.dumps(NESTED))}),
    "arguments-unicode": (UNICODE, {"ü": "ü"}),
    "arguments-numbers": (NUMBERS, {}),
    "arguments-typed": ([list(WITHOUT_TUPLES.values())], WITHOUT_TUPLES),
    "arguments-keys": ([{"7": "a", "null": "b", "true": "c", "2.5": "d"}], {}),
    "compression-zlib": (["x" * 500], {}),
    "compression-bzip2": (["x" * 500], {}),
    "compression-lzma": (["x" * 500], {}),
    "compression-zstd": (["x" * 500], {}),
    "compression-brotli": (["x" * 500], {}),
    "compressed-msgpack": (["x" * 500], {}),
    "serializer-json": ([1, "grün", [1.5, None, True]], {"map": {"a": -1}}),
    "serializer-msgpack": ([1, "grün", [1.5, None, True]], {"map": {"a": -1}}),
    "serializer-yaml": ([1, "grün", [1.5, None, True]], {"map": {"a": -1}}),
    "serializer-pickle": ([1, "grün", [1.5, None, True]], {"map": {"a": -1}}),
    "serializer-msgpack-bytes": ([b"\xff\x00", "text", {"k": b""}], {}),
    "serializer-pickle-types": ([TYPED["datetime"], TYPED["decimal"].__class__("1.5"), {1, 2}, (3,)], {}),
    "serializer-yaml-types": ([TYPED["date"], TYPED["datetime"]], {}),
}
"""What the arguments were."""

LEFT_OPEN = ("by-name", "by-name-known")
"""Calls that leave it to the task whether there is a result: 5.7 says null, 5.6 false, and fastq does as 5.7."""

FOR_PEOPLE = {"argsrepr", "kwargsrepr"}
SHOWN_OTHERWISE = {
    "arguments-long", "arguments-many", "arguments-nested", "arguments-typed", "arguments-unicode",
    "serializer-msgpack-bytes",
}  # fmt: skip
"""Calls whose representations differ: fastq's are Python's own, escapes included, and never above 1024 characters.
Celery shows controls as they are and bytes as text or hexadecimal, and ends up to eleven characters later."""


SERIALIZERS = {content_type_of(name): name for name in ACCEPTED}


def test_every_call_was_recorded_with_every_version() -> None:
    for version in VERSIONS:
        for call in (*CALLS, *WORKFLOWS):
            assert open_recording(version, f"message-{call.name}").envelopes


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", READ)
def test_arguments_are_read_as_they_were_given(version: str, name: str) -> None:
    (envelope,) = open_recording(version, f"message-{name}").envelopes

    args, kwargs, _ = _read(envelope)

    assert (args, kwargs) == READ[name]
    assert [type(value) for value in args] == [type(value) for value in READ[name][0]]


@pytest.mark.parametrize("version", VERSIONS)
def test_numbers_that_are_none_are_read(version: str) -> None:
    (envelope,) = open_recording(version, "message-arguments-nan").envelopes

    (nothing, infinities), _, _ = _read(envelope)

    assert math.isnan(nothing)
    assert infinities == [math.inf, -math.inf]


@pytest.mark.parametrize(("version", "call"), ALL_BY_VERSION)
def test_the_request_says_what_the_headers_say(version: str, call: Call) -> None:
    for envelope in open_recording(version, f"message-{call.name}").envelopes:
        request = Context.from_job(WireJob(envelope), "w@host")  # type: ignore[arg-type]
        headers, properties = envelope.headers, envelope.document["properties"]

        for name, value in headers.items():
            assert getattr(request, name) == (bool(value) if name == "ignore_result" else value)
        assert request.reply_to == properties["reply_to"]
        assert request.correlation_id == headers["id"]
        assert request.delivery_info == {
            **properties["delivery_info"],
            "priority": properties["priority"],
            "redelivered": False,
        }


@pytest.mark.parametrize(("version", "call"), BY_VERSION)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_same_call_makes_the_same_message(version: str, call: Call) -> None:
    (theirs,) = open_recording(version, f"message-{call.name}").envelopes
    with open_shop(now=theirs.sent_at) as (shop, sent):
        call.send(shop)
    (ours,) = sent.messages

    differently = {"ignore_result": None} if call.name in LEFT_OPEN else {}
    compare(ours, theirs, differently, FOR_PEOPLE if call.name in SHOWN_OTHERWISE else set())


@pytest.mark.parametrize("name", sorted(SHOWN_OTHERWISE))
def test_representations_are_short_and_those_of_python(name: str) -> None:
    call = next(call for call in CALLS if call.name == name)
    with open_shop() as (shop, sent):
        call.send(shop)
    headers = json.loads(sent.messages[0].headers)

    for shown in (headers["argsrepr"], headers["kwargsrepr"]):
        assert len(shown) <= 1024
        assert shown.isprintable()


@pytest.mark.parametrize(("version", "call"), ALL_BY_VERSION)
def test_a_message_is_made_again_from_its_parts(version: str, call: Call) -> None:
    for theirs in open_recording(version, f"message-{call.name}").envelopes:
        with open_shop(now=theirs.sent_at) as (shop, _):
            args, kwargs, embed = _read(theirs)
            ours = send.compose(shop.app, theirs.headers["task"], args, kwargs, _options(theirs, embed))

        # What a worker sends for a task it knows says what the task says.
        left_open = call.name == "by-name-known" and theirs.headers["ignore_result"] is None
        differently = {"ignore_result": True} if left_open else {}
        compare(ours, theirs, differently)


def _read(envelope: Envelope) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    with open_shop() as (shop, _):
        return reader(shop.app)(WireJob(envelope))  # type: ignore[arg-type]


def _options(envelope: Envelope, embed: dict[str, Any]) -> dict[str, Any]:
    """Return the calling options that lead to these headers and properties."""
    headers, properties = envelope.headers, envelope.properties
    hard, soft = headers["timelimit"]
    named = {"lang", "task", "id", "group", "timelimit", "stamps", "compression"}
    stamps = headers["stamps"]
    return {
        **{key: headers[key] for key in STANDARD_HEADERS - named},
        **{key: value for key, value in properties.items() if key not in ("correlation_id", "expiration")},
        "headers": {key: value for key, value in headers.items() if key not in STANDARD_HEADERS | {"compression"}},
        "task_id": headers["id"],
        "group_id": headers["group"],
        "time_limit": hard,
        "soft_time_limit": soft,
        "ignore_result": headers["ignore_result"],
        "expires": headers["expires"],
        **stamps,
        "queue": envelope.document["properties"]["delivery_info"]["routing_key"],
        "priority": envelope.priority,
        "serializer": SERIALIZERS[envelope.content[0]],
        "compression": headers.get("compression"),
        "link": embed["callbacks"],
        "link_error": embed["errbacks"],
        "chain": embed["chain"],
        "chord": embed["chord"],
    }
