"""What a call becomes: headers, properties, body."""

from __future__ import annotations

import os
import re
import socket
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fastq._seam import Route
from fastq.exceptions import EncodeError

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.unit.app.conftest import Recorder

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OF_THIS_PROCESS = re.compile(UUID.pattern + f"-{os.getpid()}")


# The headers of protocol.md §1.1 in their order, as a call that asks for nothing has them.
GOLDEN = {
    "lang": "py",
    "task": "shop.add",
    "id": UUID,
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [None, None],
    "root_id": UUID,
    "parent_id": None,
    "argsrepr": "(1, 2)",
    "kwargsrepr": "{}",
    "origin": f"gen{os.getpid()}@{socket.gethostname()}",
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
}


def assert_golden(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, re.Pattern):
            assert value.fullmatch(found[name]), name
        else:
            assert found[name] == value, name
            assert type(found[name]) is type(value), name


def test_a_plain_call_has_every_standard_header_with_its_default(add: Any, recorder: Recorder) -> None:
    result = add.delay(1, 2)
    sent = recorder.last
    assert_golden(sent.headers, GOLDEN)
    assert sent.headers["root_id"] == sent.headers["id"] == result.id


def test_a_plain_call_has_the_properties_of_the_protocol(add: Any, recorder: Recorder) -> None:
    result = add.delay(1, 2)
    assert_golden(
        recorder.last.properties,
        {
            "correlation_id": result.id,
            "reply_to": OF_THIS_PROCESS,
            "delivery_mode": 2,
            "content_type": "application/json",
            "content_encoding": "utf-8",
        },
    )


