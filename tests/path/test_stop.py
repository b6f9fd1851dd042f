"""How a worker stops: warm, cold, restarted, and what becomes of the tasks."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.path.conftest import SHOP
from tests.support.processes import alive
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker

Name = Callable[[str], str]


def running_task(client: FastQ, file: Name, name: str = "shop.wait") -> Any:
    result = client.send_task(name, (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "its start")
    return result


def depth(client: FastQ) -> dict[str, Any]:
    producer: Any = client.producer
    return producer.depths()[0]


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_warm_stop_finishes_what_runs_and_exits_0(
    client: FastQ, worker: RunningWorker, file: Name, which: signal.Signals
) -> None:
    result = running_task(client, file)
    processes = worker.processes()
    worker.signal(which)
    worker.wait_for_log(f"{which.name}: stopping when 1 running task has ended")
    Path(file("go on")).touch()
    assert worker.wait() == 0
    assert result.get(timeout=5) == "done"
    assert alive(processes) == []


def test_ctrl_c_says_what_a_second_one_does(client: FastQ, worker: RunningWorker, file: Name) -> None:
    running_task(client, file)
    worker.signal(signal.SIGINT)
    worker.wait_for_log(r"Press Ctrl-C again to stop at once")
    Path(file("go on")).touch()
    assert worker.wait() == 0


def test_a_stop_while_nothing_runs_is_quick_and_clean(worker: RunningWorker) -> None:
    worker.signal(signal.SIGTERM)
    assert worker.wait(limit=5) == 0
    assert "No task is running" in worker.log
    assert "Traceback" not in worker.log


def test_ctrl_c_for_the_whole_group_lets_children_finish(client: FastQ, worker: RunningWorker, file: Name) -> None:
    result = running_task(client, file)
    os.killpg(worker.pid, signal.SIGINT)
    worker.wait_for_log("Press Ctrl-C again")
    Path(file("go on")).touch()
    assert worker.wait() == 0
    assert result.get(timeout=5) == "done"


def test_tasks_that_have_not_begun_stay_in_the_queue_at_a_warm_stop(
    client: FastQ, start_worker: Any, file: Name
) -> None:
    worker = start_worker(SHOP, ("-c", "1"))
    running_task(client, file)
    waiting = [client.send_task("shop.add", (number, 0)) for number in range(5)]
    worker.signal(signal.SIGTERM)
    wait_for(lambda: depth(client)["ready"] == len(waiting), "their return")
    Path(file("go on")).touch()
    assert worker.wait() == 0
    start_worker(SHOP)
    assert [result.get(timeout=20) for result in waiting] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "how",
    [
        [(signal.SIGINT, "stopping when"), (signal.SIGINT, "stopping at once")],
        [(signal.SIGQUIT, "stopping at once")],
        [(signal.SIGTERM, "stopping when"), (signal.SIGQUIT, "stopping at once")],
    ],
)
def test_a_cold_stop_returns_what_ran_to_the_queue_at_once(
    client: FastQ, start_worker: Any, worker: RunningWorker, file: Name, how: list[tuple[signal.Signals, str]]
) -> None:
    result = running_task(client, file)
    processes = worker.processes()
    for which, line in how:
        worker.signal(which)
        worker.wait_for_log(f"{which.name}: {line}")
    assert worker.wait(limit=10) == 1
    assert alive(processes) == []
    assert (depth(client)["ready"], depth(client)["in_flight"]) == (1, 0)
    Path(file("go on")).touch()
    start_worker(SHOP)
    assert result.get(timeout=20) == "done"


def test_an_early_acknowledged_task_that_a_cold_stop_ends_has_failed(
    client: FastQ, worker: RunningWorker, file: Name
) -> None:
    result = running_task(client, file, "shop.wait_early")
    worker.signal(signal.SIGQUIT)
    assert worker.wait(limit=10) == 1
    assert (result.state, depth(client)["ready"]) == ("FAILURE", 0)


def test_a_warm_stop_that_takes_too_long_becomes_cold(client: FastQ, start_worker: Any, file: Name) -> None:
    worker = start_worker(SHOP, ("-c", "1", "--stop-timeout", "0.3"))
    running_task(client, file)
    worker.signal(signal.SIGTERM)
    worker.wait(limit=10)
    assert (depth(client)["ready"], depth(client)["in_flight"]) == (1, 0)


def test_hup_starts_the_same_worker_again_in_the_same_process(client: FastQ, worker: RunningWorker) -> None:
    before = worker.children(2)
    worker.signal(signal.SIGHUP)
    wait_for(lambda: worker.log.count("is ready and takes from") == 2, "the second start")
    assert worker.running
    assert not set(worker.children(2)) & set(before)
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_second_ctrl_c_returns_the_task_and_logs_no_failure(
    client: FastQ, start_worker: Any, file: Name, pool: str
) -> None:
    worker = start_worker(SHOP, ("-c", "1", "-P", pool))
    running_task(client, file)
    worker.signal(signal.SIGINT)
    worker.wait_for_log("Press Ctrl-C again")
    worker.signal(signal.SIGINT)
    assert worker.wait(limit=10) == 1
    assert (depth(client)["ready"], depth(client)["in_flight"]) == (1, 0)
    assert "Traceback" not in worker.log
    assert "ERROR" not in worker.log


def test_usr1_writes_the_stacks_though_the_log_is_a_file(start_worker: Any, file: Name) -> None:
    worker = start_worker(SHOP, ("-c", "1", "-l", "INFO", "-f", file("log")), {"FASTQ_WORKER_REDIRECT_STDOUTS": "1"})
    worker.signal(signal.SIGUSR1)
    worker.wait_for_log(r"most recent call first")
    assert worker.stop() == 0


def test_usr2_for_the_whole_group_is_ignored(client: FastQ, worker: RunningWorker) -> None:
    before = worker.children(2)
    os.killpg(worker.pid, signal.SIGUSR2)
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    assert worker.children(2) == before


def test_usr1_writes_the_stacks_and_the_stacks_and_the_worker_goes_on(client: FastQ, worker: RunningWorker) -> None:
    worker.signal(signal.SIGUSR1)
    worker.wait_for_log(r"most recent call first")
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3


def test_the_signals_of_a_workers_life_are_sent_in_order(start_worker: Any, file: Name) -> None:
    told = Path(file("signals"))
    worker = start_worker(SHOP, ("-c", "1"), {"SHOP_SIGNALS": str(told)})
    worker.children(1)
    wait_for(lambda: "worker_process_init" in told.read_text(), "the child's start")
    assert worker.stop() == 0
    lines = [line.split() for line in told.read_text().splitlines()]
    of_parent = [what for what, pid in lines if int(pid) == worker.pid]
    of_child = [what for what, pid in lines if int(pid) != worker.pid]
    # The shop is imported after celeryd_init was sent, as -A names a module: its receivers come too late for that one.
    assert [what for what in of_parent if what != "celeryd_init"] == [
        "worker_init",
        "celeryd_after_setup",
        "worker_ready",
        "worker_shutting_down",
        "worker_shutdown",
    ]
    assert of_child == ["worker_process_init", "worker_process_shutdown"]


def test_a_soft_stop_lets_running_tasks_end_in_their_time_and_then_puts_them_back(
    client: FastQ, start_worker: Callable[..., RunningWorker], file: Name
) -> None:
    worker = start_worker(SHOP, ("-c", "1"), {"FASTQ_WORKER_SOFT_SHUTDOWN_TIMEOUT": "60"})
    result = running_task(client, file)
    worker.signal(signal.SIGQUIT)
    worker.wait_for_log("stopping when 1 running task has ended, at the latest in 60 s")
    Path(file("go on")).touch()
    assert worker.wait() == 0
    assert result.get(timeout=5) == "done"

    Path(file("begun")).unlink()
    Path(file("go on")).unlink()
    worker = start_worker(SHOP, ("-c", "1"), {"FASTQ_WORKER_SOFT_SHUTDOWN_TIMEOUT": "0.2"})
    running_task(client, file)
    worker.signal(signal.SIGQUIT)
    worker.wait()
    assert (depth(client)["ready"], depth(client)["in_flight"]) == (1, 0)
