"""The pool of threads: what runs there, what its limits do, and how it stops."""

from __future__ import annotations

import os
import signal
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


@pytest.fixture
def worker(start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of the shop with three threads."""
    return start_worker(SHOP, ("-P", "threads", "-c", "3"))


def test_tasks_run_at_once_in_threads_of_one_process(client: FastQ, worker: RunningWorker, file: Name) -> None:
    go_on = file("go on")
    begun = [file(f"begun-{number}") for number in range(3)]
    results = [client.send_task("shop.wait", (name, go_on)) for name in begun]
    wait_for(lambda: all(Path(name).exists() for name in begun), "three that run at once")
    assert descendants_of(worker.pid) == []
    Path(go_on).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 3
    process, thread = client.send_task("shop.where").get(timeout=20)
    assert (process, thread.startswith("Thread-")) == (worker.pid, True)
    assert worker.stop() == 0
    assert "Traceback" not in worker.log


def test_many_tasks_end_with_what_they_return_raise_or_retry(client: FastQ, worker: RunningWorker, file: Name) -> None:
    results = [client.send_task("shop.add", (number, 1)) for number in range(500)]
    assert [result.get(timeout=30) for result in results] == list(range(1, 501))
    with pytest.raises(Exception, match="no luck"):
        client.send_task("shop.wrong").get(timeout=20)
    assert client.send_task("shop.add", (1, 1), countdown=0.1).get(timeout=20) == 2
    assert worker.stop() == 0


def test_the_soft_limit_is_raised_in_its_own_run_only(client: FastQ, worker: RunningWorker, file: Name) -> None:
    others = [client.send_task("shop.wait", (file(f"begun-{number}"), file("go on"))) for number in range(2)]
    assert client.send_task("shop.patient", (file("begun"),)).get(timeout=20) == "cleaned up"
    assert client.send_task("shop.nap").get(timeout=20) == "woken"
    Path(file("go on")).touch()
    assert [other.get(timeout=20) for other in others] == ["done"] * 2
    assert "passed its soft time limit of 0.2 s" in worker.log
    assert worker.stop() == 0


def test_a_run_over_its_limit_fails_at_once_and_another_thread_takes_its_place(
    client: FastQ, worker: RunningWorker, file: Name
) -> None:
    with pytest.raises(TimeLimitExceeded):
        client.send_task("shop.endless", (file("stop"),)).get(timeout=20)
    worker.wait_for_log("nobody waits for it: a thread cannot be killed. Another takes its place.")
    go_on = file("go on")
    begun = [file(f"begun-{number}") for number in range(3)]
    results = [client.send_task("shop.wait", (name, go_on)) for name in begun]
    wait_for(lambda: all(Path(name).exists() for name in begun), "three that run at once, as before")
    Path(file("stop")).touch()
    worker.wait_for_log("which was given up, has come to its end")
    Path(go_on).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 3
    assert worker.stop() == 0


def test_a_worker_full_of_threads_that_do_not_end_stops(client: FastQ, worker: RunningWorker, file: Name) -> None:
    results = [client.send_task("shop.endless", (file("stop"),)) for _ in range(3)]
    for result in results:
        with pytest.raises(TimeLimitExceeded):
            result.get(timeout=20)
    worker.wait_for_log("3 threads that were given up are still at work: this worker stops")
    worker.wait()


def test_a_warm_stop_finishes_what_runs(client: FastQ, worker: RunningWorker, file: Name) -> None:
    result = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    worker.signal(signal.SIGTERM)
    worker.wait_for_log("stopping when 1 running task has ended")
    Path(file("go on")).touch()
    assert worker.wait() == 0
    assert result.get(timeout=5) == "done"


def test_a_cold_stop_puts_back_what_runs_and_leaves(client: FastQ, worker: RunningWorker, file: Name) -> None:
    client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    worker.signal(signal.SIGQUIT)
    assert worker.wait() == 1
    producer = client.producer
    depths = {depth["queue"]: depth for depth in producer.depths()}  # type: ignore[attr-defined]
    assert (depths["celery"]["ready"], depths["celery"]["in_flight"]) == (1, 0)


def test_a_killed_worker_leaves_its_tasks_to_another(
    client: FastQ, worker: RunningWorker, start_worker: Callable[..., RunningWorker], file: Name
) -> None:
    result = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    os.kill(worker.pid, signal.SIGKILL)
    Path(file("go on")).touch()
    start_worker(SHOP, ("-P", "threads", "-c", "1"))
    assert result.get(timeout=30) == "done"
