"""Calls across: arguments, formats, and what the options of a call ask for."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.compat.calls import NESTED, NUMBERS, TYPED, UNICODE
from tests.compat.live import scenes
from tests.compat.live.conftest import Way
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.support.wait import wait_for

COMPRESSIONS = (None, "zlib", "bzip2", "lzma", "zstd", "brotli")
VALUES: dict[str, Any] = {
    "text": UNICODE,
    "numbers": NUMBERS,
    "nested": NESTED,
    "types": TYPED,
    "nothing": None,
    "much": ["x" * 1000] * 300,
}
OTHER_RUN = {"id", "root_id", "correlation_id", "origin", "reply_to"}
"""What every call has of its own."""


@pytest.mark.parametrize("name", VALUES)
def test_a_value_goes_there_and_back(way: Way, name: str) -> None:
    told = way.client.do(scenes.ask, task="live.who", args=(VALUES[name],), queue=way.queue)

    assert told.state == "SUCCESS"
    assert told.value == [way.runner, _listed(VALUES[name])]


@pytest.mark.parametrize("serializer", ["json", "msgpack", "yaml"])
def test_every_format_is_read_compressed_or_not(way: Way, serializer: str) -> None:
    value = {"text": "grün", "list": [1, 2.5, None, True], "much": "x" * 500}

    for compression in COMPRESSIONS:
        told = way.client.do(
            scenes.ask,
            task="live.who",
            args=(value,),
            queue=way.queue,
            serializer=serializer,
            compression=compression,
        )
        assert told.value == [way.runner, value], compression


def test_a_run_is_told_the_same_of_its_message_by_both(town: Town) -> None:
    options = {
        "shadow": "described", "headers": {"tenant": "acme"}, "priority": 4, "time_limit": 60, "soft_time_limit": 50,
        "group_id": "g-1", "group_index": 2, "parent_id": "p-1", "root_id": "r-1", "expires": "2037-05-06T07:08:09Z",
        "stamped_headers": ["order"], "order": ["o-1"], "reply_to": "answers",
    }  # fmt: skip
    arguments = {"args": (1, "grün"), "kwargs": {"size": None}}

    for caller in (CELERY, FASTQ):
        for extra in (options, {}):
            by_celery, by_fastq = (
                town.client(caller).do(scenes.ask, task="live.describe", queue=runner, **arguments, **extra)
                for runner in (CELERY, FASTQ)
            )
            for told in (by_celery, by_fastq):
                assert told.value["id"] == told.value["correlation_id"] == told.id
                assert told.value["delivery_info"].pop("routing_key") in (CELERY, FASTQ)
            assert _without(by_celery.value, OTHER_RUN) == _without(by_fastq.value, OTHER_RUN)


def test_messages_of_both_callers_say_the_same(town: Town) -> None:
    for runner in (CELERY, FASTQ):
        by_celery, by_fastq = (
            town.client(caller).do(scenes.ask, task="live.describe", args=(1,), queue=runner, priority=3, shadow="s")
            for caller in (CELERY, FASTQ)
        )
        assert _without(by_celery.value, OTHER_RUN) == _without(by_fastq.value, OTHER_RUN)
        assert set(by_celery.value) == set(by_fastq.value)


def test_a_call_by_name_reaches_a_task_that_the_caller_does_not_know(way: Way) -> None:
    told = way.client.do(scenes.ask_by_name, task="live.who", args=("by name",), queue=way.queue)

    assert told.value == [way.runner, "by name"]


def test_an_unknown_task_fails_with_not_registered(way: Way) -> None:
    told = way.client.do(scenes.ask_by_name, task="live.nowhere", queue=way.queue)

    assert (told.state, told.raised.module, told.raised.name) == (
        "FAILURE",
        f"{way.caller}.exceptions",
        "NotRegistered",
    )
    assert told.raised.args == ("live.nowhere",)


def test_wrong_arguments_fail_with_a_type_error(way: Way) -> None:
    told = way.client.do(scenes.ask_by_name, task="shop.add", args=(1, 2, 3, 4), queue=way.queue)

    assert (told.state, told.raised.module, told.raised.name) == ("FAILURE", "builtins", "TypeError")
    assert "takes from 1 to 2 positional arguments but 4 were given" in told.raised.text


def test_a_result_that_is_ignored_is_not_stored(way: Way) -> None:
    name = uuid.uuid4().hex
    task_id = way.client.do(scenes.send, task="live.note", args=(name,), queue=way.queue, ignore_result=True)
    assert way.town.noted(name) == [f"{way.runner} {name}"]
    # What this worker does next comes after the end of that run.
    assert way.client.do(scenes.ask, task="live.who", queue=way.queue).state == "SUCCESS"

    assert way.client.do(scenes.look, task_id=task_id, fields=("state", "result")) == ["PENDING", None]


def test_a_countdown_is_kept(way: Way) -> None:
    due, told = way.client.do(scenes.ask_later, task="live.moment", queue=way.queue, seconds=0.5)

    # Celery's timer counts whole milliseconds.
    assert told.value >= due - 0.002


def test_what_is_due_in_an_hour_reaches_a_worker_of_either(way: Way) -> None:
    name = uuid.uuid4().hex
    way.client.do(scenes.send, task="live.note", args=(name,), queue=way.queue, countdown=3600)

    wait_for(lambda: _is_kept(way, name), f"the worker of {way.runner} to keep what is not due")
    assert name not in " ".join(way.town.notes)


def test_what_has_expired_is_not_run(way: Way) -> None:
    name = uuid.uuid4().hex
    # RabbitMQ drops it when no consumer is free at that moment, and then nobody is told: so it is sent once more.
    for _ in range(3):
        told = way.client.do(
            scenes.ask, task="live.note", args=(name,), queue=way.queue, expires="2020-01-01T00:00:00+00:00"
        )
        if told.state != "PENDING":
            break

    assert (told.state, told.raised.module, told.raised.name) == (
        "REVOKED",
        f"{way.caller}.exceptions",
        "TaskRevokedError",
    )
    assert told.raised.args == ("expired",)
    assert name not in " ".join(way.town.notes)


def test_what_does_not_expire_yet_is_run(way: Way) -> None:
    told = way.client.do(scenes.ask, task="live.who", args=(1,), queue=way.queue, expires=300)

    assert told.value == [way.runner, 1]


def test_the_lowest_priority_number_goes_first(way: Way) -> None:
    name, levels = uuid.uuid4().hex, (9, 6, 0, 3)
    way.client.do(scenes.send, task="live.hold", args=(name,), queue=way.queue)
    assert way.town.held(name) == way.runner
    way.client.do(scenes.occupy, queue=way.queue, levels=levels)
    for level in levels:
        way.client.do(scenes.send, task="live.note", args=(level, name), queue=way.queue, priority=level)
    way.town.release(name)

    _, *order = way.town.noted(name, 5)
    assert order == [f"{way.runner} {level} {name}" for level in (0, 3, 6, 9)]


def _is_kept(way: Way, name: str) -> bool:
    """Tell whether a message that is not due was taken out of its queue, by the worker, and lies safe."""
    waiting = way.town.redis("LRANGE", way.queue, "0", "-1")
    if any(name in text for text in waiting):
        return False
    if way.runner == CELERY:
        return any(name in text for text in way.town.redis("HVALS", "unacked"))
    # Where workers of fastq put what is not due.
    return any(name in text for text in way.town.redis("ZRANGE", f"{{{way.queue}}}:fastq:delayed", "0", "-1"))


def _listed(value: Any) -> Any:
    """Return a value with lists in place of tuples, as JSON gives it back."""
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return {key: _listed(item) for key, item in value.items()} if isinstance(value, dict) else value


def _without(fields: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}
