"""The life of a pool child: set up, take a job, run it, hand over how it ended; leave when the port ends."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from fastq import signals
from fastq._core import Job, Port
from fastq._seam import DONE, FAILED, IGNORED, Outcome
from fastq.exceptions import FastQError, TimeLimitExceeded
from fastq.execute import journal, limits
from fastq.execute.termination import HEEDED, Termination, ends_run
from fastq.execute.trace import Executor
from fastq.log import finish_lines, name_process
from fastq.platforms.title import set_title, worker_title
from fastq.pool.recycle import Wear, wear_of
from fastq.states import FAILURE

if TYPE_CHECKING:
    from types import FrameType

    from fastq.app.protocol import App
    from fastq.pool.base import PoolSettings
    from fastq.pool.nursery import Seat

__all__ = ["Childhood", "finish_as_failure", "hand_over", "heed", "leave_as_copy", "take_and_run"]

_logger: Final = logging.getLogger("celery.pool")

SHUTDOWN_SECONDS: Final = 1.0
"""How long the receivers of `worker_process_shutdown` may take before the child leaves without them."""


class Childhood:
    """What the processes of a prefork pool do."""

    def __init__(self, app: App, settings: PoolSettings) -> None:
        """Keep what every child needs; called in the parent."""
        self._app = app
        self._settings = settings
        self._born = 0.0

    def in_nursery(self) -> None:
        """Name the process."""
        set_title(worker_title(f"{self._settings.node}:Nursery"))

    def before_fork(self, slot: int) -> None:
        """Send `worker_before_create_process`."""
        signals.worker_before_create_process.send(sender=slot)

    def in_child(self, seat: Seat) -> None:
        """Set up, work until the port ends, and leave cleanly."""
        settings = self._settings
        self._born = time.monotonic()
        _become_child(seat.slot, settings)
        port = Port.from_fd(*seat)
        limits.guard.is_ending = port.is_ending
        limits.install()
        heed(ends_run(port.is_ending))
        exit_code = 1
        try:
            self.work(port)
            exit_code = 0
        except Termination:
            exit_code = 0  # the run that was to end has ended, and nothing else may begin here
        finally:
            heed(_leave_to_parent)
            self._leave(exit_code)

    def work(self, port: Port) -> None:
        """Run jobs until the port ends."""
        settings = self._settings
        executor = Executor(self._app, hostname=settings.node, store=port.store)
        signals.worker_process_init.send(sender=settings.node)
        wear = self.wear(port)
        try:
            take_and_run(self._app, port, executor, wear)
        except Termination:
            executor.close()  # a coroutine that was to end cleans up
            port.flush()
            raise

    def wear(self, port: Port, side_by_side: int = 1) -> Wear | None:
        """Return how this child, which is ready now, is worn out; None: it never is."""
        limits = self._settings.max_tasks_per_child, self._settings.max_memory_per_child
        return wear_of(port, *limits, self._born, side_by_side)

    def _leave(self, exit_code: int) -> None:
        if signals.worker_process_shutdown:
            # The parent may be gone, and whoever restarts it waits for nobody: no receiver may hold this process.
            limit = threading.Timer(SHUTDOWN_SECONDS, os._exit, (exit_code,))
            limit.daemon = True
            limit.start()
            signals.worker_process_shutdown.send(sender=self._settings.node, pid=os.getpid(), exitcode=exit_code)
            limit.cancel()
        for handler in logging.getLogger().handlers:
            handler.flush()


class Runner(Protocol):
    """Runs jobs, as an Executor does."""

    def run(self, job: Job, /) -> Outcome:
        """Run a job and return how it ended."""


def take_and_run(app: App, port: Port, executor: Runner, wear: Wear | None = None) -> None:
    """Run jobs until the port ends.

    Args:
        app: keeps results.
        port: where jobs come from and outcomes go.
        executor: runs them.
        wear: told of each job; it retires the port when there were enough.
    """
    take, finish, run = port.next, port.finish, executor.run
    process = os.getpid()
    journal.belongs_to(process)
    try:
        while True:
            job = take()
            if job is None:
                continue
            began = time.monotonic() if wear is not None else 0.0
            outcome = run(job)
            finish_lines()
            if os.getpid() != process:
                leave_as_copy(job, outcome)
            try:
                finish(job, outcome)
            except FastQError as error:
                finish_as_failure(app, port, job, error)
            if wear is not None:
                wear.ran(time.monotonic() - began)
    except EOFError:
        return


def hand_over(app: App, port: Port, executor: Executor, job: Job, at_end: Callable[[], object] = lambda: None) -> None:
    """Run one job and hand its outcome over; `at_end` is called between the two."""
    process = os.getpid()
    journal.belongs_to(process)
    try:
        outcome = executor.run(job)
    except Termination:
        outcome = Outcome(IGNORED)  # the core knows why
    except TimeLimitExceeded as error:
        # It came in the moment after the task's code had ended, and not a line of what followed can be relied on.
        outcome = _failure(app, job, error)
    at_end()
    finish_lines()
    if os.getpid() != process:
        leave_as_copy(job, outcome)
    try:
        port.finish(job, outcome)
    except FastQError as error:
        finish_as_failure(app, port, job, error)


def leave_as_copy(job: Job, outcome: Outcome) -> NoReturn:
    """End a process that a task has forked and let come back: the run, its outcome and the port are the original's."""
    _logger.warning(
        "Task %s[%s] has forked, and its copy (pid %s) came back: it leaves, and only what the original returns "
        "counts. End the copy with os._exit, or let it run another program.",
        job.name,
        job.id,
        os.getpid(),
    )
    logging.shutdown()
    os._exit(0 if outcome.ending == DONE else 1)


def finish_as_failure(app: App, port: Port, job: Job, error: FastQError) -> None:
    """End a run whose outcome the port does not take (it is larger than a frame may be): as a failure that says so."""
    _logger.error("Task %s[%s]: its outcome cannot be handed over: %s", job.name, job.id, error)
    port.finish(job, _failure(app, job, error))


def _failure(app: App, job: Job, error: Exception) -> Outcome:
    wanted = not job.ignore_result and app.backend.capability.native
    records = (app.backend.record(job.id, FAILURE, error),) if wanted else ()
    return Outcome(FAILED, records, (), str(error))


def _become_child(slot: int, settings: PoolSettings) -> None:
    """Part from what the nursery had: standard input, random numbers, title, log file."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    heed(_leave_to_parent)
    random.seed()
    if "numpy" in sys.modules:
        # Its global generator was copied by the fork: every child would draw the same numbers.
        sys.modules["numpy"].random.seed()
    name = f"Child-{slot + 1}"
    name_process(name)
    set_title(worker_title(f"{settings.node}:{name}"))
    if settings.set_up_logging is not None:
        settings.set_up_logging(slot + 1)


def heed(handler: Callable[[int, FrameType | None], object]) -> None:
    """Have signals handled that a terminal or supervisor may send to the whole group."""
    for number in HEEDED:
        signal.signal(number, handler)


def _leave_to_parent(_number: int, _frame: object) -> None:
    """Do nothing: what a terminal or supervisor sends to the whole group is meant for the parent.

    A handler and not SIG_IGN, which programs started by tasks would inherit.
    """
