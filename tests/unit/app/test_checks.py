"""Options that cannot work are refused where they are written, and nothing is sent."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from fastq.app.checks import check_settings
from fastq.exceptions import ImproperlyConfigured, SerializerNotInstalled
from fastq.serialization import registry

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.unit.app.conftest import Recorder

WRONG = [
    ({"time_limit": "x"}, TypeError, "a number of seconds"),
    ({"soft_time_limit": []}, TypeError, "a number of seconds"),
    ({"time_limit": -1}, ValueError, "a number of seconds, 0 or more"),
    ({"time_limit": float("nan")}, ValueError, "a number of seconds"),
    ({"task_id": 5}, TypeError, "text or a UUID"),
    ({"queue": 5}, TypeError, "a name, or a Queue"),
    ({"exchange": 5}, TypeError, "a name, or an Exchange"),
    ({"routing_key": 5}, TypeError, "text"),
    ({"countdown": "5"}, TypeError, "a number of seconds"),
    ({"countdown": -(2**31) - 1}, ValueError, "a number of seconds, from -2147483648 to"),
    ({"countdown": 1e300}, ValueError, "a number of seconds, from -2147483648 to"),
    ({"eta": 5}, TypeError, "a datetime, or its ISO 8601 text"),
    ({"eta": "tomorrow"}, ValueError, "a datetime, or its ISO 8601 text"),
    ({"priority": "high"}, TypeError, "an integer from 0 to 255"),
    ({"priority": 300}, ValueError, "an integer from 0 to 255"),
    ({"priority": -1}, ValueError, "an integer from 0 to 255"),
    ({"expires": object()}, TypeError, "a number of seconds, a datetime, or its ISO 8601 text"),
    ({"expires": "soon"}, ValueError, "a number of seconds, a datetime, or its ISO 8601 text"),
    ({"expires": float("inf")}, ValueError, "a number of seconds"),
    ({"serializer": "nope"}, ValueError, "the name of a serializer: json, msgpack, pickle, raw, yaml"),
    ({"serializer": 5}, TypeError, "the name of a serializer"),
    ({"compression": "nope"}, ValueError, "the name of a compression: brotli, bzip"),
    ({"delivery_mode": 3}, ValueError, "1 or 'transient', 2 or 'persistent'"),
    ({"headers": 5}, TypeError, "a mapping"),
    ({"retry_policy": 5}, TypeError, "a mapping"),
    ({"timeout": "x"}, TypeError, "a number of seconds"),
    ({"expiration": "5"}, TypeError, "a number of seconds"),
]


@pytest.mark.parametrize(("options", "error", "allowed"), WRONG)
def test_a_wrong_option_is_refused_at_the_call(
    add: Any, app: FastQ, recorder: Recorder, options: dict[str, Any], error: type[Exception], allowed: str
) -> None:
    ((name, value),) = options.items()
    for send in (
        add.apply_async,
        add.s(1).apply_async,
        lambda args=(), **how: app.send_task("else.where", args, **how),
    ):
        with pytest.raises(error) as caught:
            send((1,), **options)
        assert f"The option {name} must be {allowed}" in str(caught.value)
        assert repr(value)[:20] in str(caught.value)
    assert recorder.messages == []


def test_a_wrong_option_is_refused_by_tasks_that_run_at_once_too(add: Any, app: FastQ) -> None:
    app.conf.task_always_eager = True

    with pytest.raises(TypeError, match="option countdown"):
        add.apply_async((1,), countdown="5")


def test_a_uuid_is_an_id(add: Any, recorder: Recorder) -> None:
    task_id = uuid.uuid4()

    assert add.apply_async((1,), task_id=task_id).id == str(task_id)
    assert recorder.last.headers["id"] == recorder.last.properties["correlation_id"] == str(task_id)


def test_what_says_nothing_is_no_wrong_option(add: Any, recorder: Recorder) -> None:
    nothing: dict[str, Any] = dict.fromkeys((name for options, _, _ in WRONG for name in options), None)
    add.apply_async((1,), **nothing)
    add.apply_async((1,), **dict.fromkeys(("task_id", "queue", "compression", "eta"), ""), countdown=0)
    add.apply_async((1,), expires=timedelta(seconds=5), priority=True)

    assert len(recorder.messages) == 3


def test_an_unknown_serializer_is_still_celerys_error(add: Any) -> None:
    with pytest.raises(SerializerNotInstalled):
        add.apply_async((1,), serializer="nope")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("time_limit", "x"),
        ("soft_time_limit", "x"),
        ("priority", 300),
        ("expires", object()),
        ("queue", 5),
        ("max_retries", "x"),
        ("default_retry_delay", "x"),
        ("retry_backoff", "x"),
        ("rate_limit", "many"),
        ("name", 5),
    ],
)
def test_a_wrong_option_is_refused_where_the_task_is_declared(app: FastQ, option: str, value: object) -> None:
    def add() -> None:
        """Do nothing."""

    with pytest.raises((TypeError, ValueError), match=f"The option {option} of task add must be "):
        app.task(**{option: value})(add)


def test_a_soft_limit_beyond_the_hard_one_is_refused_where_the_task_is_declared(app: FastQ) -> None:
    with pytest.raises(ValueError, match=r"Task add: soft_time_limit \(9 s\) must not be longer than time_limit"):

        @app.task(time_limit=5, soft_time_limit=9)
        def add() -> None:
            """Do nothing."""


def test_what_is_set_on_a_task_later_is_refused_at_the_call_in_the_tasks_name(add: Any, recorder: Recorder) -> None:
    add.time_limit = "x"

    with pytest.raises(TypeError, match=r"The option time_limit of task shop\.add must be a number"):
        add.delay(1)
    assert recorder.messages == []


def test_a_wrong_route_is_refused_at_the_call(add: Any, app: FastQ) -> None:
    app.conf.task_routes = {"shop.add": {"priority": "high"}}

    with pytest.raises(TypeError, match="option priority must be an integer"):
        add.delay(1)
    with pytest.raises(TypeError, match="option priority must be an integer"):
        add.apply_async((1,), countdown=5)


def test_a_serializer_that_is_not_there_is_said_of_its_setting(add: Any, app: FastQ, recorder: Recorder) -> None:
    app.conf.task_serializer = "foo"

    with pytest.raises(ValueError, match="The setting task_serializer must be the name of a serializer"):
        add.delay(1)
    with pytest.raises(ImproperlyConfigured, match="The setting task_serializer must be the name of a serializer"):
        app.send_task("else.where")
    assert recorder.messages == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("task_serializer", "foo"),
        ("result_serializer", "foo"),
        ("accept_content", ["json", "foo"]),
        ("result_accept_content", ["foo"]),
        ("task_compression", "foo"),
        ("result_compression", "foo"),
    ],
)
def test_a_worker_does_not_start_with_a_name_that_means_nothing(app: FastQ, setting: str, value: object) -> None:
    app.conf[setting] = value

    with pytest.raises(ImproperlyConfigured, match=f"The setting {setting} must be .*; not 'foo'"):
        app.import_default_modules()


def test_names_that_a_module_of_the_workers_registers_are_good(app: FastQ) -> None:
    registry.register("foo", repr, eval, "application/x-foo")
    try:
        app.conf.update(task_serializer="foo", accept_content=["foo", "application/x-bar"], result_compression="zlib")
        app.import_default_modules()
        check_settings(app.conf)
    finally:
        registry.unregister("foo")


def test_a_wrong_countdown_of_a_retry_is_refused_in_the_run(app: FastQ) -> None:
    @app.task(bind=True, name="shop.again")
    def again(self: Any) -> None:
        self.retry(countdown="5")

    with pytest.raises(TypeError, match="option countdown"):
        again.apply(throw=True)
