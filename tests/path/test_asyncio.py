"""The pool of event loops: what runs there side by side, what its limits do, and how it stops."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastq.exceptions import TimeLimitExceeded
from tests.path.conftest import SHOP
from tests.support.processes import descendants_of
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker

Name = Callable[[str], str]
OPTIONS = ("-P", "asyncio", "--processes", "1", "-c", "50")


@pytest.fixture
def worker(start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of the shop with one event loop of fifty permits."""
    return start_worker(SHOP, OPTIONS)


def begun(client: FastQ, file: Name, task: str = "shop.await", count: int = 1) -> list[object]:
    """Return the results of tasks that have begun and wait for the file `go on`."""
    names = [file(f"begun-{task}-{number}") for number in range(count)]
    results = [client.send_task(task, (name, file("go on"))) for name in names]
    wait_for(lambda: all(Path(name).exists() for name in names), f"{count} that run at once")
    return list(results)


def test_coroutines_run_side_by_side_up_to_the_permits(client: FastQ, worker: RunningWorker, file: Name) -> None:
    results = begun(client, file, count=50)
    late = client.send_task("shop.add", (1, 1))
    assert client.producer.depths()[0]["in_flight"] == 50  # type: ignore[attr-defined]
    Path(file("go on")).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 50  # type: ignore[attr-defined]
    assert late.get(timeout=20) == 2
    assert worker.stop() == 0
    assert "Traceback" not in worker.log


def test_each_run_knows_its_own_task(client: FastQ, worker: RunningWorker) -> None:
    results = [client.send_task("shop.sleep", (0.05,)) for _ in range(100)]
    assert [result.get(timeout=20) for result in results] == [result.id for result in results]


def test_plain_functions_run_in_threads_beside_the_loop(client: FastQ, worker: RunningWorker, file: Name) -> None:
    slow = begun(client, file, "shop.wait", count=20)
    assert client.send_task("shop.sleep", (0.01,)).get(timeout=20)
    process, thread = client.send_task("shop.where").get(timeout=20)
    assert (process in descendants_of(worker.pid), thread.startswith("Helper-")) == (True, True)
    Path(file("go on")).touch()
    assert [result.get(timeout=20) for result in slow] == ["done"] * 20  # type: ignore[attr-defined]


def test_coroutines_fail_retry_and_send_tasks_as_others_do(client: FastQ, worker: RunningWorker) -> None:
    with pytest.raises(Exception, match="no luck"):
        client.send_task("shop.wrong").get(timeout=20)
    results = [client.send_task("shop.child", (number,)) for number in range(20)]
    assert [result.get(timeout=20) for result in results] == list(range(20))
    assert client.send_task("shop.flaky", (2,)).get(timeout=20) == 2
    wait_for(lambda: worker.log.count("Task shop.add[") >= 20, "the tasks that they sent")


def test_processes_share_the_work(client: FastQ, start_worker: Callable[..., RunningWorker], file: Name) -> None:
    worker = start_worker(SHOP, ("-P", "asyncio", "--processes", "2", "-c", "10"))
    wait_for(lambda: len(descendants_of(worker.pid)) == 3, "a nursery and its two children")
    results = begun(client, file, count=20)
    Path(file("go on")).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 20  # type: ignore[attr-defined]


def test_soft_limits_are_raised_in_their_own_run_only(client: FastQ, worker: RunningWorker, file: Name) -> None:
    others = begun(client, file, count=5)
    assert client.send_task("shop.nap").get(timeout=20) == "woken"
    assert client.send_task("shop.patient", (file("begun"),)).get(timeout=20) == "cleaned up"
    Path(file("go on")).touch()
    assert [other.get(timeout=20) for other in others] == ["done"] * 5  # type: ignore[attr-defined]
    assert "passed its soft time limit of 0.2 s" in worker.log


def test_a_coroutine_over_its_limit_is_cancelled_and_fails(client: FastQ, worker: RunningWorker, file: Name) -> None:
    others = begun(client, file, count=5)
    with pytest.raises(TimeLimitExceeded):
        client.send_task("shop.sleepless", (file("ended"),)).get(timeout=20)
    wait_for(Path(file("ended")).exists, "its end")
    Path(file("go on")).touch()
    assert [other.get(timeout=20) for other in others] == ["done"] * 5  # type: ignore[attr-defined]
    assert worker.stop() == 0
    assert "is replaced" not in worker.log


