"""Running coroutine tasks many at a time, on the event loop of an executor: the tracer of `trace.py`, awaited.

Each run is an asyncio task, so that it has a context of its own: what is current there is current in no other run.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fastq import signals
from fastq.app import current
from fastq.app.context import Context
from fastq.exceptions import EncodeError
from fastq.execute.arguments import reader
from fastq.execute.coroutines import Interruptible
from fastq.execute.errors import unwritable
from fastq.execute.outcome import Following, Run, following, internal_error, raised, succeeded, undecodable
from fastq.execute.plan import KeptLoop, Plan, make_plan
from fastq.execute.redelivered import ended_before, succeeded_before
from fastq.execute.trace import note_start

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastq._core import Job
    from fastq._seam import Outcome, Record
    from fastq.app.protocol import App

__all__ = ["AsyncTrace", "find_trace"]


class AsyncTrace(Protocol):
    """Runs one task."""

    def __call__(self, job: Job, interruptible: Callable[[Interruptible], object], /) -> Awaitable[Outcome]:
        """Run a job. A run with a soft limit gives what can be interrupted to `interruptible`. Never raises."""


def find_trace(app: App, name: str, hostname: str) -> AsyncTrace | None:
    """Return what runs the task called `name` on the event loop; None: it is no coroutine function."""
    task = app.tasks.get(name)
    if task is None:
        return None
    try:
        plan = make_plan(app, task, hostname, KeptLoop())
        return None if plan.coroutine is None else _compile(app, plan, plan.coroutine)
    except Exception:  # noqa: BLE001 - settings and backends are the users'; the other tracer meets it again and tells
        return None


def _compile(app: App, plan: Plan, coroutine: Callable[..., Any]) -> AsyncTrace:
    read = reader(app)

    async def trace(job: Job, interruptible: Callable[[Interruptible], object], /) -> Outcome:
        if job.redelivered and succeeded_before(app, job):
            return ended_before(app, job)
        try:
            args, kwargs, embed = read(job)
        except Exception as error:  # noqa: BLE001 - a serializer raises what it likes
            return undecodable(app, job, error)
        request = Context.from_job(job, plan.hostname)
        request.__dict__.update(args=args, kwargs=kwargs, embed=embed)
        run = Run(plan, request, args, kwargs, embed, job.ignore_result, None)
        token = current.push(plan.task, request)
        try:
            _announce(run)
            begun = perf_counter()
            try:
                _prepare(run)
                work = coroutine(*args, **kwargs)
                if job.time_limits[1] is not None:
                    work = Interruptible(work)
                    interruptible(work)
                value = await work
                record, follows = _conclude(run, value, is_alone=not job.has_family)
            except BaseException as error:  # noqa: BLE001 - what a task raises ends that task and nothing else
                return raised(run, error)
            seconds = perf_counter() - begun
            if record is not None and not plan.in_outcome:
                await asyncio.to_thread(plan.backend.save, (record,))
                record = None
            return succeeded(run, value, seconds, record, follows)
        except BaseException as error:  # noqa: BLE001 - the same
            return internal_error(run, error)
        finally:
            current.pop(token)
            if plan.clean_up is not None:
                plan.clean_up()

    return trace


def _announce(run: Run) -> None:
    plan, request = run.plan, run.request
    if signals.task_prerun:
        signals.task_prerun.send(plan.task, task_id=request.id, task=plan.task, args=run.args, kwargs=run.kwargs)
    if plan.tracks_start and not run.ignored:
        note_start(plan, request)


def _prepare(run: Run) -> None:
    if run.plan.before_start is not None:
        run.plan.before_start(run.request.id, run.args, run.kwargs)


def _conclude(run: Run, value: Any, *, is_alone: bool) -> tuple[Record | None, Following]:
    """Return the state to store and what follows a run that has returned."""
    plan, request = run.plan, run.request
    follows: Following = following(run, value) if any(run.embed.values()) else (None, ())
    if not plan.stores or run.ignored:
        return None, follows
    try:
        alone = is_alone and "children" not in request.__dict__
        return plan.backend.documents.success(request.id or "", value, request, alone), follows
    except EncodeError as error:
        raise unwritable(plan.task, value, error) from None
