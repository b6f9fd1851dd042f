"""What every test may ask for."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.worker import RunningWorker

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling


def pytest_configure(config: pytest.Config) -> None:
    """Let tests fork beside the thread that xdist has in each of its processes; Python 3.12 warns of every thread.

    And let workers hear of SIGHUP: whoever runs the tests with `nohup` has it ignored, and processes inherit that.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if "PYTEST_XDIST_WORKER" in os.environ:
        config.addinivalue_line("filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Return what shares the tests out when several processes run them."""
    from tests.support.side_by_side import ByFile

    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the tests do not reach them."""
    for name in os.environ:
        if name.startswith(("FASTQ_", "CELERY_")) and not name.startswith(("FASTQ_TEST_", "FASTQ_FAULTS")):
            monkeypatch.delenv(name)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite broker and store that does not exist yet."""
    return f"sqlite:///{tmp_path}/queue.db"


StartWorker = Callable[..., RunningWorker]


@pytest.fixture
def start_worker(tmp_path: Path, database_url: str) -> Iterator[StartWorker]:
    """Return a function that starts a worker on `database_url`; those that still run at the end are killed."""
    workers: list[RunningWorker] = []

    def start(
        app: str, options: Sequence[str] = ("-c", "2"), environment: Mapping[str, str] | None = None
    ) -> RunningWorker:
        settings = {"FASTQ_BROKER_URL": database_url, "FASTQ_RESULT_BACKEND": database_url, **(environment or {})}
        worker = RunningWorker(app, tmp_path, options, settings)
        workers.append(worker)
        worker.start()
        worker.wait_until_ready()
        return worker

    yield start
    for worker in workers:
        if worker.running:
            worker.kill()