@pytest.mark.parametrize("task", ["shop.stubborn", "shop.endless"])
def test_a_run_that_does_not_end_fails_and_goes_on_alone(
    task: str, client: FastQ, worker: RunningWorker, file: Name
) -> None:
    with pytest.raises(TimeLimitExceeded):
        client.send_task(task, (file("stop"),)).get(timeout=20)
    worker.wait_for_log("nobody waits for it")
    results = begun(client, file, count=50)
    Path(file("stop")).touch()
    worker.wait_for_log("which was given up, has come to its end")
    Path(file("go on")).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 50  # type: ignore[attr-defined]


def test_a_loop_that_is_stuck_is_killed_and_what_else_it_ran_runs_again(
    client: FastQ, worker: RunningWorker, file: Name
) -> None:
    others = begun(client, file, count=5)
    with pytest.raises(TimeLimitExceeded):
        client.send_task("shop.stuck").get(timeout=20)
    worker.wait_for_log("was cut off with the process that ran it; it is back in its queue")
    Path(file("go on")).touch()
    assert [other.get(timeout=20) for other in others] == ["done"] * 5  # type: ignore[attr-defined]
    assert worker.stop() == 0


def test_a_task_that_kills_its_process_is_set_aside_and_its_neighbours_are_not(
    client: FastQ, worker: RunningWorker
) -> None:
    neighbours = [client.send_task("shop.sleep", (0.3,)) for _ in range(30)]
    killer = client.send_task("shop.die")
    with pytest.raises(Exception, match=r"3 workers died|signal 9"):
        killer.get(timeout=60)
    assert [result.get(timeout=60) for result in neighbours] == [result.id for result in neighbours]


def test_processes_are_replaced_after_so_many_tasks(client: FastQ, start_worker: Callable[..., RunningWorker]) -> None:
    worker = start_worker(SHOP, (*OPTIONS, "--max-tasks-per-child", "20"))
    first = descendants_of(worker.pid)
    results = [client.send_task("shop.sleep", (0.01,)) for _ in range(200)]
    assert [result.get(timeout=30) for result in results] == [result.id for result in results]
    wait_for(lambda: set(descendants_of(worker.pid)) - set(first), "another process")
    assert worker.stop() == 0
    assert "gone" not in worker.log


def test_a_warm_stop_finishes_what_runs(client: FastQ, worker: RunningWorker, file: Name) -> None:
    results = begun(client, file, count=10)
    worker.signal(signal.SIGTERM)
    worker.wait_for_log("stopping when 10 running tasks have ended")
    Path(file("go on")).touch()
    assert worker.wait() == 0
    assert [result.get(timeout=5) for result in results] == ["done"] * 10  # type: ignore[attr-defined]


def test_a_cold_stop_puts_back_what_runs(client: FastQ, worker: RunningWorker, file: Name) -> None:
    begun(client, file, count=10)
    worker.signal(signal.SIGQUIT)
    assert worker.wait() == 1
    depth = client.producer.depths()[0]  # type: ignore[attr-defined]
    assert (depth["ready"], depth["in_flight"]) == (10, 0)


def test_a_killed_worker_leaves_its_tasks_to_another(
    client: FastQ, worker: RunningWorker, start_worker: Callable[..., RunningWorker], file: Name
) -> None:
    results = begun(client, file, count=10)
    os.kill(worker.pid, signal.SIGKILL)
    killed = time.monotonic()
    Path(file("go on")).touch()
    start_worker(SHOP, OPTIONS)
    assert [result.get(timeout=30) for result in results] == ["done"] * 10  # type: ignore[attr-defined]
    assert time.monotonic() - killed < 30


def test_processes_mean_nothing_to_other_pools(client: FastQ, start_worker: Callable[..., RunningWorker]) -> None:
    with pytest.raises(AssertionError, match="means nothing to the threads pool"):
        start_worker(SHOP, ("-P", "threads", "--processes", "2"))
