"""A whole worker in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from fastq.exceptions import FastQError
from fastq.worker import Worker

__all__ = ["ThreadWorker", "start_worker"]

_READY_SECONDS: Final = 30.0


class _Worker(Worker):
    """A worker that leaves logging to the test, and says when it takes messages."""

    def __init__(self, app: Any, **options: Any) -> None:
        """Read the options."""
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        super().__init__(app, **options)

    def run(self) -> None:
        """Run until it is stopped; what ends it otherwise is kept for the test."""
        try:
            self.start()
        except BaseException as error:  # noqa: BLE001 - the test is told
            self.failure = error
        finally:
            self.ready.set()

    def _set_up_logging(self) -> None:
        """Leave logging as the test has it."""

    def _ready(self, fields: Mapping[str, Any]) -> None:
        super()._ready(fields)
        self.ready.set()


class _LoudWorker(_Worker):
    """One that sets logging up, as the command does."""

    def _set_up_logging(self) -> None:
        Worker._set_up_logging(self)  # noqa: SLF001 - past the one that does nothing


class ThreadWorker:
    """A worker in a thread of this process."""

    def __init__(self, app: Any, loud: bool, options: Mapping[str, Any], shutdown_timeout: float) -> None:
        """Start nothing yet.

        Args:
            app: whose tasks are run.
            loud: whether it sets logging up.
            options: of the worker.
            shutdown_timeout: seconds the running task has to end when the worker is stopped.
        """
        self.app = app
        self._make = _LoudWorker if loud else _Worker
        self._options = options
        self._shutdown_timeout = shutdown_timeout
        self._running: tuple[_Worker, threading.Thread] | None = None

    @property
    def hostname(self) -> str:
        """The node name."""
        return self._running[0].hostname if self._running else ""

    def start(self) -> None:
        """Start, and return when it takes messages.

        Raises:
            FastQError: it did not.
        """
        worker = self._make(self.app, **self._options)
        thread = threading.Thread(target=worker.run, name="fastq-test-worker", daemon=True)
        self._running = worker, thread
        thread.start()
        if not worker.ready.wait(_READY_SECONDS):
            raise FastQError(f"The test's worker did not take messages within {_READY_SECONDS:g} s.")
        _raise_failure(worker)

    def stop(self) -> None:
        """Stop, when the running task has ended.

        Raises:
            FastQError: it did not stop in time, or had failed.
        """
        if self._running is None:
            return
        (worker, thread), self._running = self._running, None
        worker.stop()
        thread.join(self._shutdown_timeout)
        if thread.is_alive():
            worker.terminate()
            raise FastQError(f"The test's worker did not stop within {self._shutdown_timeout:g} s: a task still runs.")
        _raise_failure(worker)

    def reload(self) -> None:
        """Begin anew: so that the worker knows the tasks that were declared since it began."""
        self.stop()
        self.start()


@contextmanager
def start_worker(
    app: Any,
    concurrency: int = 1,
    pool: str = "solo",
    loglevel: int | str | None = None,
    logfile: str | None = None,
    perform_ping_check: bool = True,  # noqa: ARG001 - Celery's; this worker says itself when it is ready
    shutdown_timeout: float = 10.0,
    **options: Any,
) -> Iterator[ThreadWorker]:
    """Run a worker in a thread of this process; within, it takes messages.

    Args:
        app: whose tasks are run.
        concurrency: how many at a time; the pool `solo` runs one.
        pool: where they run. `solo`: in that thread, so that tasks and test share their variables.
        loglevel: sets logging up at this level; None leaves it as the test has it.
        logfile: where the log goes.
        perform_ping_check: does nothing: the worker says itself when it takes messages.
        shutdown_timeout: seconds the running task has to end.
        **options: as of `fastq.worker.Worker`: `queues`, `hostname`, …

    Raises:
        FastQError: the worker did not start, or did not stop in time.
    """
    loud = loglevel is not None or logfile is not None
    given = {"concurrency": concurrency, "pool": pool, "loglevel": loglevel or "WARNING", "logfile": logfile}
    options = {"hostname": "testing@%h", "quiet": True, **given, **options}
    worker = ThreadWorker(app, loud, options, shutdown_timeout)
    try:
        worker.start()
        yield worker
    finally:
        worker.stop()


def _raise_failure(worker: _Worker) -> None:
    if worker.failure is not None:
        raise FastQError(f"The test's worker has failed: {worker.failure}") from worker.failure
