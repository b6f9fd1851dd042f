"""What a call becomes: headers, properties, body, route."""

from __future__ import annotations

import os
import re
import socket
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from fastq import FastQ, signals
from fastq._seam import Route
from fastq.app import send
from fastq.app.context import Context
from fastq.exceptions import AlwaysEagerIgnored, EncodeError, NotSupported, OperationalError, QueueNotFound
from tests.unit.app.conftest import Recorder

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def add(app: FastQ) -> Any:
    @app.task(name="shop.add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    return add


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
            "reply_to": UUID,
            "delivery_mode": 2,
            "content_type": "application/json",
            "content_encoding": "utf-8",
        },
    )


def test_a_plain_call_goes_straight_to_the_default_queue(add: Any, recorder: Recorder) -> None:
    add.delay(1, 2)
    assert recorder.last.route == Route("", "celery", None, None)
    assert recorder.last.body == [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def test_the_short_cut_and_the_long_way_make_the_same_bytes(add: Any, recorder: Recorder) -> None:
    for args, kwargs in [((1, 2), {}), (('ü%b%"\\', 1), {}), ((), {"x": [1] * 3000}), ((1.5,), {"y": None})]:
        add.apply_async(args, kwargs)
        task_id = recorder.last.headers["id"]
        add.apply_async(args, kwargs, task_id=task_id)
        short, long = recorder.messages[-2:]
        assert short.raw == long.raw
        assert short.route == long.route


def test_the_short_cut_and_the_long_way_agree_inside_a_run(app: FastQ, add: Any, recorder: Recorder) -> None:
    add.push_request(id="parent", root_id="root", called_directly=False)
    add.delay(1, 2)
    add.apply_async((1, 2), task_id=recorder.last.headers["id"])
    children = add.request.children
    add.pop_request()
    short, long = recorder.messages
    assert short.raw == long.raw
    assert (short.headers["root_id"], short.headers["parent_id"]) == ("root", "parent")
    assert [child.id for child in children] == [short.headers["id"]] * 2


def test_a_run_without_a_root_is_the_root_of_what_it_sends(add: Any, recorder: Recorder) -> None:
    add.push_request(id="first", called_directly=False)
    add.delay(1)
    add.pop_request()
    assert recorder.last.headers["root_id"] == "first"


def test_a_task_called_as_a_function_is_no_parent(app: FastQ, add: Any, recorder: Recorder) -> None:
    @app.task
    def outer() -> None:
        add.delay(1)

    outer()
    assert recorder.last.headers["parent_id"] is None


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


def test_a_countdown_out_of_range_is_refused(add: Any) -> None:
    with pytest.raises(ValueError, match="countdown is out of range"):
        add.apply_async((1,), countdown=-(2**31) - 1)


def test_expires_also_limits_how_long_the_broker_keeps_the_message(add: Any, recorder: Recorder) -> None:
    add.apply_async((1,), expires=200)
    assert 199_000 < int(recorder.last.properties["expiration"]) <= 200_000
    assert recorder.last.headers["expires"].endswith("+00:00")


def test_what_has_expired_already_is_kept_for_no_time_with_a_warning(add: Any, recorder: Recorder) -> None:
    with pytest.warns(UserWarning, match="expired"):
        add.apply_async((1,), expires=datetime(2020, 1, 1, tzinfo=timezone.utc))
    assert recorder.last.properties["expiration"] == "0"


def test_a_soft_limit_beyond_the_hard_one_is_refused(add: Any) -> None:
    with pytest.raises(ValueError, match="soft_time_limit"):
        add.apply_async((1,), time_limit=5, soft_time_limit=10)


@pytest.mark.parametrize("priority", [-1, 256])
def test_a_priority_out_of_range_is_refused(add: Any, priority: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 255"):
        add.apply_async((1,), priority=priority)


def test_a_priority_is_in_the_route_and_in_the_properties(add: Any, recorder: Recorder) -> None:
    add.apply_async((1,), priority=7)
    assert (recorder.last.route.priority, recorder.last.properties["priority"]) == (7, 7)


def test_children_take_the_priority_of_their_parent_if_the_setting_says_so(
    app: FastQ, add: Any, recorder: Recorder
) -> None:
    app.conf.task_inherit_parent_priority = True
    add.push_request(id="p", called_directly=False, delivery_info={"priority": 6})
    add.delay(1)
    add.pop_request()
    assert recorder.last.route.priority == 6


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


def test_the_attributes_of_the_task_are_defaults_of_its_calls(app: FastQ, recorder: Recorder) -> None:
    @app.task(queue="slow", priority=3, time_limit=9, expires=50, ignore_result=True)
    def job() -> None: ...

    job.delay()
    sent = recorder.last
    assert sent.route == Route("", "slow", 3, None)
    assert sent.headers["timelimit"] == [9, None]
    assert sent.headers["expires"] is not None
    assert sent.headers["ignore_result"] is True


def test_send_task_uses_the_attributes_of_a_task_that_is_known_here(app: FastQ, recorder: Recorder) -> None:
    @app.task(name="known", queue="slow")
    def job() -> None: ...

    app.send_task("known")
    assert recorder.last.route.routing_key == "slow"
    assert recorder.last.headers["ignore_result"] is None


def test_a_changed_attribute_or_setting_counts_from_the_next_call(app: FastQ, add: Any, recorder: Recorder) -> None:
    add.delay(1)
    add.priority = 4
    add.delay(1)
    assert recorder.last.route.priority == 4
    app.conf.task_soft_time_limit = 8.0
    add.delay(1)
    assert recorder.last.headers["timelimit"] == [None, 8.0]


def test_a_handler_may_change_the_message_before_it_is_sent(add: Any, recorder: Recorder) -> None:
    def mark(sender: str, headers: dict[str, Any], body: Any, properties: Any, **_: Any) -> None:
        headers["x-seen"] = sender
        body[1]["y"] = 9
        properties["app_id"] = "a"

    signals.before_task_publish.connect(mark)
    try:
        add.delay(1)
    finally:
        signals.before_task_publish.disconnect(mark)
    assert recorder.last.headers["x-seen"] == "shop.add"
    assert recorder.last.body[1] == {"y": 9}
    assert recorder.last.properties["app_id"] == "a"


def test_a_handler_hears_of_what_was_sent(add: Any, recorder: Recorder) -> None:
    heard: list[Any] = []

    def hear(sender: str, headers: Any, body: Any, exchange: str, routing_key: str, **_: Any) -> None:
        heard.append((sender, headers["id"], exchange, routing_key, body[0]))

    signals.after_task_publish.connect(hear)
    try:
        result = add.delay(1)
    finally:
        signals.after_task_publish.disconnect(hear)
    assert heard == [("shop.add", result.id, "", "celery", (1,))]


def test_a_publish_that_fails_for_now_is_repeated(add: Any, recorder: Recorder) -> None:
    recorder.failures = [OperationalError("down"), OperationalError("down")]
    add.apply_async((1,), retry_policy={"interval_start": 0, "interval_step": 0})
    assert len(recorder.messages) == 1


def test_a_publish_is_not_repeated_when_the_call_says_so(add: Any, recorder: Recorder) -> None:
    recorder.failures = [OperationalError("down")]
    with pytest.raises(OperationalError):
        add.apply_async((1,), retry=False)


def test_a_publish_is_never_repeated_past_its_deadline(add: Any, recorder: Recorder) -> None:
    recorder.failures = [OperationalError("down")] * 10
    with pytest.raises(OperationalError):
        add.apply_async((1,), timeout=0.01, retry_policy={"interval_start": 5})
    assert len(recorder.failures) == 9


def test_a_producer_given_with_the_call_sends_it(add: Any, recorder: Recorder) -> None:
    other = Recorder()
    add.apply_async((1,), producer=other)
    assert (len(other.messages), len(recorder.messages)) == (1, 0)


def test_a_connection_is_refused(add: Any) -> None:
    with pytest.raises(NotSupported, match="connection"):
        add.apply_async((1,), connection=object())


def test_stamps_are_handed_on_to_what_a_run_sends(add: Any, recorder: Recorder) -> None:
    add.push_request(id="p", called_directly=False, stamped_headers=["tenant"], stamps={"tenant": ["a"]})
    add.delay(1)
    add.pop_request()
    assert recorder.last.headers["stamped_headers"] == ["tenant"]
    assert recorder.last.headers["stamps"] == {"tenant": ["a"]}


def test_the_origin_names_the_child_right_after_a_fork(add: Any, recorder: Recorder) -> None:
    add.delay(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        add.delay(1)
        os.write(writing, orjson.dumps([recorder.last.headers["origin"], recorder.last.properties["reply_to"]]))
        os._exit(0)
    os.waitpid(child, 0)
    origin, reply_to = orjson.loads(os.read(reading, 1000))
    assert origin == f"gen{child}@{socket.gethostname()}"
    assert reply_to != recorder.last.properties["reply_to"]


def test_compose_makes_the_message_and_sends_nothing(app: FastQ, add: Any, recorder: Recorder) -> None:
    message = send.compose(app, "shop.add", (1,), {"y": 2}, {"task_id": "i", "countdown": 5, "retries": 1})
    assert not recorder.messages
    headers = orjson.loads(message.headers)
    assert (headers["id"], headers["retries"]) == ("i", 1)
    assert message.route.due is not None
    send.publish(app, message)
    send.publish(app, [message, message])
    assert [sent.headers["id"] for sent in recorder.messages] == ["i", "i", "i"]


def test_an_unknown_queue_is_created(add: Any, recorder: Recorder) -> None:
    add.apply_async((1,), queue="new")
    assert recorder.last.route == Route("", "new")
    assert recorder.declared == []


def test_an_unknown_queue_is_refused_where_none_are_created(app: FastQ, add: Any) -> None:
    app.conf.task_create_missing_queues = False
    with pytest.raises(QueueNotFound, match="'new'"):
        add.apply_async((1,), queue="new")


def test_send_task_warns_that_it_ignores_eager_mode(app: FastQ, recorder: Recorder) -> None:
    app.conf.task_always_eager = True
    with pytest.warns(AlwaysEagerIgnored):
        app.send_task("other")
    assert len(recorder.messages) == 1


def test_eager_mode_runs_the_task_with_arguments_as_a_worker_would_get_them(app: FastQ, recorder: Recorder) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    def look(self: Any, value: Any) -> str:
        seen.append((value, self.request.called_directly))
        return "done"

    app.conf.task_always_eager = True
    result = look.delay((1, 2))
    assert (seen, result.get(), recorder.messages) == ([([1, 2], False)], "done", [])


def test_a_context_without_a_job_is_no_obstacle() -> None:
    assert Context().root_id is None
