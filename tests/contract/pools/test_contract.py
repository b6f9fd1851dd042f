"""What every pool does, whatever its slots are: one suite, run on each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from fastq.exceptions import TimeoutError as ResultTimeout
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.worker import RunningWorker

SHOP = "tests.path.shop"


def one_slot(pool: str) -> tuple[str, ...]:
    """Return the options of a worker with one slot."""
    return ("-P", pool, "-c", "1", *(("--processes", "1") if pool == "asyncio" else ()))


@pytest.fixture(params=["prefork", "asyncio", "gevent", "threads", "solo"])
def pool(request: pytest.FixtureRequest) -> str:
    """Return the name of each pool in turn."""
    return str(request.param)


@pytest.fixture
def worker(pool: str, start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker with that pool and one slot."""
    return start_worker(SHOP, one_slot(pool))


@pytest.fixture
def client(database_url: str) -> Iterator[FastQ]:
    """Return an app on the broker of this test."""
    app = FastQ("client", broker=database_url, backend=database_url, set_as_current=False)
    yield app
    app.close()


def depth(client: FastQ) -> dict[str, Any]:
    producer: Any = client.producer
    return producer.depths()[0]


def test_a_job_runs_and_its_result_is_stored(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.add", (2, 3)).get(timeout=20) == 5


def test_one_slot_runs_jobs_one_after_the_other_in_order(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for number in range(50):
        client.send_task("shop.note", (str(notes), str(number)))
    wait_for(lambda: notes.exists() and len(notes.read_text().split()) == 50, "fifty notes")
    assert notes.read_text().split() == [str(number) for number in range(50)]


def test_what_a_job_raises_ends_the_job_and_not_the_slot(client: FastQ, worker: RunningWorker) -> None:
    with pytest.raises(ValueError, match="no luck"):
        client.send_task("shop.wrong").get(timeout=20)
    client.send_task("shop.leave").get(timeout=20, propagate=False)
    assert client.send_task("shop.add", (1, 1)).get(timeout=20) == 2


def test_a_job_is_retried(client: FastQ, worker: RunningWorker) -> None:
    assert client.send_task("shop.flaky", (2,)).get(timeout=20) == 2


def test_states_of_a_job_that_goes_on_are_stored_at_once(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    result = client.send_task("shop.progress", (str(begun), str(go_on)))
    wait_for(lambda: result.state == "HALFWAY", "the progress")
    go_on.touch()
    assert result.get(timeout=20) == "done"


def test_a_job_is_in_flight_until_it_has_ended(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    result = client.send_task("shop.wait", (str(begun), str(go_on)))
    wait_for(begun.exists, "its start")
    with pytest.raises(ResultTimeout):
        result.get(timeout=0.05)
    assert depth(client)["in_flight"] == 1
    go_on.touch()
    result.get(timeout=20)
    wait_for(lambda: not depth(client)["in_flight"], "its acknowledgement")


def test_a_warm_stop_waits_for_the_job(client: FastQ, worker: RunningWorker, tmp_path: Path) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    result = client.send_task("shop.wait", (str(begun), str(go_on)))
    wait_for(begun.exists, "its start")
    worker.signal(2)  # type: ignore[arg-type]
    worker.wait_for_log("SIGINT: stopping when 1 running task has ended")
    go_on.touch()
    assert worker.wait() == 0
    assert result.get(timeout=5) == "done"


def test_a_cold_stop_gives_the_job_back(
    client: FastQ, worker: RunningWorker, start_worker: Callable[..., RunningWorker], tmp_path: Path, pool: str
) -> None:
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    result = client.send_task("shop.wait", (str(begun), str(go_on)))
    wait_for(begun.exists, "its start")
    worker.signal(3)  # type: ignore[arg-type]
    assert worker.wait(limit=10) == 1
    assert (depth(client)["ready"], depth(client)["in_flight"]) == (1, 0)
    go_on.touch()
    start_worker(SHOP, one_slot(pool))
    assert result.get(timeout=20) == "done"


def test_an_idle_worker_stops_cleanly(worker: RunningWorker) -> None:
    assert worker.stop(limit=5) == 0
    assert "Traceback" not in worker.log


def test_processes_are_told_of_their_start_and_their_end(
    pool: str, start_worker: Callable[..., RunningWorker], tmp_path: Path
) -> None:
    told = tmp_path / "signals"
    worker = start_worker(SHOP, one_slot(pool), {"SHOP_SIGNALS": str(told)})
    wait_for(lambda: "worker_process_init" in told.read_text(), "the start")
    assert worker.stop() == 0
    assert "worker_process_shutdown" in told.read_text()
