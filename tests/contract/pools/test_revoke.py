"""What revoking does in every pool: the cells of the table in docs/pools.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from fastq.exceptions import TaskRevokedError
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.worker import RunningWorker

SHOP = "tests.path.shop"
OPTIONS = {
    "prefork": ("-c", "2"),
    "asyncio": ("-P", "asyncio", "--processes", "1", "-c", "2"),
    "gevent": ("-P", "gevent", "-c", "2"),
    "threads": ("-P", "threads", "-c", "2"),
    "solo": ("-P", "solo"),
}
SIGNALS = ["TERM", "KILL", "INT", "HUP", "USR1"]


@pytest.fixture(params=OPTIONS)
def pool(request: pytest.FixtureRequest) -> str:
    """Return the name of each pool in turn."""
    return str(request.param)


@pytest.fixture
def worker(pool: str, start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker that runs two tasks at once, where its pool can."""
    return start_worker(SHOP, OPTIONS[pool])


@pytest.fixture
def client(database_url: str) -> Iterator[FastQ]:
    """Return an app on the broker of this test."""
    app = FastQ("client", broker=database_url, backend=database_url, set_as_current=False)
    yield app
    app.close()


def ended(result: Any) -> tuple[Any, ...]:
    """Return what `get` raises, once the task is called off."""
    with pytest.raises(TaskRevokedError) as caught:
        result.get(timeout=20)
    return caught.value.args


def test_one_that_has_not_begun_never_does(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    result = client.send_task("shop.note", (str(tmp_path / "notes"), "ran"), countdown=0.5)
    result.revoke(terminate=True)
    assert ended(result) == ("revoked",)
    assert not (tmp_path / "notes").exists()


def test_a_run_goes_on_when_only_its_task_is_revoked(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    running = client.send_task("shop.wait", (str(begun), str(go_on)))
    wait_for(begun.exists, "the run")
    running.revoke()
    go_on.touch()
    assert running.get(timeout=20) == "done"


@pytest.mark.parametrize("task", ["shop.tidy", "shop.tidy_later"])
def test_a_run_that_is_terminated_ends_and_may_tidy_up(
    task: str, client: FastQ, worker: RunningWorker, tmp_path: Path
) -> None:
    begun, tidied = tmp_path / "begun", tmp_path / "tidied"
    running = client.send_task(task, (str(begun), str(tidied)))
    wait_for(begun.exists, "the run")
    running.revoke(terminate=True)
    assert ended(running) == ("terminated",)
    wait_for(tidied.exists, "what comes finally")
    assert client.send_task("shop.add", (1, 2)).get(timeout=20) == 3
    assert "what ends a run is no error" not in worker.log


def test_its_neighbour_goes_on(client: FastQ, pool: str, worker: RunningWorker, tmp_path: Path) -> None:
    if pool == "solo":
        return  # there is none
    begun, go_on = tmp_path / "neighbour", tmp_path / "go on"
    neighbour = client.send_task("shop.wait", (str(begun), str(go_on)))
    running = client.send_task("shop.tidy", (str(tmp_path / "begun"), str(tmp_path / "tidied")))
    wait_for(lambda: begun.exists() and (tmp_path / "begun").exists(), "both to run")
    running.revoke(terminate=True)
    assert ended(running) == ("terminated",)
    go_on.touch()
    assert neighbour.get(timeout=20) == "done"


def test_as_many_run_at_once_as_before(client: FastQ, pool: str, worker: RunningWorker, tmp_path: Path) -> None:
    for number in range(3):
        begun = tmp_path / f"begun {number}"
        running = client.send_task("shop.tidy", (str(begun), str(tmp_path / "tidied")))
        wait_for(begun.exists, "the run")
        running.revoke(terminate=True)
        assert ended(running) == ("terminated",)
    slots = 1 if pool == "solo" else 2
    begun, go_on = [tmp_path / f"at once {number}" for number in range(slots)], tmp_path / "go on"
    results = [client.send_task("shop.wait", (str(file), str(go_on))) for file in begun]
    wait_for(lambda: all(file.exists() for file in begun), "all slots at work")
    go_on.touch()
    assert [result.get(timeout=20) for result in results] == ["done"] * slots


@pytest.mark.parametrize("signal", SIGNALS)
def test_in_prefork_the_signal_is_the_one_asked_for(
    signal: str, client: FastQ, start_worker: Callable[..., RunningWorker], tmp_path: Path
) -> None:
    worker = start_worker(SHOP, OPTIONS["prefork"])
    begun, tidied = tmp_path / "begun", tmp_path / "tidied"
    running = client.send_task("shop.tidy", (str(begun), str(tidied)))
    wait_for(begun.exists, "the run")
    (child,) = {int(line) for line in _ending(worker, running, signal)}
    assert ended(running) == ("terminated",)
    wait_for(lambda: child not in worker.children(), "the end of the process")
    assert tidied.exists() == (signal != "KILL")
    assert len(worker.children(2)) == 2


def _ending(worker: RunningWorker, running: Any, signal: str) -> list[str]:
    """Terminate a run, and return the processes that are not there any more."""
    before = set(worker.children(2))
    running.revoke(terminate=True, signal=signal)
    wait_for(lambda: len(before & set(worker.children())) == 1, "one to leave")
    return [str(pid) for pid in before - set(worker.children())]
