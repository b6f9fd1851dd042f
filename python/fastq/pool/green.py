"""The gevent pool: green threads in the worker's own process, for code that gevent has been told to make wait politely.

They share one slot with as many permits, over the same port as any other. gevent must have patched the standard library
before the app is imported, which `fastq worker -P gevent` sees to. The core's own threads are none of gevent's and
go on whatever a green thread does; one that does not give way holds up the others, and time limits with them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from fastq import signals
from fastq.exceptions import ImproperlyConfigured, SoftTimeLimitExceeded
from fastq.execute.limits import GreenGuard
from fastq.execute.plan import KeptLoop
from fastq.execute.trace import Executor
from fastq.platforms import green
from fastq.pool.base import ATTEND_SECONDS, Pool
from fastq.pool.runs import PATIENCE_SECONDS, Run, Runs

if TYPE_CHECKING:
    from fastq._core import Job
    from fastq._core import Worker as Core

__all__ = ["GeventPool"]

_logger: Final = logging.getLogger("celery.pool")

_READABLE: Final = 1


class GeventPool(Pool):
    """Green threads of this process."""

    name: ClassVar[str] = "gevent"
    has_limits: ClassVar[bool] = True
    default_concurrency: ClassVar[int | None] = 100
    most_concurrency: ClassVar[int] = 100_000

    @property
    def permits(self) -> int:
        """Jobs that run at the same time."""
        return self.settings.concurrency

    def prepare(self) -> None:
        """Refuse to start where nothing gives way.

        Raises:
            ImproperlyConfigured: gevent is not installed, or has not patched the standard library.
        """
        if not green.is_patched():
            raise ImproperlyConfigured(
                "worker_pool is 'gevent', but gevent has not patched the standard library before the app was imported: "
                "start the worker with `fastq worker -P gevent`, or call gevent.monkey.patch_all() first."
            )

    def serve(self, core: Core, attend: Callable[[float], bool]) -> None:
        """Run jobs, and see to Events between them, until the worker has stopped."""
        signals.worker_process_init.send(sender=self.settings.node)
        runs = _GreenRuns(self, core)
        runs.start()
        try:
            while attend(0.0):
                runs.wait(core.events_fd(), ATTEND_SECONDS)
        finally:
            signals.worker_process_shutdown.send(sender=self.settings.node, pid=os.getpid(), exitcode=0)


class _GreenRun(Run):
    """One job that runs in a green thread."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.guard = GreenGuard()


class _GreenRuns(Runs[_GreenRun]):
    """Jobs side by side in green threads."""

    def __init__(self, pool: GeventPool, core: Core) -> None:
        import gevent

        port = core.port()
        super().__init__(pool.app, port, pool.settings.concurrency)
        self._core, self._gevent = core, gevent
        self._executor = Executor(
            pool.app, hostname=pool.settings.node, store=port.store, loop=KeptLoop("fastq.execute.green:ThreadLoop")
        )
        self._watcher: Any = gevent.get_hub().loop.io(port.fileno(), _READABLE)

    def start(self) -> None:
        """Begin to take jobs."""
        self._watcher.start(self._spawn_hear)
        self.take()

    def wait(self, descriptor: int, seconds: float) -> None:
        """Let green threads run until there is something to read, or so long."""
        hub = self._gevent.get_hub()
        with self._gevent.Timeout(seconds, False):
            hub.wait(hub.loop.io(descriptor, _READABLE))

    def _spawn_hear(self) -> None:
        # The hub calls this, and nothing may wait there.
        self._gevent.spawn(self.hear)

    def begin(self, job: Job) -> _GreenRun:
        """Begin a run in a green thread of its own."""
        run = _GreenRun(job)
        run.carrier = self._gevent.spawn(self._make, run)
        return run

    def _make(self, run: _GreenRun) -> None:
        run.guard.belongs_here(lambda error: self._gevent.kill(run.carrier, error))
        self.ended(run, self._executor.run(run.job))

    def interrupt(self, run: _GreenRun) -> None:
        """Raise the soft limit where the green thread waits."""
        run.guard.interrupt(SoftTimeLimitExceeded(run.job.time_limits[1]))

    def cancel(self, run: _GreenRun) -> None:
        """Raise GreenletExit where the green thread waits."""
        self._gevent.kill(run.carrier)
        self._gevent.spawn_later(PATIENCE_SECONDS, self.give_up, run)

    def soon(self, callback: Callable[[], object]) -> None:
        """Call back in a green thread of its own, after those that are ready."""
        self._gevent.spawn(callback)

    def over(self) -> None:
        """Watch the port no more: the worker stops, and says so by an Event."""
        self.stop_hearing()

    def too_many_given_up(self, count: int) -> None:
        """Stop the worker: there is no process to replace but its own."""
        _logger.error(
            "%d tasks that were given up still run: this worker stops, so that a new one can be started.", count
        )
        self._core.stop("warm")

    def stop_hearing(self) -> None:
        """Watch the port no more."""
        self._watcher.stop()
