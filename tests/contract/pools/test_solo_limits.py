"""What limits do where one task runs at a time, on the worker's main thread: the column `solo` of docs/pools.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastq import FastQ
from fastq.exceptions import TimeLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.worker import RunningWorker


@pytest.fixture
def worker(start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of the solo pool."""
    return start_worker("tests.path.shop", ("-P", "solo"))


@pytest.fixture
def client(database_url: str) -> Iterator[FastQ]:
    """Return an app on the broker of this test."""
    app = FastQ("client", broker=database_url, backend=database_url, set_as_current=False)
    yield app
    app.close()


def test_the_soft_limit_is_raised_in_plain_functions(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    assert client.send_task("shop.patient", (str(tmp_path / "begun"),)).get(timeout=20) == "cleaned up"
    worker.wait_for_log(r"Task shop.patient\[.*passed its soft time limit of 0.2 s")
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3


def test_the_soft_limit_is_raised_where_a_coroutine_awaits(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.nap").get(timeout=20) == "woken"


@pytest.mark.parametrize("task", ["shop.endless", "shop.sleepless"])
def test_the_hard_limit_ends_the_task(task: str, client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(TimeLimitExceeded):
            client.send_task(task, (str(tmp_path / "stop"),)).get(timeout=20)
    worker.wait_for_log(rf"Task {task}\[.*passed its time limit of 0.3 s")
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3


def test_a_limit_that_was_not_passed_interrupts_nothing_that_follows(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.add", (1, 2), time_limit=0.4, soft_time_limit=0.3).get(timeout=20) == 3
    assert client.send_task("shop.sleep", (0.6,)).get(timeout=20)
    assert "passed its" not in worker.log
