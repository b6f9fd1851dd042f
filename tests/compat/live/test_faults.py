"""Workers that die: what they held is run by those who are left, of either library."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.support.wait import wait_for


@pytest.fixture(scope="module")
def town(open_town: OpenTown) -> Iterator[Town]:
    """Return a town in which every test starts its own workers."""
    with open_town(workers=False) as town:
        yield town


@pytest.fixture
def queue(town: Town) -> Iterator[str]:
    """Return a queue of this test's own, whose workers are killed at its end."""
    yield uuid.uuid4().hex
    for library in (CELERY, FASTQ):
        for worker in town.workers(library):
            worker.kill()


def begin(town: Town, library: str, queue: str, settings: dict[str, Any] | None = None) -> Any:
    worker = town.start(library, queue, settings)
    worker.wait_until_ready()
    return worker


def hold(town: Town, queue: str, **options: Any) -> tuple[str, str]:
    """Have a task held on a queue; return its id and its name."""
    name = uuid.uuid4().hex
    task_id = town.client(CELERY).do(scenes.send, task="live.hold", args=(name,), queue=queue, **options)
    town.held(name)
    return task_id, name


def age(town: Town, seconds: float) -> None:
    """Make everything that workers of Celery hold look older."""
    for tag in town.redis("ZRANGE", "unacked_index", "0", "-1"):
        town.redis("ZINCRBY", "unacked_index", str(-seconds), tag)


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_what_a_killed_worker_of_fastq_ran_is_run_by_another(town: Town, queue: str, caller: str) -> None:
    first = begin(town, FASTQ, queue)
    task_id, name = hold(town, queue)
    first.kill()
    town.release(name)
    begin(town, FASTQ, queue)

    assert town.client(caller).do(scenes.ended, task_id=task_id).value == FASTQ
    assert len(town.noted(f"holds {name}", 2)) == 2


def test_what_a_killed_worker_of_fastq_held_is_run_by_celery(town: Town, queue: str) -> None:
    first = begin(town, FASTQ, queue)
    task_id, name = hold(town, queue)
    begin(town, FASTQ, f"{queue}-other")  # takes nothing from that queue, and looks after the dead of all
    begin(town, CELERY, queue)
    first.kill()
    town.release(name)

    assert town.client(FASTQ).do(scenes.ended, task_id=task_id).value == CELERY


def test_what_a_killed_worker_of_fastq_held_is_restored_by_celery_alone(town: Town, queue: str) -> None:
    first = begin(town, FASTQ, queue, {"broker_transport_options": {"in_flight": "kombu"}})
    task_id, name = hold(town, queue)
    wait_for(lambda: town.redis("HLEN", "unacked"), "a record as kombu's")
    first.kill()
    age(town, 3601)
    town.release(name)
    begin(town, CELERY, queue)

    assert town.client(FASTQ).do(scenes.ended, task_id=task_id).value == CELERY


@pytest.mark.parametrize("others", [None, {"visibility_timeout": 60}], ids=["an hour", "a minute"])
def test_what_a_killed_worker_of_celery_held_is_run_by_fastq(
    town: Town, queue: str, others: dict[str, Any] | None
) -> None:
    first = begin(town, CELERY, queue)
    task_id, name = hold(town, queue)
    first.kill()
    age(town, 3601 if others is None else 61)
    town.release(name)
    begin(town, FASTQ, queue, {"broker_transport_options": others or {}})

    assert town.client(CELERY).do(scenes.ended, task_id=task_id).value == FASTQ
    assert town.redis("HLEN", "unacked") == town.redis("ZCARD", "unacked_index") == 0
    assert town.redis("EXISTS", "unacked_mutex") == 0


def test_what_is_restored_says_so_and_keeps_its_place(town: Town, queue: str) -> None:
    first = begin(town, CELERY, queue)
    hold(town, queue)
    first.kill()
    (entry,) = town.redis("HVALS", "unacked")
    envelope, exchange, key = json.loads(entry)
    envelope["headers"]["task"] = "live.describe"
    envelope["properties"]["priority"] = 6
    (tag,) = town.redis("HKEYS", "unacked")
    town.redis("HSET", "unacked", tag, json.dumps([envelope, exchange, key]))
    age(town, 3601)
    begin(town, FASTQ, f"{queue}-other")
    (again,) = wait_for(lambda: town.redis("LRANGE", f"{queue}\x06\x166", "0", "-1"), "what was restored")

    restored = json.loads(again)
    assert restored["headers"]["redelivered"] is True
    assert restored["properties"]["delivery_info"]["redelivered"] is True
    assert restored["properties"]["delivery_tag"] == tag
    assert restored["body"] == envelope["body"]
    begin(town, FASTQ, queue)
    told = town.client(FASTQ).do(scenes.ended, task_id=restored["headers"]["id"])
    assert told.value["delivery_info"] == {"exchange": "", "routing_key": queue, "priority": 6, "redelivered": True}


def test_what_a_living_worker_of_celery_holds_is_left_to_it(town: Town, queue: str) -> None:
    begin(town, CELERY, queue)
    task_id, name = hold(town, queue)
    begin(town, FASTQ, queue)
    # The sweep of a worker of fastq comes with its start, before it is given anything to run.
    town.client(FASTQ).do(scenes.ask, task="live.who", queue=queue)
    town.release(name)

    assert town.client(FASTQ).do(scenes.ended, task_id=task_id).value == CELERY
    assert len(town.noted(f"holds {name}")) == 1


def test_what_a_stopped_worker_of_celery_held_is_run_by_fastq(town: Town, queue: str) -> None:
    first = begin(town, CELERY, queue)
    task_id = town.client(FASTQ).do(scenes.send, task="live.who", queue=queue, countdown=2)
    wait_for(lambda: town.redis("HLEN", "unacked"), "Celery to hold it")
    assert first.stop() == 0, first.log
    begin(town, FASTQ, queue)

    assert town.client(CELERY).do(scenes.ended, task_id=task_id).value == [FASTQ, None]


def test_what_a_stopped_worker_of_fastq_held_is_run_by_celery(town: Town, queue: str) -> None:
    first = begin(town, FASTQ, queue)
    task_id = town.client(CELERY).do(scenes.send, task="live.who", queue=queue, countdown=2)
    wait_for(lambda: not town.redis("LLEN", queue), "fastq to hold it")
    assert first.stop() == 0, first.log
    begin(town, CELERY, queue)

    assert town.client(FASTQ).do(scenes.ended, task_id=task_id).value == [CELERY, None]


def test_the_dead_are_looked_after_as_often_as_the_options_say(town: Town, queue: str) -> None:
    options = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    begin(town, FASTQ, f"{queue}-other", {"broker_transport_options": options})

    for number in range(2):  # the first time comes with the start
        leave(town, queue)
        wait_for(lambda number=number: town.redis("LLEN", queue) > number, "the message to be back")


def leave(town: Town, queue: str) -> None:
    """Leave something behind as a worker of Celery's does that died long ago."""
    tag = uuid.uuid4().hex
    info = {"exchange": "", "routing_key": queue}
    envelope = {
        "body": "", "headers": {"id": tag, "task": "live.who"}, "content-type": "application/json",
        "content-encoding": "utf-8", "properties": {"delivery_tag": tag, "delivery_info": info},
    }  # fmt: skip
    town.redis("HSET", "unacked", tag, json.dumps([envelope, "", queue]))
    town.redis("ZADD", "unacked_index", "1", tag)
