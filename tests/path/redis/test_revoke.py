"""What hearing of revocations costs on Redis, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastq import FastQ
from fastq.exceptions import TaskRevokedError
from tests.path.redis.conftest import Watched
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker

SHOP = "tests.path.shop"


@pytest.fixture
def worker(start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of two children."""
    return start_worker(SHOP)


def test_no_task_costs_a_command(server: Watched, worker: RunningWorker, app: FastQ) -> None:
    wait_for(lambda: len(server.clients("pubsub")) == 1, "the worker to listen, over one connection")
    app.control.revoke(["somebody"])
    wait_for(lambda: server.calls("publish"), "that to be told")
    asked = ("zrangebyscore", "zscore", "subscribe", "eval", "zrange", "exists", "hget")

    def calls() -> int:
        return sum(server.calls(command) for command in asked)

    add: Any = app.signature("shop.add", (1, 1))
    add.apply_async().get(timeout=20)
    before, of_exchanges = calls(), server.calls("multi")
    results = [add.apply_async() for _ in range(300)]
    assert [result.get(timeout=20) for result in results] == [2] * 300
    # As before there was anything to revoke: an exchange watches its session's hash and looks for what is due.
    exchanges = server.calls("multi") - of_exchanges
    assert calls() - before <= 3 * exchanges + 20


def test_a_worker_that_was_cut_off_learns_what_it_has_missed(
    server: Watched, worker: RunningWorker, app: FastQ, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    running = app.send_task("shop.wait", (str(begun), str(tmp_path / "go on")))
    wait_for(begun.exists, "the run")
    wait_for(lambda: server.clients("pubsub"), "the worker to listen")
    (listening,) = server.clients("pubsub")
    server.do("CLIENT", "KILL", "TYPE", "pubsub")
    running.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        running.get(timeout=20)
    (again,) = wait_for(lambda: server.clients("pubsub"), "the worker to listen again")
    assert again.split()[0] != listening.split()[0]
    assert app.send_task("shop.add", (1, 2)).get(timeout=20) == 3


def test_a_worker_without_remote_control_obeys_the_record_and_no_command(
    server: Watched, start_worker: Callable[..., RunningWorker], app: FastQ, tmp_path: Path
) -> None:
    start_worker(SHOP, environment={"FASTQ_WORKER_ENABLE_REMOTE_CONTROL": "0"})
    wait_for(lambda: server.clients("pubsub"), "the worker to listen")
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    deaf = app.send_task("shop.wait", (str(begun), str(go_on)))
    wait_for(begun.exists, "the run")
    app.control.revoke(deaf.id, terminate=True, pattern="*")
    ended = app.send_task("shop.wait", (str(tmp_path / "other"), str(tmp_path / "never")))
    wait_for((tmp_path / "other").exists, "the other run")
    ended.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        ended.get(timeout=20)
    go_on.touch()
    assert deaf.get(timeout=20) == "done"
