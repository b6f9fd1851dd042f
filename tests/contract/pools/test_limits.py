"""What limits do in every pool that has them: the cells of the table in docs/pools.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastq import FastQ
from fastq.exceptions import TimeLimitExceeded
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.worker import RunningWorker

SHOP = "tests.path.shop"
OPTIONS = {
    "prefork": ("-c", "4"),
    "asyncio": ("-P", "asyncio", "--processes", "1", "-c", "4"),
    "gevent": ("-P", "gevent", "-c", "4"),
    "threads": ("-P", "threads", "-c", "4"),
}


@pytest.fixture(params=OPTIONS)
def worker(request: pytest.FixtureRequest, start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker that runs four tasks at once, in each pool in turn."""
    return start_worker(SHOP, OPTIONS[request.param])


@pytest.fixture
def client(database_url: str) -> Iterator[FastQ]:
    """Return an app on the broker of this test."""
    app = FastQ("client", broker=database_url, backend=database_url, set_as_current=False)
    yield app
    app.close()


@pytest.mark.parametrize("task", ["shop.wait", "shop.await"])
def test_four_run_at_once(task: str, client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    begun, go_on = [tmp_path / f"begun-{number}" for number in range(4)], tmp_path / "go on"
    results = [client.send_task(task, (str(file), str(go_on))) for file in begun]
    wait_for(lambda: all(file.exists() for file in begun), "four that run at once")
    late = client.send_task("shop.add", (1, 1))
    go_on.touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 4
    assert late.get(timeout=20) == 2


def test_the_soft_limit_is_raised_in_plain_functions(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    assert client.send_task("shop.patient", (str(tmp_path / "begun"),)).get(timeout=20) == "cleaned up"
    worker.wait_for_log(r"Task shop.patient\[.*passed its soft time limit of 0.2 s")


def test_the_soft_limit_is_raised_where_a_coroutine_awaits(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.nap").get(timeout=20) == "woken"


def test_the_soft_limit_is_raised_in_no_neighbour(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    begun, go_on = [tmp_path / f"begun-{number}" for number in range(2)], tmp_path / "go on"
    others = [
        client.send_task(task, (str(file), str(go_on)))
        for task, file in zip(("shop.wait", "shop.await"), begun, strict=True)
    ]
    wait_for(lambda: all(file.exists() for file in begun), "the neighbours")
    assert client.send_task("shop.nap").get(timeout=20) == "woken"
    assert client.send_task("shop.patient", (str(tmp_path / "begun"),)).get(timeout=20) == "cleaned up"
    go_on.touch()
    assert [other.get(timeout=20) for other in others] == ["done"] * 2


@pytest.mark.parametrize("task", ["shop.endless", "shop.sleepless"])
def test_a_run_over_its_hard_limit_fails_and_its_neighbours_do_not(
    task: str, client: FastQ, worker: RunningWorker, tmp_path: Path
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    neighbour = client.send_task("shop.wait", (str(begun), str(go_on)))
    wait_for(begun.exists, "the neighbour")
    with pytest.raises(TimeLimitExceeded):
        client.send_task(task, (str(tmp_path / "stop"),)).get(timeout=20)
    (tmp_path / "stop").touch()
    go_on.touch()
    assert neighbour.get(timeout=20) == "done"


def test_after_many_hard_limits_there_are_as_many_slots_as_before(
    client: FastQ, worker: RunningWorker, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    for _ in range(3):
        with pytest.raises(TimeLimitExceeded):
            client.send_task("shop.endless", (str(stop),)).get(timeout=20)
    begun, go_on = [tmp_path / f"begun-{number}" for number in range(4)], tmp_path / "go on"
    results = [client.send_task("shop.wait", (str(file), str(go_on))) for file in begun]
    wait_for(lambda: all(file.exists() for file in begun), "four that run at once")
    stop.touch()
    go_on.touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * 4
