"""The runs of a child that makes many at the same time, on its event loop.

The loop watches the port. Jobs are taken while there are permits; how runs end is handed over when the loop comes
round, so that many ends cost one write. What the core asks of a run, to interrupt or to end it, comes
over the port too.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from fastq._seam import IGNORED, Outcome
from fastq.exceptions import FastQError, SoftTimeLimitExceeded
from fastq.execute import journal
from fastq.execute.concurrent import AsyncTrace, find_trace
from fastq.execute.trace import Executor
from fastq.log import finish_lines
from fastq.pool.child import finish_as_failure, leave_as_copy
from fastq.pool.helpers import Helpers

if TYPE_CHECKING:
    from fastq._core import Job, Port
    from fastq.app.protocol import App
    from fastq.execute.coroutines import Interruptible

__all__ = ["Runs"]

_logger: Final = logging.getLogger("celery.pool")

_PATIENCE_SECONDS: Final = 1.0
"""How long a cancelled run may take to end before it loses its permit and goes on without one."""
_MOST_THREADS: Final = 256


class _Run:
    """One job that runs."""

    __slots__ = ("interruptible", "is_cancelled", "job", "task")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.task: asyncio.Task[None] | None = None
        """None: it runs in a thread."""
        self.interruptible: Interruptible | None = None
        self.is_cancelled = False


class Runs:
    """Takes jobs from a port and runs them side by side; lives on one event loop.

    Args:
        app: whose tasks are run.
        port: where jobs come from and outcomes go.
        node: name of the worker.
        permits: how many jobs run at the same time.
        is_worn_out: asked after each job; when it says yes, no further job is taken.
    """

    def __init__(
        self, app: App, port: Port, node: str, permits: int, is_worn_out: Callable[[], bool] | None = None
    ) -> None:
        """Take nothing yet."""
        self._app, self._port, self._node, self._permits = app, port, node, permits
        self._is_worn_out = is_worn_out
        self._running: dict[int, _Run] = {}
        self._traces: dict[str, AsyncTrace | None] = {}
        self._given_up = 0
        self._takes = True
        self._comes_round = False
        self._process = os.getpid()

    async def serve(self) -> None:
        """Run jobs until the port ends and all that run have ended."""
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        # Makes this executor's port the one over which states of runs are stored, too.
        executor = Executor(self._app, hostname=self._node, store=self._port.store)
        self._helpers = Helpers(min(self._permits, _MOST_THREADS), executor.run, self._ended_in_thread)
        journal.belongs_to(self._process)
        self._loop.add_reader(self._port.fileno(), self._hear)
        try:
            self._take()  # the first call says hello
            await self._over
        finally:
            self._loop.remove_reader(self._port.fileno())

    # ------------------------------------------------------------------ the port

    def _hear(self) -> None:
        """Something came over the port."""
        try:
            wishes = self._port.heed()
        except EOFError:
            self._loop.remove_reader(self._port.fileno())
            wishes = []
        for tag, is_to_end in wishes:
            run = self._running.get(tag)
            if run is None:
                continue  # it has ended meanwhile
            if is_to_end:
                self._cancel(run)
            else:
                self._interrupt(run)
        self._take()

    def _come_round(self) -> None:
        self._comes_round = False
        self._take()

    def _take(self) -> None:
        """Take jobs while there are permits, and send what was handed over."""
        take, running = self._port.next, self._running
        while self._takes and len(running) < self._permits:
            try:
                job = take(0.0)
            except EOFError:
                self._takes = False
                break
            if job is None:
                return  # it has sent what was gathered before it found nothing
            self._begin(job)
        self._port.flush()
        if not self._takes and not running and not self._over.done():
            self._over.set_result(None)

    # ------------------------------------------------------------------ the runs

    def _begin(self, job: Job) -> None:
        run = self._running[job.tag] = _Run(job)
        name = job.name
        if name not in self._traces:
            self._traces[name] = find_trace(self._app, name, self._node)
        trace = self._traces[name]
        if trace is None:
            self._helpers.put(run)
        else:
            run.task = self._loop.create_task(self._make(run, trace))

    async def _make(self, run: _Run, trace: AsyncTrace) -> None:
        def interruptible(work: Interruptible) -> None:
            run.interruptible = work

        self._ended(run, await trace(run.job, interruptible))

    def _ended_in_thread(self, run: Any, outcome: Outcome) -> None:
        self._loop.call_soon_threadsafe(self._ended, run, outcome)

    def _ended(self, run: _Run, outcome: Outcome) -> None:
        finish_lines()
        job, port = run.job, self._port
        if os.getpid() != self._process:
            leave_as_copy(job, outcome)
        if self._running.get(job.tag) is not run:
            self._given_up -= 1
            _logger.warning("Task %s[%s], which was given up, has come to its end.", job.name, job.id)
            return
        del self._running[job.tag]
        if run.is_cancelled:
            port.let_go(job)
        else:
            try:
                port.finish(job, outcome)
            except FastQError as error:
                finish_as_failure(self._app, port, job, error)
        if self._is_worn_out is not None and self._is_worn_out():
            port.retire()
        if not self._comes_round:
            self._comes_round = True
            self._loop.call_soon(self._come_round)

    # ---------------------------------------------------------------- their ends

    def _interrupt(self, run: _Run) -> None:
        """Raise the soft limit in a run."""
        seconds = run.job.time_limits[1]
        if run.task is None:
            self._helpers.interrupt(run, run.job.id, seconds or 0.0)
        elif run.interruptible is not None and not run.task.done():
            run.interruptible.cancel = run.task.cancel
            run.interruptible.cancel_with(SoftTimeLimitExceeded(seconds))

    def _cancel(self, run: _Run) -> None:
        """End a run that the core has settled."""
        run.is_cancelled = True
        if run.task is None:
            if self._helpers.forget(run):
                self._ended(run, Outcome(IGNORED))
            else:
                self._give_up(run)
        else:
            run.task.cancel()
            self._loop.call_later(_PATIENCE_SECONDS, self._give_up, run)

    def _give_up(self, run: _Run) -> None:
        """Let a run that does not end go on without a permit."""
        if self._running.get(run.job.tag) is not run:
            return
        del self._running[run.job.tag]
        self._port.let_go(run.job)
        self._given_up += 1
        _logger.warning(
            "Task %s[%s] goes on, and nobody waits for it: %s.",
            run.job.name,
            run.job.id,
            "a thread cannot be killed" if run.task is None else "it does not end when it is cancelled",
        )
        if self._given_up >= self._permits:
            _logger.error("%d tasks that were given up still run: this process is replaced.", self._given_up)
            self._port.retire()
        self._take()
