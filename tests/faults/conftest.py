"""A queue under fault: the client's side of it, its ledger, and how to start a worker."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from fastq import FastQ
from tests.support.ledger import Ledger
from tests.support.redis_server import RedisServer
from tests.support.worker import RunningWorker

APP = "tests.faults.tasks:app"
RECORD = "tests.faults.tasks.record"
HOLD = "tests.faults.tasks.hold"


class Place:
    """A broker with its ledger, a client and workers.

    Args:
        folder: for logs and the ledger.
        url: of broker and results, as the client goes there.
        worker_url: as workers go there, when that is another way.
    """

    def __init__(self, folder: Path, url: str, worker_url: str | None = None) -> None:
        self.folder = folder
        self.url = url
        self.ledger = Ledger(folder / "ledger.txt")
        self.client = FastQ("faults-client", broker=self.url, backend=self.url, set_as_current=False)
        self.environment = {
            "FASTQ_BROKER_URL": worker_url or url,
            "FASTQ_RESULT_BACKEND": worker_url or url,
            "FASTQ_TEST_LEDGER": str(self.ledger.path),
        }
        self._workers: list[RunningWorker] = []

    def worker(
        self,
        options: Sequence[str] = ("-c", "2"),
        environment: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
    ) -> RunningWorker:
        """Return a worker that takes messages; the arguments are those of `RunningWorker`."""
        worker = RunningWorker(APP, self.folder, options, {**self.environment, **(environment or {})}, launcher)
        self._workers.append(worker)
        worker.start()
        worker.wait_until_ready()
        return worker

    def send(self, numbers: Sequence[int]) -> dict[int, str]:
        """Publish a task for each number; return the ids."""
        return {number: self.client.send_task(RECORD, (number,)).id for number in numbers}

    def results(self, ids: Mapping[int, str], *, limit: float = 60.0) -> dict[int, object]:
        """Return the result of every task, waiting for it."""
        return {number: self.client.AsyncResult(task_id).get(timeout=limit) for number, task_id in ids.items()}

    def left(self) -> int:
        """Return how many messages the broker still holds, dead ones too."""
        names = ("ready", "in_flight", "delayed", "dead")
        return sum(depth[name] for depth in self.client.producer.depths() for name in names)  # type: ignore[literal-required]

    def close(self) -> None:
        """Close the client and kill what still runs."""
        self.client.close()
        for worker in self._workers:
            if worker.running:
                worker.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Return a redis-server that nobody else uses."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place: what dies beside a broker must not matter, whatever the broker is."""
    on_file = request.param == "sqlite"
    place = Place(tmp_path, f"sqlite:///{tmp_path}/queue.db" if on_file else request.getfixturevalue("server").url)
    yield place
    place.close()


@pytest.fixture
def long() -> bool:
    """Whether faults run at full length: `make faults`."""
    return os.environ.get("FASTQ_FAULTS") == "long"


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Return a source of chance whose seed is printed when the test fails; FASTQ_FAULTS_SEED sets it."""
    seed = int(os.environ.get("FASTQ_FAULTS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FASTQ_FAULTS_SEED={seed}")
    return random.Random(seed)
