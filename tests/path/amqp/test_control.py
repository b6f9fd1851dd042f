"""Tasks called off, and who works, over RabbitMQ: what holds on the other brokers holds here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq.exceptions import TaskRevokedError
from tests.path.conftest import SHOP
from tests.path.test_revoke import (
    test_a_run_ends_where_that_is_wanted_and_nothing_that_follows_it_is_sent,
    test_a_run_goes_on_unless_it_is_to_be_ended,
    test_a_worker_that_starts_later_obeys_it,
    test_one_that_is_terminated_before_it_begins_is_called_off,
    test_one_that_waits_behind_others_ends_at_once,
    test_one_that_waits_for_its_time_is_called_off_when_that_comes_or_before,
    test_tasks_are_called_off_by_their_stamps,
    test_the_signal_task_revoked_tells_how,
    test_what_was_called_off_before_it_was_sent_never_runs,
)
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker

__all__ = [
    "test_a_run_ends_where_that_is_wanted_and_nothing_that_follows_it_is_sent",
    "test_a_run_goes_on_unless_it_is_to_be_ended",
    "test_a_worker_that_starts_later_obeys_it",
    "test_one_that_is_terminated_before_it_begins_is_called_off",
    "test_one_that_waits_behind_others_ends_at_once",
    "test_one_that_waits_for_its_time_is_called_off_when_that_comes_or_before",
    "test_tasks_are_called_off_by_their_stamps",
    "test_the_signal_task_revoked_tells_how",
    "test_what_was_called_off_before_it_was_sent_never_runs",
]


@pytest.fixture
def client(app: FastQ) -> FastQ:
    """Return an app on the virtual host."""
    return app


@pytest.fixture
def start_worker(start_worker: Callable[..., RunningWorker]) -> Callable[..., RunningWorker]:
    """Return a function that starts a worker on the virtual host."""

    def start(
        app: str, options: Sequence[str] = ("-c", "2"), environment: Mapping[str, str] | None = None
    ) -> RunningWorker:
        return start_worker(app, options, {"FASTQ_RESULT_BACKEND": "rpc://", **(environment or {})})

    return start


@pytest.fixture
def fastq(database_url: str, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs `fastq` on the virtual host, and returns what it prints."""

    def run(*words: str, code: int = 0) -> Any:
        settings = {"FASTQ_APP": SHOP, "FASTQ_BROKER_URL": database_url, "FASTQ_RESULT_BACKEND": "rpc://"}
        environment = {**os.environ, **settings, "PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, "-m", "fastq", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if "--json" in words else done.stdout + done.stderr

    return run


def test_the_workers_are_shown_with_what_they_hold(
    client: FastQ, start_worker: Callable[..., RunningWorker], fastq: Callable[..., Any], file: Any
) -> None:
    assert "No worker is alive" in fastq("status", code=69)
    workers = [start_worker(SHOP, ("-c", "1", "-n", f"{name}@host", "-Q", queue)) for name, queue in [
        ("one", "celery"), ("two", "other"),
    ]]  # fmt: skip
    client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "the run")

    one, two = wait_for(lambda: len(found := fastq("status", "--json")) == 2 and found, "both workers")
    assert (one["node"], one["pid"], one["queues"], one["in_flight"], one["alive"]) == (
        *("one@host", workers[0].pid, ["celery"], 1, True),
    )
    assert (two["node"], two["queues"], two["in_flight"]) == ("two@host", ["other"], 0)
    queues = {depth["queue"]: depth for depth in fastq("queues", "--json")}
    assert (queues["celery"]["in_flight"], queues["celery"]["delayed"], queues["other"]["ready"]) == (1, None, 0)
    workers[1].stop()
    assert [worker["node"] for worker in fastq("status", "--json")] == ["one@host"]
    Path(file("go on")).touch()


def test_a_task_is_called_off_by_a_command(
    client: FastQ, start_worker: Callable[..., RunningWorker], fastq: Callable[..., Any], file: Any
) -> None:
    result = client.send_task("shop.note", (file("notes"), "ran"))
    assert "revoked" in fastq("control", "revoke", result.id)
    assert [one["id"] for one in client.control.revoked()] == [result.id]
    start_worker(SHOP)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)
    assert not Path(file("notes")).exists()


def test_a_worker_that_was_cut_off_learns_what_it_has_missed(
    client: FastQ, worker: RunningWorker, node: Any, file: Any
) -> None:
    running = client.send_task("shop.wait", (file("begun"), file("go on")))
    wait_for(Path(file("begun")).exists, "the run")
    node.hang_up(node.test_vhost)
    running.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        running.get(timeout=30)
    assert client.send_task("shop.add", (1, 2)).get(timeout=30) == 3


def test_a_user_who_may_keep_no_record_works_all_the_same(
    node: Any, client: FastQ, start_worker: Callable[..., RunningWorker]
) -> None:
    node.permit("guest", node.test_vhost, configure="^(?!fastq[.]revoked)", write=".*", read=".*")
    worker = start_worker(SHOP)
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    worker.wait_for_log("knows only of tasks that are revoked while it runs")