def test_a_plain_call_goes_straight_to_the_default_queue(add: Any, recorder: Recorder) -> None:
    add.delay(1, 2)
    assert recorder.last.route == Route("", "celery", None, None)
    assert recorder.last.body == [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def test_options_become_headers(add: Any, recorder: Recorder) -> None:
    add.apply_async(
        (1,),
        {"y": 2},
        task_id="id-1",
        shadow="addition",
        group_id="g",
        group_index=3,
        retries=2,
        time_limit=10,
        soft_time_limit=5,
        root_id="r",
        parent_id="p",
        argsrepr="(hidden)",
        kwargsrepr="{hidden}",
        origin="me",
        ignore_result=True,
        replaced_task_nesting=1,
        stamped_headers=["tenant"],
        tenant=["a"],
        headers={"x-trace": "t"},
    )
    assert recorder.last.headers == {
        "lang": "py",
        "task": "shop.add",
        "id": "id-1",
        "shadow": "addition",
        "eta": None,
        "expires": None,
        "group": "g",
        "group_index": 3,
        "retries": 2,
        "timelimit": [10, 5],
        "root_id": "r",
        "parent_id": "p",
        "argsrepr": "(hidden)",
        "kwargsrepr": "{hidden}",
        "origin": "me",
        "ignore_result": True,
        "replaced_task_nesting": 1,
        "stamped_headers": ["tenant"],
        "stamps": {"tenant": ["a"]},
        "x-trace": "t",
    }
    assert "tenant" not in recorder.last.properties


def test_unknown_options_travel_as_properties(add: Any, recorder: Recorder) -> None:
    add.apply_async((1,), MessageGroupId="g1")
    assert recorder.last.properties["MessageGroupId"] == "g1"


def test_a_countdown_becomes_an_eta_in_utc_and_the_due_time_of_the_route(add: Any, recorder: Recorder) -> None:
    before = datetime.now(timezone.utc)
    add.apply_async((1,), countdown=60)
    eta = datetime.fromisoformat(recorder.last.headers["eta"])
    assert timedelta(seconds=60) <= eta - before < timedelta(seconds=90)
    assert recorder.last.route.due == pytest.approx(eta.timestamp())


def test_an_eta_without_a_zone_is_in_the_zone_of_the_app(recorder: Recorder, app: FastQ, add: Any) -> None:
    app.conf.timezone = "Europe/Paris"
    add.apply_async((1,), eta=datetime(2030, 1, 1, 12))  # noqa: DTZ001 - that is the point
    assert recorder.last.headers["eta"] == "2030-01-01T12:00:00+01:00"
    assert recorder.last.route.due == datetime(2030, 1, 1, 11, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize("countdown", [0, None])
def test_a_countdown_of_nothing_leaves_the_eta_as_it_is(add: Any, recorder: Recorder, countdown: Any) -> None:
    add.apply_async((1,), countdown=countdown, eta="2030-01-01T00:00:00Z")
    assert recorder.last.headers["eta"] == "2030-01-01T00:00:00Z"


def test_expires_also_limits_how_long_the_broker_keeps_the_message(add: Any, recorder: Recorder) -> None:
    add.apply_async((1,), expires=200)
    assert 199_000 < int(recorder.last.properties["expiration"]) <= 200_000
    assert recorder.last.headers["expires"].endswith("+00:00")


def test_what_has_expired_already_is_kept_for_no_time_and_the_log_says_so(
    add: Any, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    add.apply_async((1,), task_id="late", expires=datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith("Task late expires ")
    assert recorder.last.properties["expiration"] == "0"


def test_a_soft_limit_beyond_the_hard_one_is_refused(add: Any) -> None:
    with pytest.raises(ValueError, match="soft_time_limit"):
        add.apply_async((1,), time_limit=5, soft_time_limit=10)


def test_a_priority_is_in_the_route_and_in_the_properties(add: Any, recorder: Recorder) -> None:
    add.apply_async((1,), priority=7)
    assert (recorder.last.route.priority, recorder.last.properties["priority"]) == (7, 7)


def test_arguments_must_be_a_list_and_a_mapping(app: FastQ, add: Any) -> None:
    with pytest.raises(TypeError, match="list or tuple, not int"):
        app.send_task("other", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mapping, not list"):
        app.send_task("other", (), [1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ((), {}, "shop.add() missing 1 required positional argument: 'x'"),
        ((1, 2, 3), {}, "shop.add() takes from 1 to 2 positional arguments but 3 were given"),
        ((1,), {"z": 1}, "shop.add() got an unexpected keyword argument 'z'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_the_call(
    add: Any, recorder: Recorder, args: Any, kwargs: Any, sentence: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(sentence)):
        add.delay(*args, **kwargs)
    assert not recorder.messages


def test_arguments_are_not_checked_where_typing_is_off(app: FastQ, recorder: Recorder) -> None:
    @app.task(typing=False)
    def loose(x: int) -> None: ...

    loose.apply_async((1, 2, 3))
    assert recorder.last.body[0] == [1, 2, 3]


def test_the_shown_arguments_are_bounded(add: Any, recorder: Recorder) -> None:
    add.delay("x" * 5000, y=list(range(5000)))
    assert len(recorder.last.headers["argsrepr"]) <= 1024
    assert len(recorder.last.headers["kwargsrepr"]) <= 1024


def test_an_argument_that_cannot_be_written_is_an_encode_error(add: Any, recorder: Recorder) -> None:
    with pytest.raises(EncodeError):
        add.delay(object())
    assert not recorder.messages


def test_a_compressed_body_is_named_in_the_headers(add: Any, recorder: Recorder) -> None:
    import zlib

    add.apply_async((1, 2), compression="zlib")
    assert recorder.last.headers["compression"] == "application/x-gzip"
    assert orjson.loads(zlib.decompress(recorder.last.raw[2]))[0] == [1, 2]


def test_the_serializer_of_the_call_wins(add: Any, recorder: Recorder) -> None:
    add.apply_async((1, 2), serializer="pickle")
    assert recorder.last.properties["content_type"] == "application/x-python-serialize"
    assert recorder.last.properties["content_encoding"] == "binary"


def test_links_travel_in_the_body(add: Any, recorder: Recorder) -> None:
    add.apply_async((1, 2), link=add.s(3), link_error=[add.si(4)])
    embed = recorder.last.body[2]
    assert embed["callbacks"] == [
        {"task": "shop.add", "args": [3], "kwargs": {}, "options": {}, "subtask_type": None, "immutable": False}
    ]
    assert embed["errbacks"][0]["immutable"] is True
