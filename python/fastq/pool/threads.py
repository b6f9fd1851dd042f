"""Jobs in threads of the worker's own process: for tasks that mostly wait, and for code that shares memory.

Each thread has a slot of its own, over the same port that a child has. A thread cannot be killed. One whose task passes
its time limit is given up: the core settles the task as timed out, another thread takes the place, and what the first
one still does counts for nothing. When as many have been given up as there are slots, and none of them has ended, the
worker stops, so that whoever watches over it starts a new one.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from fastq import signals
from fastq.execute.limits import ThreadGuard
from fastq.execute.termination import Termination
from fastq.execute.trace import Executor
from fastq.pool.base import ATTEND_SECONDS, Pool
from fastq.pool.child import take_and_run

if TYPE_CHECKING:
    from fastq._core import Job, Port
    from fastq._core import Worker as Core
    from fastq._seam import Outcome, Record

__all__ = ["ThreadsPool"]

_logger: Final = logging.getLogger("celery.pool")


class ThreadsPool(Pool):
    """A thread per slot. The main thread sees to Events and limits."""

    name: ClassVar[str] = "threads"
    has_limits: ClassVar[bool] = True
    gives_up_slots: ClassVar[bool] = True

    _core: Core

    def serve(self, core: Core, attend: Callable[[float], bool]) -> None:
        """Run jobs in threads until the worker has stopped."""
        self._core = core
        self._threads: dict[int, _Thread] = {}
        self._given_up: set[_Thread] = set()
        self._numbers = iter(range(1, 1_000_000_000))
        self._local = threading.local()
        signals.worker_process_init.send(sender=self.settings.node)
        for _ in range(self.slots):
            self._begin()
        try:
            while attend(ATTEND_SECONDS):
                pass
        finally:
            signals.worker_process_shutdown.send(sender=self.settings.node, pid=os.getpid(), exitcode=0)

    def limit_passed(self, slot: int, task_id: str, seconds: float, *, hard: bool) -> None:
        """Interrupt the run of a task, or give up the thread that it is in: the core has done so."""
        thread = self._threads.get(slot)
        if thread is None:
            return
        if not hard:
            thread.guard.interrupt(task_id, seconds)
            return
        del self._threads[slot]
        self._given_up.add(thread)
        self._begin()
        self._given_up = {thread for thread in self._given_up if thread.is_alive()}
        _logger.warning(
            "%s goes on with task %s, and nobody waits for it: a thread cannot be killed. Another takes its place.",
            thread.name,
            task_id,
        )
        if len(self._given_up) >= self.slots:
            _logger.error(
                "%d threads that were given up are still at work: this worker stops, so that a new one can be started. "
                "Tasks that do not end are better off in -P prefork, where they are killed.",
                len(self._given_up),
            )
            self._core.stop("warm")

    def terminated(self, slot: int, task_id: str) -> None:
        """End the run of a task whose thread the core has given up: it is raised there, and another takes its place."""
        thread = self._threads.pop(slot, None)
        if thread is not None:
            self._given_up.add(thread)
            thread.guard.terminate(task_id)
            self._begin()

    def _begin(self) -> None:
        thread = _Thread(self, self._core.port(), f"Thread-{next(self._numbers)}")
        self._threads[thread.port.slot] = thread
        thread.start()

    def work(self, thread: _Thread) -> None:
        """Run jobs until the port of a thread ends; called in that thread."""
        self._local.port = thread.port
        thread.guard.belongs_here()
        executor = Executor(self.app, hostname=self.settings.node, store=self._store)
        try:
            take_and_run(self.app, thread.port, Guarded(executor, thread.guard))
        except Termination:
            return
        except Exception:
            if thread not in self._given_up:
                raise
        finally:
            executor.close()
        if thread in self._given_up:
            _logger.warning("%s, which was given up, has come to its end: what it did counts for nothing.", thread.name)

    def _store(self, records: Sequence[Record]) -> None:
        """Store states of a run that goes on, over the port of its thread; of threads that tasks start, over any."""
        port: Port | None = getattr(self._local, "port", None)
        if port is None:
            port = next(iter(self._threads.values())).port
        port.store(records)


class Guarded:
    """An executor whose runs can be ended by a guard."""

    def __init__(self, executor: Executor, guard: ThreadGuard) -> None:
        """Run as `executor` does."""
        self._executor, self._guard = executor, guard

    def run(self, job: Job) -> Outcome:
        """Run a job; raise Termination when its run was ended."""
        return self._guard.run(job.id, lambda: self._executor.run(job))


class _Thread(threading.Thread):
    """One slot. A daemon: one that was given up must not keep the process."""

    def __init__(self, pool: ThreadsPool, port: Port, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._pool = pool
        self.port = port
        self.guard = ThreadGuard()

    def run(self) -> None:
        """Run jobs."""
        self._pool.work(self)
