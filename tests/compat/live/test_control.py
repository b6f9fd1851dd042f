"""Remote control: tasks called off by clients of both libraries for workers of both, and commands that do no harm."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown
from tests.compat.live.peers import CELERY, FASTQ, Client, Town
from tests.support.wait import wait_for

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

    _is_terminated(town, town.client(caller), task_id)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broadcast_does_no_harm_to_a_worker_of_fastq(town: Town, command: str) -> None:
    name = uuid.uuid4().hex
    client, (worker,) = town.client(CELERY), town.workers(FASTQ)
    held = client.do(scenes.send, task="live.hold", args=(name,), queue=FASTQ)
    assert town.held(name) == FASTQ
    both = command in {"ping", "revoke"}
    answered = client.do(scenes.control, command=command, answers=1 + both, **COMMANDS[command])
    town.release(name)

    assert {name.rstrip("0123456789@town") for name in answered} >= ({CELERY, FASTQ} if both else {CELERY})
    assert client.do(scenes.ended, task_id=held).value == FASTQ
    assert client.do(scenes.ask, task="live.who", queue=FASTQ).value == [FASTQ, None]
    assert worker.running
    assert "WARNING" not in worker.log
    assert "ERROR" not in worker.log


def test_an_inspection_shows_the_workers_that_answer(town: Town) -> None:
    registered = town.client(CELERY).do(scenes.inspect, what="registered")

    (name,) = registered
    assert {"live.note", "shop.add"} <= set(registered[name])


NODE = "fastq1@town"


def test_a_worker_of_fastq_obeys_what_celery_revokes_and_remembers_it_for_others(town: Town) -> None:
    task_id = uuid.uuid4().hex
    client = town.client(CELERY)
    answers = client.do(scenes.control, command="revoke", destination=[NODE], task_id=[task_id])
    told = client.do(scenes.ask, task="live.who", task_id=task_id, queue=FASTQ)

    assert answers == {NODE: {"ok": f"tasks {{'{task_id}'}} flagged as revoked"}}
    assert (told.state, told.raised.name, told.raised.args) == ("REVOKED", "TaskRevokedError", ("revoked",))
    wait_for(lambda: task_id in town.client(FASTQ).do(scenes.revoked_ids), "the record")


@pytest.mark.parametrize("command", ["revoke", "terminate"])
def test_a_worker_of_fastq_ends_the_run_that_celery_terminates(town: Town, command: str) -> None:
    name, client = uuid.uuid4().hex, town.client(CELERY)
    task_id = client.do(scenes.send, task="live.hold", args=(name,), queue=FASTQ)
    assert town.held(name) == FASTQ
    more = {"terminate": True} if command == "revoke" else {}
    answers = client.do(scenes.control, command=command, destination=[NODE], task_id=task_id, signal="SIGKILL", **more)
    told = client.do(scenes.ended, task_id=task_id)

    assert answers == {NODE: {"ok": f"terminate: {task_id}"}}
    assert (told.state, told.raised.args) == ("REVOKED", ("terminated",))


def test_a_worker_of_fastq_obeys_what_celery_revokes_by_stamps(town: Town) -> None:
    name, client = uuid.uuid4().hex, town.client(CELERY)
    stamped = {"stamped_headers": ["tenant"], "tenant": name}
    task_id = client.do(scenes.send, task="live.hold", args=(name,), queue=FASTQ, **stamped)
    assert town.held(name) == FASTQ
    client.do(scenes.revoke_by_stamps, headers={"tenant": [name]}, terminate=True)

    assert client.do(scenes.ended, task_id=task_id).raised.args == ("terminated",)


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_a_worker_of_celery_ends_the_run_that_fastq_terminates(town: Town, signal: str) -> None:
    name, client = uuid.uuid4().hex, town.client(FASTQ)
    task_id = client.do(scenes.send, task="live.hold", args=(name,), queue=CELERY)
    assert town.held(name) == CELERY
    client.do(scenes.revoke, task_id=task_id, terminate=True, signal=signal)

    _is_terminated(town, client, task_id)


def test_a_worker_of_celery_obeys_what_fastq_revokes(town: Town) -> None:
    task_id = uuid.uuid4().hex
    town.client(FASTQ).do(scenes.revoke, task_id=task_id)
    (revoked,) = _asked(town, "revoked", "celery0@town").values()
    assert task_id in revoked
    told = town.client(FASTQ).do(scenes.ask, task="live.who", task_id=task_id, queue=CELERY)

    assert (told.state, told.raised.args) == ("REVOKED", ("revoked",))


def test_a_destination_names_the_only_worker_that_obeys(town: Town) -> None:
    name, task_id = uuid.uuid4().hex, uuid.uuid4().hex
    town.client(FASTQ).do(scenes.revoke, task_id=task_id, destination=["celery0@town"])
    (revoked,) = _asked(town, "revoked", "celery0@town").values()
    assert task_id in revoked
    # Not its result: Celery's worker has stored at once that the task is revoked.
    town.client(FASTQ).do(scenes.send, task="live.hold", args=(name,), task_id=task_id, queue=FASTQ)
    assert town.held(name) == FASTQ
    town.release(name)


@pytest.mark.parametrize(
    ("pattern", "matcher", "expected"),
    [
        ("fastq*", None, {NODE}),
        ("celery?@*", "glob", {"celery0@town"}),
        (r"(fastq|rabbit)\d@", "pcre", {NODE}),
        (r"(?!fastq)\w+@town$", "pcre", {"celery0@town"}),
        (r".*\d@town", "pcre", {NODE, "celery0@town"}),
    ],
)
def test_workers_of_both_decide_alike_which_of_them_a_pattern_means(
    town: Town, pattern: str, matcher: str | None, expected: set[str]
) -> None:
    # A revocation by a pattern is asked about afterwards, so that who must not answer has had its time.
    task_id = uuid.uuid4().hex
    town.client(FASTQ).do(scenes.revoke, task_id=task_id, pattern=pattern, matcher=matcher)
    for node in expected:  # RabbitMQ keeps no order between what two clients say
        wait_for(lambda node=node: task_id in _asked(town, "revoked", node)[node], f"{node} to hear")
    heard = {node for node in (NODE, "celery0@town") if task_id in _asked(town, "revoked", node)[node]}
    # Celery's workers look at a pattern only where a matcher is named; clients of fastq name it.
    options = {"answers": len(expected), "pattern": pattern, "matcher": matcher or "glob"}
    answered = town.client(CELERY).do(scenes.control, command="ping", **options)

    assert heard == expected
    assert set(answered) == expected


def test_celery_sees_what_a_worker_of_fastq_does(town: Town) -> None:
    name, client = uuid.uuid4().hex, town.client(CELERY)
    task_id = client.do(scenes.send, task="live.hold", args=(name,), queue=FASTQ)
    assert town.held(name) == FASTQ
    later = client.do(scenes.send, task="live.hold", args=("later",), queue=FASTQ, countdown=50)
    wait_for(lambda: later in str(_asked(town, "scheduled", NODE)), "the task that waits for its time")
    (active,) = _asked(town, "active", NODE)[NODE]
    queried = client.do(scenes.control, command="query_task", destination=[NODE], ids=[task_id, later])[NODE]
    town.client(FASTQ).do(scenes.revoke, task_id=later)
    town.release(name)

    assert _asked(town, "ping", NODE) == {NODE: {"ok": "pong"}}
    assert (active["id"], active["name"], active["hostname"]) == (task_id, "live.hold", NODE)
    assert active["worker_pid"] > 0
    assert {key: value[0] for key, value in queried.items()} == {task_id: "active", later: "scheduled"}
    assert _asked(town, "reserved", NODE) == {NODE: []}


def _asked(town: Town, command: str, node: str) -> dict[str, Any]:
    answers: dict[str, Any] = town.client(CELERY).do(scenes.control, command=command, destination=[node])
    return answers


def _is_terminated(town: Town, client: Client, task_id: str) -> None:
    """Wait until that is stored, and read it.

    Celery 5.6 stores first that the task is revoked, also when it runs, and its clients remember what they have read.
    """
    key = f"celery-task-meta-{task_id}"
    wait_for(lambda: "terminated" in str(town.redis("GET", key)), "the end of the run")
    ended = client.do(scenes.ended, task_id=task_id)
    assert (ended.state, ended.raised.name, ended.raised.args) == ("REVOKED", "TaskRevokedError", ("terminated",))
