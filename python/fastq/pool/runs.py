"""The runs of an executor that makes many at the same time, whatever carries them: an event loop, or green threads.

What carries them watches the port. Jobs are taken while there are permits; how runs end is handed over when it comes
round, so that many ends cost one write. What the core asks of a run, to interrupt or to end it, comes over the port
too.
"""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from fastq.exceptions import FastQError
from fastq.execute import journal
from fastq.log import finish_lines
from fastq.pool.child import finish_as_failure, leave_as_copy

if TYPE_CHECKING:
    from fastq._core import Job, Port
    from fastq._seam import Outcome
    from fastq.app.protocol import App
    from fastq.pool.recycle import Wear

__all__ = ["PATIENCE_SECONDS", "Run", "Runs"]

_logger: Final = logging.getLogger("celery.pool")

PATIENCE_SECONDS: Final = 1.0
"""How long a cancelled run may take to end before it loses its permit and goes on without one."""


class Run:
    """One job that runs."""

    def __init__(self, job: Job) -> None:
        """Nothing carries it yet."""
        self.job = job
        self.began = time.monotonic()
        self.carrier: Any = None
        """What it runs in; None: a thread beside."""
        self.is_cancelled = False


R = TypeVar("R", bound=Run)


class Runs(ABC, Generic[R]):
    """Takes jobs from a port and runs them side by side. Called in one thread.

    Args:
        app: whose tasks are run.
        port: where jobs come from and outcomes go.
        permits: how many jobs run at the same time.
        wear: told of each job; it retires the port when there were enough.
    """

    def __init__(self, app: App, port: Port, permits: int, wear: Wear | None = None) -> None:
        """Take nothing yet."""
        self._app, self._port, self._permits = app, port, permits
        self._wear = wear
        self._running: dict[int, R] = {}
        self._given_up = 0
        self._takes = True
        self._comes_round = False
        self._process = os.getpid()
        journal.belongs_to(self._process)

    # ------------------------------------------------- what carries them does this

    @abstractmethod
    def begin(self, job: Job) -> R:
        """Begin a run; `ended` is called at its end."""

    @abstractmethod
    def interrupt(self, run: R) -> None:
        """Raise the soft limit in a run."""

    @abstractmethod
    def cancel(self, run: R) -> None:
        """Begin to end a run that the core has settled: `ended` or `give_up` follows."""

    @abstractmethod
    def soon(self, callback: Callable[[], object]) -> None:
        """Call back when all that is ready now has been seen to."""

    @abstractmethod
    def over(self) -> None:
        """Stop: the port has ended, and all that ran."""

    @abstractmethod
    def stop_hearing(self) -> None:
        """Watch the port no more: the parent is gone."""

    # ------------------------------------------------------------------ the port

    def hear(self) -> None:
        """See to what came over the port."""
        try:
            wishes = self._port.heed()
        except EOFError:
            self.stop_hearing()
            wishes = []
        for tag, is_to_end in wishes:
            run = self._running.get(tag)
            if run is None:
                continue  # it has ended meanwhile
            if is_to_end:
                run.is_cancelled = True
                self.cancel(run)
            else:
                self.interrupt(run)
        self.take()

    def take(self) -> None:
        """Take jobs while there are permits, and send what was handed over. The first call tells that one is ready."""
        take, running = self._port.next, self._running
        while self._takes and len(running) < self._permits:
            try:
                job = take(0.0)
            except EOFError:
                self._takes = False
                break
            if job is None:
                return  # it has sent what was gathered before it found nothing
            running[job.tag] = self.begin(job)
        self._port.flush()
        if not self._takes and not running:
            self.over()

    def _come_round(self) -> None:
        self._comes_round = False
        self.take()

    # ------------------------------------------------------------------ their ends

    def ended(self, run: R, outcome: Outcome) -> None:
        """Hand over how a run ended."""
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
        if self._wear is not None:
            self._wear.ran(time.monotonic() - run.began)
        if not self._comes_round:
            self._comes_round = True
            self.soon(self._come_round)

    def give_up(self, run: R) -> None:
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
            "a thread cannot be killed" if run.carrier is None else "it does not end when it is cancelled",
        )
        if self._given_up >= self._permits:
            self.too_many_given_up(self._given_up)
        self.take()

    def too_many_given_up(self, count: int) -> None:
        """As many runs that were given up still go on as there are permits."""
        _logger.error("%d tasks that were given up still run: this process is replaced.", count)
        self._port.retire()
