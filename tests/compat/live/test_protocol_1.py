"""Messages of task protocol 1, which Celery sends when it is told to: fastq reads them as it reads the newer ones."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.compat.live import scenes
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.compat.live.told import Link

OLD = {"task_protocol": 1}
PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(params=[FASTQ, CELERY])
def runner(request: pytest.FixtureRequest) -> str:
    """Return who runs it: fastq, and Celery as the standard."""
    return str(request.param)


def do(town: Town, scene: Any, **arguments: Any) -> Any:
    return town.client(CELERY).do(scene, OLD, **arguments)


def test_the_messages_are_of_protocol_1(town: Town) -> None:
    do(town, scenes.send, task="live.who", args=(1,), queue="nobody")
    (envelope,) = town.redis("LRANGE", "nobody", "0", "-1")

    assert '"headers": {}' in envelope


def test_arguments_are_read(town: Town, runner: str) -> None:
    told = do(town, scenes.ask, task="live.describe", args=(1, "grün"), kwargs={"size": None}, queue=runner)

    assert (told.value["args"], told.value["kwargs"]) == ([1, "grün"], {"size": None})
    assert (told.value["id"], told.value["task"], told.value["retries"]) == (told.id, "live.describe", 0)


@pytest.mark.parametrize(
    "options", [{"serializer": "msgpack"}, {"serializer": "yaml"}, {"compression": "zlib"}], ids=repr
)
def test_a_body_that_only_python_can_read_is_kept_and_its_caller_told(town: Town, options: dict[str, Any]) -> None:
    told = do(town, scenes.ask, task="live.who", args=("x" * 300,), queue=FASTQ, **options)

    assert (told.state, told.raised.name) == ("FAILURE", "InvalidTaskError")
    assert "not a message of task protocol 2" in told.raised.text
    assert any(told.id in letter for letter in town.redis("LRANGE", "{fastq}:fastq:dead", "0", "-1"))


def test_an_unknown_task_fails_with_not_registered(town: Town) -> None:
    told = do(town, scenes.ask_by_name, task="live.nowhere", queue=FASTQ)

    assert (told.state, told.raised.name) == ("FAILURE", "NotRegistered")


def test_a_countdown_is_kept(town: Town, runner: str) -> None:
    due, told = do(town, scenes.ask_later, task="live.moment", queue=runner, seconds=0.3)

    assert told.value >= due - 0.002


def test_what_has_expired_is_not_run(town: Town, runner: str) -> None:
    told = do(town, scenes.ask, task="live.who", queue=runner, expires=PAST)

    assert (told.state, told.raised.name) == ("REVOKED", "TaskRevokedError")


def test_a_soft_time_limit_is_raised(town: Town, runner: str) -> None:
    told = do(town, scenes.ask, task="shop.wait", args=(30,), queue=runner, soft_time_limit=0.3)

    assert (told.state, told.raised.name) == ("FAILURE", "SoftTimeLimitExceeded")


def test_tries_and_callbacks_follow(town: Town, runner: str) -> None:
    name = uuid.uuid4().hex
    link = Link("live.note", (name,), {"queue": runner})
    told = do(town, scenes.ask_linked, task="live.again", args=(2,), queue=runner, links=[link])

    assert (told.state, told.value) == ("SUCCESS", [runner, 2])
    assert town.noted(name) == [f"{runner} {[runner, 2]} {name}"]


def test_an_errback_follows(town: Town, runner: str) -> None:
    name = uuid.uuid4().hex
    errlink = Link("live.alarm", (name,), {"queue": runner})
    told = do(town, scenes.ask_linked, task="shop.fail", args=("key",), queue=runner, links=[], errlinks=[errlink])

    assert town.noted(name) == [f"{runner} {told.id} {name}"]


def test_the_lowest_priority_number_goes_first(town: Town, runner: str) -> None:
    name = uuid.uuid4().hex
    do(town, scenes.send, task="live.hold", args=(name,), queue=runner)
    assert town.held(name) == runner
    do(town, scenes.occupy, queue=runner, levels=(9, 0))
    for level in (9, 0):
        do(town, scenes.send, task="live.note", args=(level, name), queue=runner, priority=level)
    town.release(name)

    assert town.noted(name, 3) == [f"{runner} {what} {name}" for what in ("holds", "0", "9")]
