"""Sending: what a call inherits, and what happens to its message."""

from __future__ import annotations

import os
import socket
import warnings
from typing import Any

import orjson
import pytest

from fastq import FastQ, signals
from fastq._seam import Route
from fastq.app import send
from fastq.app.context import Context
from fastq.exceptions import (
    AlwaysEagerIgnored,
    ImproperlyConfigured,
    NotSupported,
    OperationalError,
    QueueNotFound,
    TimeoutError,  # noqa: A004 - it is the built-in too
)
from tests.unit.app.conftest import Recorder


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


def test_children_take_the_priority_of_their_parent_if_the_setting_says_so(
    app: FastQ, add: Any, recorder: Recorder
) -> None:
    app.conf.task_inherit_parent_priority = True
    add.push_request(id="p", called_directly=False, delivery_info={"priority": 6})
    add.delay(1)
    add.pop_request()
    assert recorder.last.route.priority == 6


def test_the_attributes_of_the_task_are_defaults_of_its_calls(app: FastQ, recorder: Recorder) -> None:
    @app.task(queue="slow", priority=3, time_limit=9, expires=50, ignore_result=True)
    def job() -> None: ...

    job.delay()
    sent = recorder.last
    assert sent.route == Route("", "slow", 3, None)
    assert sent.headers["timelimit"] == [9, None]
    assert sent.headers["expires"] is not None
    assert sent.headers["ignore_result"] is True


def test_the_exchange_of_a_task_has_the_type_it_says(app: FastQ, recorder: Recorder) -> None:
    app.task(name="told", exchange_type="fanout")(lambda: None)
    app.send_task("told")
    assert recorder.messages[0].route == Route("celery", "celery")


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


def test_a_broker_that_does_not_answer_in_time_cannot_be_reached(add: Any, recorder: Recorder) -> None:
    recorder.failures = [TimeoutError("no answer"), TimeoutError("no answer again")]
    with pytest.raises(OperationalError, match="no answer again") as caught:
        add.apply_async((1,), retry_policy={"max_retries": 1})
    assert isinstance(caught.value.__cause__, TimeoutError)
    recorder.failures = [TimeoutError("no answer")]
    with pytest.raises(OperationalError, match="no answer"):
        add.apply_async((1,), retry=False)


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, from Python 3.12 on
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


@pytest.mark.parametrize(
    ("settings", "setting", "url"),
    [
        ({"broker": "redis+nope://u:hunter2@h"}, "broker_url", "redis+nope://u:********@h"),
        ({"broker": "rpc://u:hunter2@h"}, "broker_url", "rpc://u:********@h"),
        ({"broker": "memory://", "broker_write_url": "nonsense"}, "broker_write_url", "nonsense"),
    ],
)
def test_a_broker_that_cannot_be_used_is_named_with_its_setting(
    settings: dict[str, Any], setting: str, url: str
) -> None:
    with pytest.raises((ImproperlyConfigured, NotSupported)) as caught:
        FastQ("shop", set_as_current=False, **settings).send_task("x")
    assert str(caught.value).startswith(f"{setting} is {url!r}, ")
    assert "hunter2" not in str(caught.value)
