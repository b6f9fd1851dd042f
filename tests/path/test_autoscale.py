"""A worker whose number of processes follows the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.path.conftest import SHOP
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker

Start = Callable[..., "RunningWorker"]


def test_tasks_that_wait_get_processes_up_to_the_bound(client: FastQ, start_worker: Start, tmp_path: Path) -> None:
    worker = start_worker(SHOP, ("-l", "INFO", "--autoscale", "4,1"))
    assert len(worker.children(1)) == 1
    go_on = str(tmp_path / "go on")
    begun = [tmp_path / f"begun-{number}" for number in range(6)]
    results = [client.send_task("shop.wait", (str(path), go_on)) for path in begun]
    wait_for(lambda: sum(path.exists() for path in begun) == 4, "four that run at once")
    assert len(worker.children(4)) == 4
    worker.wait_for_log("Jobs wait: from 1 to 2 processes")
    Path(go_on).touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 6
    assert worker.stop() == 0
    assert "Traceback" not in worker.log


def test_without_work_there_are_no_more_than_the_least(client: FastQ, start_worker: Start) -> None:
    worker = start_worker(SHOP, ("--autoscale", "4,2"))
    for number in range(20):
        assert client.send_task("shop.add", (number, 1)).get(timeout=20) == number + 1
    assert len(worker.children(2)) == 2
    assert worker.stop() == 0
