"""A queue to measure: an app on a new SQLite file, and workers on it that write no log lines per task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benches.python import tasks
from fastq import FastQ
from tests.support.worker import RunningWorker


class Bench:
    """The client's app and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/queue.db"
        self.app: FastQ = tasks.app
        self.app.conf.update(broker_url=self.url, result_backend=self.url)
        self.noop, self.mark = tasks.noop, tasks.mark
        self._workers: list[RunningWorker] = []

    def start_worker(self, children: int, options: Sequence[str] = ()) -> RunningWorker:
        """Start a worker; it may not be ready yet."""
        settings = {"FASTQ_BROKER_URL": self.url, "FASTQ_RESULT_BACKEND": self.url}
        options = ("-c", str(children), "-l", "WARNING", *options)
        worker = RunningWorker("benches.python.tasks:app", self.folder, options, settings)
        self._workers.append(worker)
        worker.start()
        return worker

    def warm_up(self, count: int = 200) -> None:
        """Return when that many tasks have run."""
        for result in [self.noop.delay(number) for number in range(count)]:
            result.get(timeout=60)

    def close(self) -> None:
        """End the workers and the connections."""
        for worker in self._workers:
            if worker.running:
                assert worker.stop() == 0, worker.log
        self.app.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return an empty queue."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
