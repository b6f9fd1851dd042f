"""Threads beside an event loop: they run the jobs of tasks that are plain functions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastq._seam import IGNORED, Outcome
from fastq.execute.limits import ThreadGuard
from fastq.execute.termination import Termination

if TYPE_CHECKING:
    from fastq._core import Job

__all__ = ["Helpers"]


class Helpers:
    """As many threads as there is work for, up to a bound. They are born when they are needed and kept.

    Args:
        most: how many there may be.
        work: runs a job; called in a thread.
        done: told of each run that ended and how; called in that thread.
    """

    def __init__(self, most: int, work: Callable[[Job], Outcome], done: Callable[[Any, Outcome], object]) -> None:
        """Start nothing yet."""
        self._most, self._work, self._done = most, work, done
        self._lock = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._idle = 0
        self._busy: dict[Any, _Helper] = {}
        self._born = 0

    def put(self, run: Any) -> None:
        """Have a run made: something that has a `job`."""
        with self._lock:
            self._waiting.append(run)
            if self._idle >= len(self._waiting):
                self._lock.notify()
                return
            if self._idle + len(self._busy) >= self._most:
                return
            self._born += 1
            self._idle += 1  # it will come for work
        _Helper(self, f"Helper-{self._born}").start()

    def forget(self, run: Any) -> bool:
        """Forget a run that has not begun; False: it has, and then its thread is another's no more."""
        with self._lock:
            if run in self._waiting:
                self._waiting.remove(run)
                return True
            helper = self._busy.pop(run, None)
            if helper is not None:
                helper.is_given_up = True
                helper.guard.terminate(run.job.id)
            return False

    def interrupt(self, run: Any, task_id: str, seconds: float) -> None:
        """Raise SoftTimeLimitExceeded in a run."""
        helper = self._busy.get(run)
        if helper is not None:
            helper.guard.interrupt(task_id, seconds)

    def work_for(self, helper: _Helper) -> None:
        """Make runs as long as the process lives; called in a thread."""
        helper.guard.belongs_here()
        while not helper.is_given_up:
            with self._lock:
                while not self._waiting:
                    self._lock.wait()
                run = self._waiting.popleft()
                self._idle -= 1
                self._busy[run] = helper
            outcome = helper.make(run.job, self._work)
            with self._lock:
                if self._busy.pop(run, None) is not None:
                    self._idle += 1
            self._done(run, outcome)


class _Helper(threading.Thread):
    """A thread. A daemon: one that was given up must not keep the process."""

    def __init__(self, helpers: Helpers, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._helpers = helpers
        self.guard = ThreadGuard()
        self.is_given_up = False

    def make(self, job: Job, work: Callable[[Job], Outcome]) -> Outcome:
        """Make a run; one that is ended is raised out of."""
        try:
            return self.guard.run(job.id, lambda: work(job))
        except Termination:
            return Outcome(IGNORED)

    def run(self) -> None:
        """Work."""
        self._helpers.work_for(self)
