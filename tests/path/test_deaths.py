"""Whatever dies: every confirmed task runs, results stand, nothing outlives the parent."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq.exceptions import WorkerLostError
from tests.path.conftest import SHOP
from tests.support.processes import alive, kill
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker

Name = Callable[[str], str]


def dead(client: FastQ) -> list[Any]:
    producer: Any = client.producer
    return producer.dead_letters(None, 100)


def test_a_killed_child_is_replaced_and_its_task_runs_again(client: FastQ, worker: RunningWorker, file: Name) -> None:
    found = client.send_task("shop.die_once", (file("died"),)).get(timeout=20)
    assert found == {"redelivered": True, "deaths": 1}
    assert len(worker.children(2)) == 2
    worker.wait_for_log(r"shop.die_once\[.*\]: the process that ran it died .* the first time. It runs again")


def test_a_killed_idle_child_is_replaced(client: FastQ, worker: RunningWorker) -> None:
    first, second = worker.children(2)
    kill(first)
    wait_for(lambda: first not in worker.children(2), "the new child")
    assert second in worker.children(2)
    worker.wait_for_log(r"Child \d \(pid \d+\) is gone")


def test_a_task_that_kills_every_worker_is_set_aside_at_the_third_death(client: FastQ, worker: RunningWorker) -> None:
    result = client.send_task("shop.die")
    assert isinstance(result.get(timeout=30, propagate=False), WorkerLostError)
    letter = wait_for(lambda: dead(client), "the dead letter")[0]
    assert (letter["task_id"], letter["deaths"]) == (result.id, 3)
    assert client.send_task("shop.add", (1, 1)).get(timeout=20) == 2


@pytest.mark.parametrize("pool", ["prefork", "solo"])
@pytest.mark.parametrize(("raises", "status"), [(False, 0), (True, 1)])
def test_a_copy_that_a_task_forks_and_lets_come_back_leaves_quietly(
    client: FastQ, start_worker: Callable[..., RunningWorker], pool: str, raises: bool, status: int
) -> None:
    worker = start_worker(SHOP, ("-P", pool, "-c", "1"))
    assert client.send_task("shop.fork", (raises,)).get(timeout=20) == {"status": status}
    assert client.send_task("shop.add", (1, 1)).get(timeout=20) == 2
    assert worker.stop() == 0
    assert worker.log.count("has forked, and its copy") == 1
    assert worker.log.count("succeeded in") == 2
    assert "raised" not in worker.log
    assert "Traceback" not in worker.log


def test_an_early_acknowledged_task_that_dies_has_failed_and_is_not_repeated(
    client: FastQ, worker: RunningWorker
) -> None:
    result = client.send_task("shop.die_early")
    assert isinstance(result.get(timeout=20, propagate=False), WorkerLostError)
    assert dead(client) == []


def test_a_killed_parent_leaves_no_process_and_a_new_worker_takes_its_tasks_over(
    client: FastQ, worker: RunningWorker, start_worker: Any, file: Name
) -> None:
    result = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    worker.kill()
    Path(file("go on")).touch()
    start_worker(SHOP)
    assert result.get(timeout=2) == "done"


def test_a_killed_nursery_stops_the_worker_and_its_tasks_go_back(
    client: FastQ, worker: RunningWorker, start_worker: Any, file: Name
) -> None:
    result = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    processes = worker.processes()
    kill(worker.nursery())
    assert worker.wait(limit=20) == 1
    assert alive(processes) == []
    assert "nursery process is gone" in worker.log
    Path(file("go on")).touch()
    start_worker(SHOP)
    assert result.get(timeout=20) == "done"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_stopped_parent_is_no_dead_one(client: FastQ, start_worker: Any, file: Name) -> None:
    # It has no use for a second message: one that waits at the broker while it is stopped is given what comes.
    worker = start_worker(SHOP, ("-c", "1", "--prefetch-multiplier", "1"))
    begun, go_on = file("begun"), file("go on")
    result = client.send_task("shop.wait", (begun, go_on))
    wait_for(Path(begun).exists, "its start")
    os.kill(worker.pid, signal.SIGSTOP)
    second = start_worker(SHOP, ("-c", "1"))
    assert client.send_task("shop.add", (1, 1)).get(timeout=20) == 2
    os.kill(worker.pid, signal.SIGCONT)
    Path(go_on).touch()
    assert result.get(timeout=20) == "done"
    assert "dead worker" not in second.log


def test_two_workers_share_one_queue(client: FastQ, start_worker: Any, file: Name) -> None:
    start_worker(SHOP)
    start_worker(SHOP, ("-c", "2", "-n", "second"))
    producer: Any = client.producer
    wait_for(lambda: len(producer.workers()) == 2, "both workers")
    results = [client.send_task("shop.wait", (file(f"begun {number}"), file("go on"))) for number in range(4)]
    # Neither has four slots, so they all run at once only when both take their part.
    for number in range(4):
        wait_for(Path(file(f"begun {number}")).exists, f"the start of task {number}")
    Path(file("go on")).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 4


def test_a_child_is_replaced_after_so_many_tasks(client: FastQ, start_worker: Any) -> None:
    worker = start_worker(SHOP, ("-c", "1", "--max-tasks-per-child", "2"))
    pids = [client.send_task("shop.who").get(timeout=20)["pid"] for _ in range(6)]
    assert len(set(pids)) == 3
    assert all(pids.count(pid) == 2 for pid in pids)
    assert "is gone" not in worker.log, "a retirement is no death"


def test_a_child_that_leaves_is_followed_by_one_made_before(client: FastQ, start_worker: Any, file: Name) -> None:
    worker = start_worker(SHOP, ("-c", "1", "--max-tasks-per-child", "1"))
    # Each child runs one task, so whoever is there beside the one that runs was made before that has ended.
    running = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    both = worker.children(2)
    Path(file("go on")).touch()
    assert running.get(timeout=20) == "done"
    assert client.send_task("shop.who").get(timeout=20)["pid"] in both


def test_a_child_is_replaced_when_its_memory_has_grown(client: FastQ, start_worker: Any) -> None:
    start_worker(SHOP, ("-c", "1", "--max-memory-per-child", "1000"))
    pids = [client.send_task("shop.who").get(timeout=20)["pid"] for _ in range(3)]
    assert len(set(pids)) == 3
