"""The asyncio pool: child processes, each with an event loop and so many permits.

A child is born, fed and replaced as one of the prefork pool is. It runs as many jobs at the same time as it has
permits: coroutine tasks on its loop, others in threads beside it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from fastq import signals
from fastq.pool.child import Childhood
from fastq.pool.prefork import PreforkPool
from fastq.pool.recycle import worn_out
from fastq.pool.runs import Runs

if TYPE_CHECKING:
    from fastq._core import Port

__all__ = ["AsyncioPool"]

_CLEAN_UP_SECONDS: Final = 1.0
"""How long what tasks have left running on the loop may take to end when it is cancelled."""


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
        is_worn_out = worn_out(settings.max_tasks_per_child, settings.max_memory_per_child)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        signals.worker_process_init.send(sender=settings.node)
        try:
            loop.run_until_complete(Runs(self._app, port, settings.node, settings.concurrency, is_worn_out).serve())
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
