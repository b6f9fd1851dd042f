"""The asyncio pool: child processes, each with an event loop and so many permits.

A child is born, fed and replaced as one of the prefork pool is. It runs as many jobs at the same time as it has
permits: coroutine tasks on its loop, others in threads beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from fastq import signals
from fastq._seam import IGNORED, Outcome
from fastq.exceptions import SoftTimeLimitExceeded
from fastq.execute.concurrent import AsyncTrace, find_trace
from fastq.execute.trace import Executor
from fastq.pool.child import Childhood
from fastq.pool.helpers import Helpers
from fastq.pool.prefork import PreforkPool
from fastq.pool.runs import PATIENCE_SECONDS, Run, Runs

if TYPE_CHECKING:
    from fastq._core import Job, Port
    from fastq.app.protocol import App
    from fastq.execute.coroutines import Interruptible
    from fastq.pool.recycle import Wear

__all__ = ["AsyncioPool"]

_CLEAN_UP_SECONDS: Final = 1.0
"""How long what tasks have left running on the loop may take to end when it is cancelled."""
_MOST_THREADS: Final = 256


class AsyncioPool(PreforkPool):
    """Processes with an event loop each."""

    name: ClassVar[str] = "asyncio"
    takes_processes: ClassVar[bool] = True
    default_concurrency: ClassVar[int | None] = 100
    most_concurrency: ClassVar[int] = 100_000

    @property
    def children(self) -> int:
        """As many processes as are asked for, always."""
        return self.settings.processes

    @property
    def most_children(self) -> int:
        """The same."""
        return self.settings.processes

    @property
    def slots(self) -> int:
        """Jobs that run at the same time, altogether."""
        return self.settings.processes * self.settings.concurrency

    @property
    def permits(self) -> int:
        """Jobs that each of them runs at the same time."""
        return self.settings.concurrency

    def childhood(self) -> Childhood:
        """Return what the children do."""
        return _LoopChildhood(self.app, self.settings)


class _LoopChildhood(Childhood):
    """What a child with an event loop does."""

    def work(self, port: Port) -> None:
        """Run jobs until the port ends."""
        settings = self._settings
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        signals.worker_process_init.send(sender=settings.node)
        wear = self.wear(port, settings.concurrency)
        runs = _LoopRuns(self._app, port, settings.concurrency, wear)
        try:
            loop.run_until_complete(runs.serve(settings.node))
        finally:
            _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what tasks have left running, and let it end if it does soon."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_CLEAN_UP_SECONDS))
    loop.run_until_complete(loop.shutdown_asyncgens())


class _LoopRun(Run):
    """One job that runs on the loop, or in a thread beside it."""

    carrier: asyncio.Task[None] | None
    interruptible: Interruptible | None = None

    def can_be_interrupted(self, work: Interruptible) -> None:
        """Keep what its soft limit is raised in."""
        self.interruptible = work


class _LoopRuns(Runs[_LoopRun]):
    """Jobs side by side on one event loop."""

    def __init__(self, app: App, port: Port, permits: int, wear: Wear | None) -> None:
        super().__init__(app, port, permits, wear)
        self._traces: dict[str, AsyncTrace | None] = {}

    async def serve(self, node: str) -> None:
        """Run jobs until the port ends and all that run have ended."""
        self._node = node
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.create_future()
        # Makes this executor's port the one over which states of runs are stored, too.
        executor = Executor(self._app, hostname=node, store=self._port.store)
        self._helpers = Helpers(min(self._permits, _MOST_THREADS), executor.run, self._ended_in_thread)
        self._loop.add_reader(self._port.fileno(), self.hear)
        try:
            self.take()
            await self._end
        finally:
            self.stop_hearing()

    def begin(self, job: Job) -> _LoopRun:
        """Begin a run: a task of the loop, or a turn in a thread."""
        run, name = _LoopRun(job), job.name
        if name not in self._traces:
            self._traces[name] = find_trace(self._app, name, self._node)
        trace = self._traces[name]
        if trace is None:
            self._helpers.put(run)
        else:
            run.carrier = self._loop.create_task(self._make(run, trace))
        return run

    async def _make(self, run: _LoopRun, trace: AsyncTrace) -> None:
        self.ended(run, await trace(run.job, run.can_be_interrupted))

    def _ended_in_thread(self, run: _LoopRun, outcome: Outcome) -> None:
        self._loop.call_soon_threadsafe(self.ended, run, outcome)

    def interrupt(self, run: _LoopRun) -> None:
        """Raise the soft limit where the coroutine awaits, or in the thread."""
        seconds = run.job.time_limits[1] or 0.0
        if run.carrier is None:
            self._helpers.interrupt(run, run.job.id, seconds)
        elif run.interruptible is not None:
            run.interruptible.cancel = run.carrier.cancel
            run.interruptible.cancel_with(SoftTimeLimitExceeded(seconds))

    def cancel(self, run: _LoopRun) -> None:
        """Cancel the task of the loop; give up the thread."""
        if run.carrier is not None:
            run.carrier.cancel()
            self._loop.call_later(PATIENCE_SECONDS, self.give_up, run)
        elif self._helpers.forget(run):
            self.ended(run, Outcome(IGNORED))
        else:
            self.give_up(run)

    def soon(self, callback: Callable[[], object]) -> None:
        """Call back in the loop's next turn."""
        self._loop.call_soon(callback)

    def over(self) -> None:
        """End `serve`."""
        if not self._end.done():
            self._end.set_result(None)

    def stop_hearing(self) -> None:
        """Watch the port no more."""
        self._loop.remove_reader(self._port.fileno())
