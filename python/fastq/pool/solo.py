"""Jobs one after the other on the worker's own main thread: for debuggers, and where forking is not possible."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from fastq import signals
from fastq.execute.alarm import AlarmGuard
from fastq.execute.trace import Executor
from fastq.pool.base import ATTEND_SECONDS, Pool
from fastq.pool.child import hand_over

if TYPE_CHECKING:
    from fastq._core import Job, Port
    from fastq._core import Worker as Core

__all__ = ["SoloPool"]

_logger: Final = logging.getLogger("celery.pool")

_JOB_SECONDS: Final = 0.2
"""How long to wait for a job before Events are looked at: log lines of an idle worker are late by so much."""


class SoloPool(Pool):
    """One slot, in this process, over the same port that a child has."""

    name: ClassVar[str] = "solo"
    inline: ClassVar[bool] = True
    has_limits: ClassVar[bool] = True

    @property
    def slots(self) -> int:
        """One, whatever the concurrency."""
        return 1

    def serve(self, core: Core, attend: Callable[[float], bool]) -> None:
        """Run jobs, and see to Events between them, until the worker has stopped."""
        port = core.port()
        executor = Executor(self.app, hostname=self.settings.node, store=port.store)
        signals.worker_process_init.send(sender=self.settings.node)
        guard = AlarmGuard(port.is_ending)
        has_alarm = guard.install()
        try:
            while attend(0.0):
                job = port.next(_JOB_SECONDS)
                if job is not None:
                    self._run(port, executor, job, guard if has_alarm else None)
            return
        except EOFError:
            pass  # the slot was retired: the worker stops, and says so by an Event
        finally:
            if has_alarm:
                guard.uninstall()
            signals.worker_process_shutdown.send(sender=self.settings.node, pid=os.getpid(), exitcode=0)
        while attend(ATTEND_SECONDS):
            pass

    def _run(self, port: Port, executor: Executor, job: Job, guard: AlarmGuard | None) -> None:
        if guard is None:
            hand_over(self.app, port, executor, job)
            return
        guard.runs = True
        if job.time_limits != (None, None):
            guard.begin(job.time_limits[0])
        try:
            hand_over(self.app, port, executor, job, guard.end)
        finally:
            guard.end()
        for seconds, hard in guard.passed:
            kind = "" if hard else "soft "
            _logger.warning("Task %s[%s] passed its %stime limit of %g s.", job.name, job.id, kind, seconds)
