"""Results: what a worker of one library stores, a client of the other reads, waits for and forgets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from tests.compat.live import scenes
from tests.compat.live.conftest import Way
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.support.wait import wait_for


def test_clients_of_both_are_woken_by_the_end_of_a_task(way: Way) -> None:
    name = uuid.uuid4().hex
    task_id = way.client.do(scenes.send, task="live.hold", args=(name,), queue=way.queue)
    with ThreadPoolExecutor(2) as threads:
        waiting = [
            threads.submit(way.town.client(library).do, scenes.ended, task_id=task_id) for library in (CELERY, FASTQ)
        ]
        assert way.town.held(name) == way.runner
        way.town.release(name)

        assert [one.result().value for one in waiting] == [way.runner] * 2


def test_states_on_the_way_are_seen(way: Way) -> None:
    name = uuid.uuid4().hex
    task_id = way.client.do(scenes.send, task="live.hold", args=(name,), queue=way.queue)
    assert way.town.held(name) == way.runner
    # A worker of fastq stores it while the task goes on.
    state, info, is_ready = wait_for(lambda: _known(way, task_id, ("state", "info", "ready")), "a state")
    way.town.release(name)

    assert (state, is_ready) == ("STARTED", False)
    assert (set(info), info["hostname"].partition("@")[2]) == ({"pid", "hostname"}, "town")


def test_the_progress_of_a_task_is_seen(way: Way) -> None:
    name = uuid.uuid4().hex
    task_id = way.client.do(scenes.send, task="live.hold", args=(name, {"done": 1, "of": 2}), queue=way.queue)
    assert way.town.held(name) == way.runner
    found = wait_for(lambda: _known(way, task_id, ("state", "info"), "PROGRESS"), "its progress")
    way.town.release(name)

    assert found == ["PROGRESS", {"done": 1, "of": 2}]


def test_everything_that_is_stored_can_be_read(way: Way) -> None:
    task_id = way.client.do(scenes.send, task="live.who", args=(1,), queue=way.queue)
    way.client.do(scenes.ended, task_id=task_id)
    fields = ("state", "result", "traceback", "children", "ready", "successful", "failed")

    assert way.client.do(scenes.look, task_id=task_id, fields=fields) == [
        "SUCCESS", [way.runner, 1], None, [], True, True, False,
    ]  # fmt: skip
    (done,) = way.client.do(scenes.look, task_id=task_id, fields=("date_done",))
    assert datetime.fromisoformat(done).tzinfo is not None


def test_a_forgotten_result_is_gone_for_all(way: Way) -> None:
    task_id = way.client.do(scenes.send, task="live.who", queue=way.queue)
    way.client.do(scenes.ended, task_id=task_id)
    way.client.do(scenes.look, task_id=task_id, fields=("forget",))

    for library in (CELERY, FASTQ):
        assert way.town.client(library).do(scenes.look, task_id=task_id, fields=("state",)) == ["PENDING"]


def test_both_store_the_same_fields_for_the_same_time(town: Town) -> None:
    documents, times = [], []
    for runner in (CELERY, FASTQ):
        for task, args in (("live.who", (1,)), ("shop.fail", ("key",))):
            told = town.client(CELERY).do(
                scenes.ask, task=task, args=args, queue=runner, group_id="g", parent_id="p", root_id="r"
            )
            key = f"celery-task-meta-{told.id}"
            documents.append(json.loads(town.redis("GET", key)))
            times.append(town.redis("TTL", key))

    assert all(86_400 - 60 < seconds <= 86_400 for seconds in times)
    for theirs, ours in zip(documents[:2], documents[2:], strict=True):
        assert list(ours) == list(theirs)
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in theirs.items()
        }


def test_what_succeeded_stays_so(town: Town) -> None:
    for runner in (CELERY, FASTQ):
        task_id = uuid.uuid4().hex
        for task in ("live.who", "shop.fail"):
            town.client(CELERY).do(scenes.send, task=task, args=("key",), task_id=task_id, queue=runner)
        # What this worker does next comes after the end of both.
        town.client(CELERY).do(scenes.ask, task="live.who", queue=runner)

        assert town.client(FASTQ).do(scenes.look, task_id=task_id, fields=("state",)) == ["SUCCESS"]


def _known(way: Way, task_id: str, fields: Sequence[str], state: str | None = None) -> list[Any]:
    """Return some fields of a result, the first its state; nothing as long as that is PENDING, or another one."""
    found: list[Any] = way.client.do(scenes.look, task_id=task_id, fields=fields)
    return found if found[0] != "PENDING" and state in (None, found[0]) else []
