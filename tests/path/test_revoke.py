"""Tasks that are called off, with real workers, on every broker that processes share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from fastq.exceptions import NotRegistered, NotSupported, TaskRevokedError, TimeLimitExceeded
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from tests.support.worker import RunningWorker

SHOP = "tests.path.shop"
LATER = {"countdown": 30}
SOON = {"countdown": 0.5}


def revoked(result: Any) -> tuple[Any, ...]:
    """Return what `get` raises, once the task is called off."""
    with pytest.raises(TaskRevokedError) as caught:
        result.get(timeout=20)
    return caught.value.args


def test_a_worker_that_starts_later_obeys_it(client: FastQ, start_worker: Any, file: Callable[[str], str]) -> None:
    unwanted = client.send_task("shop.note", (file("notes"), "unwanted"))
    wanted = client.send_task("shop.note", (file("notes"), "wanted"))
    unwanted.revoke()
    start_worker(SHOP)
    assert wanted.get(timeout=20) is None
    assert revoked(unwanted) == ("revoked",)
    assert Path(file("notes")).read_text().split() == ["wanted"]


def test_what_was_called_off_before_it_was_sent_never_runs(client: FastQ, worker: RunningWorker, file: Any) -> None:
    # The worker hears of one beside its messages, and waits for the other: each round is a race between the two.
    results = []
    for task_id in [uuid.uuid4().hex for _ in range(100)]:
        client.control.revoke(task_id)
        results.append(client.send_task("shop.note", (file("notes"), "ran"), task_id=task_id))
    assert {revoked(result) for result in results} == {("revoked",)}
    assert not Path(file("notes")).exists()


def test_one_that_waits_for_its_time_is_called_off_when_that_comes_or_before(
    client: FastQ, worker: RunningWorker, file: Any
) -> None:
    result = client.send_task("shop.note", (file("notes"), "late"), **SOON)
    result.revoke()
    assert revoked(result) == ("revoked",)
    worker.wait_for_log(rf"shop.note\[{result.id}\] was revoked before it began")


def test_one_that_waits_behind_others_ends_at_once(client: FastQ, start_worker: Any, file: Any) -> None:
    worker = start_worker(SHOP, ("-c", "1", "--prefetch-multiplier", "4"))
    running = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "the first to run")
    waiting = client.send_task("shop.note", (file("notes"), "ran"))
    worker.wait_for_log(rf"shop.note\[{waiting.id}\] received")
    waiting.revoke()
    assert revoked(waiting) == ("revoked",)
    Path(file("go on")).touch()
    assert running.get(timeout=20) == "done"


def test_a_run_goes_on_unless_it_is_to_be_ended(client: FastQ, worker: RunningWorker, file: Any) -> None:
    result = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "the run")
    late = client.send_task("shop.note", (file("notes"), "late"), **SOON)
    client.control.revoke([result.id, late.id])
    assert revoked(late) == ("revoked",)
    Path(file("go on")).touch()
    assert result.get(timeout=20) == "done"


def test_a_run_ends_where_that_is_wanted_and_nothing_that_follows_it_is_sent(
    client: FastQ, worker: RunningWorker, file: Any
) -> None:
    follows = client.signature("shop.note", (file("notes"), "follows"), immutable=True)
    result = client.send_task("shop.wait", (file("begun"), file("go on")), link=follows, link_error=follows)
    wait_for(Path(file("begun")).exists, "the run")
    result.revoke(terminate=True)
    assert revoked(result) == ("terminated",)
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    assert not Path(file("notes")).exists()
    assert "ERROR" not in worker.log


def test_one_that_is_terminated_before_it_begins_is_called_off(client: FastQ, start_worker: Any, file: Any) -> None:
    result = client.send_task("shop.note", (file("notes"), "ran"))
    client.control.terminate(result.id)
    start_worker(SHOP)
    assert revoked(result) == ("revoked",)


def test_tasks_are_called_off_by_their_stamps(client: FastQ, start_worker: Any, file: Any) -> None:
    def stamped(tenant: Any) -> Any:
        stamps = {"stamped_headers": ["tenant"], "tenant": tenant}
        return client.send_task("shop.note", (file("notes"), str(tenant)), **stamps)

    one, other, several = stamped(7), stamped("7"), stamped([6, 7])
    client.control.revoke_by_stamped_headers({"tenant": [7, 8]})
    start_worker(SHOP)
    assert other.get(timeout=20) is None
    assert [revoked(result) for result in (one, several)] == [("revoked",)] * 2
    running = client.send_task("shop.wait", (file("begun"), file("go on")), stamped_headers=["tenant"], tenant="loud")
    wait_for(Path(file("begun")).exists, "the run")
    client.control.revoke_by_stamped_headers({"tenant": "loud"}, terminate=True)
    assert revoked(running) == ("terminated",)


def test_an_early_acknowledged_task_can_be_called_off(client: FastQ, worker: RunningWorker, file: Any) -> None:
    running = client.send_task("shop.wait_early", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "the run")
    running.revoke(terminate=True)
    assert revoked(running) == ("terminated",)
    late = client.send_task("shop.wait_early", (file("late"), file("go on")), **SOON)
    late.revoke()
    assert revoked(late) == ("revoked",)


def test_the_signal_task_revoked_tells_how(client: FastQ, start_worker: Any, file: Any) -> None:
    worker = start_worker(SHOP)
    late = client.send_task("shop.wait", (file("late"), file("go on")), **SOON)
    late.revoke()
    assert revoked(late) == ("revoked",)
    running = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "the run")
    running.revoke(terminate=True, signal="INT")
    assert revoked(running) == ("terminated",)
    worker.wait_for_log(rf"revoked {late.id} terminated=False signum=None expired=False")
    worker.wait_for_log(rf"revoked {running.id} terminated=True signum=2 expired=False")


def test_only_brokers_that_carry_remote_commands_know_of_destinations(client: FastQ, database_url: str) -> None:
    if database_url.startswith("redis"):
        client.control.revoke("1", destination=["celery@nowhere"])
        assert client.control.revoked() == []
    else:
        with pytest.raises(NotSupported, match="carries no remote commands"):
            client.control.revoke("1", destination=["celery@nowhere"])


async def _in_a_coroutine(client: FastQ, result: Any) -> None:
    await result.arevoke()
    await client.control.arevoke(["1", "2"], terminate=True)
    await client.control.aterminate("3", signal="KILL")
    await client.control.arevoke_by_stamped_headers({"tenant": 7})


def test_coroutines_call_tasks_off(client: FastQ) -> None:
    import asyncio

    asyncio.run(_in_a_coroutine(client, client.AsyncResult("0")))
    found = [{key: one[key] for key in one if key != "until"} for one in client.control.revoked()]
    assert sorted(found, key=repr) == [
        {"id": "0"},
        {"id": "1", "signal": "SIGTERM"},
        {"id": "2", "signal": "SIGTERM"},
        {"id": "3", "signal": "SIGKILL"},
        {"stamp": "tenant", "value": 7},
    ]


@pytest.fixture
def filed(database_url: str, tmp_path: Path) -> Iterator[FastQ]:
    """Return a client whose results are files, which no core writes."""
    app = FastQ("client", broker=database_url, backend=f"file://{tmp_path}/results", set_as_current=False)
    yield app
    app.close()


def test_with_results_that_python_writes_callers_hear_of_every_end(
    filed: FastQ, start_worker: Any, file: Callable[[str], str]
) -> None:
    start_worker(SHOP, ("-c", "1"), {"FASTQ_RESULT_BACKEND": str(filed.conf.result_backend)})
    begun, go_on = file("begun"), file("go on")
    running = filed.send_task("shop.wait", (begun, go_on))
    wait_for(Path(begun).exists, "its start")
    waiting = filed.send_task("shop.add", (1, 1))
    expiring = filed.send_task("shop.add", (1, 1), expires=0.001)
    waiting.revoke()
    running.revoke(terminate=True)
    assert revoked(running) == ("terminated",)
    assert revoked(waiting) == ("revoked",)
    assert revoked(expiring) == ("expired",)
    with pytest.raises(NotRegistered):
        filed.send_task("shop.nobody", ()).get(timeout=20)
    with pytest.raises(TimeLimitExceeded):
        filed.send_task("shop.wait", (file("begun later"), file("never")), time_limit=0.3).get(timeout=20)
    assert filed.send_task("shop.add", (1, 1)).get(timeout=20) == 2
