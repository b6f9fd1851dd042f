"""Running a job: from a Job to an Outcome.

`compile_trace` makes one function per task, in which a run that returns is written out in line; every other ending is a
function in `execute/outcome.py`. The order of hooks, signals and stores is celery-inventory §11.1.

Nothing that a run asks for is done here: what it returned, and the messages that must follow, travel in the Outcome,
and the core carries them out together with the acknowledgement.

What a task raises ends that task and nothing else, `SystemExit` and `KeyboardInterrupt` included: a worker whose task
calls `sys.exit()` stores the failure and takes the next job.
"""

from __future__ import annotations

import logging
import os
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fastq import signals
from fastq._seam import DONE, Outcome, Record, new_tuple
from fastq.app import current
from fastq.app.context import Context
from fastq.app.current import Frame
from fastq.exceptions import EncodeError
from fastq.execute import journal
from fastq.execute.arguments import reader
from fastq.execute.errors import unwritable
from fastq.execute.outcome import (
    Following,
    Given,
    Run,
    done,
    finish,
    following,
    hooked,
    internal_error,
    not_registered,
    raised,
    undecodable,
    unprepared,
)
from fastq.execute.plan import KeptLoop, Plan, make_plan
from fastq.execute.redelivered import ended_before, succeeded_before
from fastq.result.wait import deny_joins_while
from fastq.states import STARTED, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastq._core import Job
    from fastq.app.protocol import App

__all__ = ["Executor", "Trace", "compile_trace", "note_start"]


class Trace(Protocol):
    """Runs one task."""

    def __call__(self, job: Job, given: Given | None = None, /) -> Outcome:
        """Run a job; `given` stands in for it when the call did not come from a broker."""


class Executor:
    """Runs jobs, one at a time.

    Args:
        app: whose tasks are run.
        hostname: the node name, as `request.hostname` tells it.
        store: where states of running tasks go (`Port.store`); None: straight to the backend.
        loop: where coroutines run; a new one by default.
    """

    def __init__(
        self,
        app: App,
        *,
        hostname: str,
        store: Callable[[Sequence[Record]], None] | None = None,
        loop: KeptLoop | None = None,
    ) -> None:
        """Set up; tasks are compiled when they are first run."""
        self._app = app
        self._hostname = hostname
        self._loop = loop or KeptLoop()
        self._traces: dict[str, Trace] = {}
        deny_joins_while(_runs_here)
        if store is not None and app.backend.capability.native:
            app.backend.writer = store

    def run(self, job: Job) -> Outcome:
        """Run a job and return how it ended and what it wants done. Never raises."""
        trace = self._traces.get(job.name)
        if trace is None:
            task = self._app.tasks.get(job.name)
            if task is None:
                return not_registered(self._app, job)
            try:
                trace = self._traces[job.name] = compile_trace(self._app, task, self._hostname, loop=self._loop)
            except Exception as error:  # noqa: BLE001 - settings and backends are the users'
                return unprepared(self._app, job, error)
        if job.redelivered and succeeded_before(self._app, job):
            return ended_before(self._app, job)
        return trace(job)

    def close(self) -> None:
        """End the event loop of coroutine tasks, and what they have left running there."""
        self._loop.close()


def _runs_here() -> bool:
    """Tell whether a worker's task runs here, which must not wait for others."""
    return any(not frame.request.called_directly and not frame.request.is_eager for frame in current.frames())


def compile_trace(app: App, task: Any, hostname: str, *, loop: KeptLoop | None = None, eager: bool = False) -> Trace:
    """Return the function that runs a task.

    Args:
        app: the app the task runs for.
        task: the task.
        hostname: the node name.
        loop: where coroutines run; a new one by default.
        eager: for runs that did not come from a broker.
    """
    plan = make_plan(app, task, hostname, loop or KeptLoop(), eager)
    read = reader(app)
    # Everything a run needs is a local of this function: a look-up in a closure is the cheapest there is.
    stores, in_outcome, tracks_start = plan.stores, plan.in_outcome, plan.tracks_start
    call, call_within, before_start = plan.call, plan.call_within, plan.before_start
    on_success, after_return, clean_up = plan.on_success, plan.after_return, plan.clean_up
    encode, save = plan.backend.documents.success, plan.backend.save
    from_job, logs = Context.from_job, journal.logger.isEnabledFor
    push_frame, current_frame, pop_frame = current.push_frame, current.current_frame, current.pop
    prerun, success, postrun = signals.task_prerun, signals.task_success, signals.task_postrun

    def trace(job: Job, given: Given | None = None, /) -> Outcome:
        if given is None:
            try:
                args, kwargs, embed = read(job)
            except Exception as error:  # noqa: BLE001 - a serializer raises what it likes
                return undecodable(app, job, error)
            request = from_job(job, hostname)
            known = request.__dict__
            known["args"], known["kwargs"], known["embed"] = args, kwargs, embed
            ignored, soft_limit = job.ignore_result, job.time_limits[1]
        else:
            request, ignored, soft_limit = given.request, given.ignored, None
            known = request.__dict__
            args, kwargs, embed = known["args"], known["kwargs"], known["embed"]
        followed = any(embed.values())
        follows: Following = (None, ())
        record: Record | None = None
        token = push_frame(new_tuple(Frame, (task, request, current_frame())))
        try:
            if prerun:
                prerun.send(task, task_id=request.id, task=task, args=args, kwargs=kwargs)
            if tracks_start and not ignored:
                note_start(plan, request)
            begun = perf_counter()
            try:
                if before_start is not None:
                    before_start(request.id, args, kwargs)
                value = call(*args, **kwargs) if soft_limit is None else call_within(soft_limit)(*args, **kwargs)
                if followed:
                    follows = following(Run(plan, request, args, kwargs, embed, ignored, given), value)
                if stores and not ignored:
                    alone = given is None and "children" not in known and not job.has_family
                    try:
                        record = encode(known["id"], value, request, alone)
                    except EncodeError as error:
                        raise unwritable(task, value, error) from None
            except BaseException as error:
                if eager and not isinstance(error, Exception):
                    raise
                return raised(Run(plan, request, args, kwargs, embed, ignored, given), error)
            seconds = perf_counter() - begun
            if record is not None and not in_outcome:
                save((record,))
                record = None
            if on_success is not None:
                hooked(plan, request, on_success, value, request.id, args, kwargs)
            if success:
                success.send(task, result=value, runtime=seconds)
            if logs(logging.INFO):
                journal.succeeded(task, request, value, seconds)
            if after_return is not None or postrun or given is not None:
                finish(Run(plan, request, args, kwargs, embed, ignored, given), SUCCESS, value, None)
            records = () if record is None else (record,)
            if followed or "outgoing" in known:
                return done(request, records, follows)
            return new_tuple(Outcome, (DONE, records, (), "", (), (), ""))
        except BaseException as error:
            if eager and not isinstance(error, Exception):
                raise
            return internal_error(Run(plan, request, args, kwargs, embed, ignored, given), error)
        finally:
            pop_frame(token)
            if clean_up is not None:
                clean_up()

    return trace


def note_start(plan: Plan, request: Context) -> None:
    """Store that a run has begun."""
    meta = {"pid": os.getpid(), "hostname": plan.hostname}
    plan.backend.store_result(request.id or "", meta, STARTED, request=request)
