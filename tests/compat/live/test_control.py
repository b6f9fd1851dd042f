"""Remote control of Celery: what it does to its own workers, and that it leaves those of fastq alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown
from tests.compat.live.peers import CELERY, FASTQ, Town

COMMANDS = {
    "ping": {},
    "revoke": {"task_id": "3f1a9f0e-9d2b-4d24-8f1e-00000000dead", "terminate": True},
    "rate_limit": {"task_name": "live.who", "rate_limit": "100/s"},
    "time_limit": {"task_name": "live.who", "soft": 60, "hard": 120},
    "enable_events": {},
    "disable_events": {},
    "add_consumer": {"queue": "more"},
    "cancel_consumer": {"queue": "more"},
    "pool_grow": {"n": 1},
    "pool_shrink": {"n": 1},
}


@pytest.fixture(scope="module")
def town(open_town: OpenTown) -> Iterator[Town]:
    """Return a town whose workers have a process to spare, for one that is killed."""
    with open_town(workers=False) as town:
        for worker in [town.start(library, library, None, "-c", "2") for library in (CELERY, FASTQ)]:
            worker.wait_until_ready()
        yield town


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_what_was_revoked_in_celery_is_a_revoked_task_for_both(town: Town, caller: str) -> None:
    task_id = uuid.uuid4().hex
    town.client(CELERY).do(scenes.control, command="revoke", task_id=task_id)
    told = town.client(caller).do(scenes.ask, task="live.who", task_id=task_id, queue=CELERY)

    assert (told.state, told.raised.name, told.raised.args) == ("REVOKED", "TaskRevokedError", ("revoked",))
    assert told.raised.module == f"{caller}.exceptions"


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_what_was_terminated_in_celery_is_a_revoked_task_for_both(town: Town, caller: str) -> None:
    name = uuid.uuid4().hex
    task_id = town.client(caller).do(scenes.send, task="live.hold", args=(name,), queue=CELERY)
    assert town.held(name) == CELERY
    town.client(CELERY).do(scenes.control, command="revoke", task_id=task_id, terminate=True, signal="SIGKILL")
    told = town.client(caller).do(scenes.ended, task_id=task_id)

    assert (told.state, told.raised.name, told.raised.args) == ("REVOKED", "TaskRevokedError", ("terminated",))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broadcast_does_no_harm_to_a_worker_of_fastq(town: Town, command: str) -> None:
    name = uuid.uuid4().hex
    client, (worker,) = town.client(CELERY), town.workers(FASTQ)
    held = client.do(scenes.send, task="live.hold", args=(name,), queue=FASTQ)
    assert town.held(name) == FASTQ
    (answered,) = client.do(scenes.control, command=command, **COMMANDS[command])
    town.release(name)

    assert answered.startswith(CELERY)
    assert client.do(scenes.ended, task_id=held).value == FASTQ
    assert client.do(scenes.ask, task="live.who", queue=FASTQ).value == [FASTQ, None]
    assert worker.running
    assert "WARNING" not in worker.log
    assert "ERROR" not in worker.log


def test_an_inspection_shows_the_workers_that_answer(town: Town) -> None:
    registered = town.client(CELERY).do(scenes.inspect, what="registered")

    (name,) = registered
    assert {"live.note", "shop.add"} <= set(registered[name])
