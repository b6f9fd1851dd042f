"""The endings of a run: one function for each, out of the happy path's way (celery-inventory §11).

Each does what its ending asks for in this order: store, errbacks, hook, signal, log, `after_return`, `task_postrun`.
What hooks raise is logged and changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastq import signals
from fastq._seam import (
    DONE,
    FAILED,
    IGNORED,
    REJECTED,
    REQUEUED,
    RETRIED,
    UNDECODABLE,
    Outcome,
    Part,
    Record,
)
from fastq.app.context import Context
from fastq.exceptions import Ignore, NotRegistered, Reject, Retry
from fastq.execute import callbacks, journal
from fastq.execute.arguments import reader
from fastq.execute.errors import ExceptionInfo, let_go
from fastq.execute.never import never_run, parts_of
from fastq.execute.termination import Termination, came_of_termination
from fastq.states import FAILURE, PENDING, RETRY, SUCCESS
from fastq.states import IGNORED as IGNORED_STATE
from fastq.states import REJECTED as REJECTED_STATE
from fastq.text import saferepr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastq._core import Job
    from fastq.app.protocol import App
    from fastq.execute.plan import Plan

__all__ = [
    "Following",
    "Given",
    "Run",
    "done",
    "finish",
    "following",
    "hooked",
    "internal_error",
    "not_registered",
    "raised",
    "succeeded",
    "undecodable",
    "unprepared",
]

_REASON_LENGTH = 500


@dataclass(slots=True)
class Given:
    """A run that did not come from a broker, and how it ended: written by the tracer, read by `execute/eager.py`."""

    request: Context
    ignored: bool
    follow_up: callbacks.Follow
    state: str = PENDING
    value: Any = None
    einfo: ExceptionInfo | None = None


@dataclass(slots=True)
class Run:
    """A run that has ended otherwise than by returning."""

    plan: Plan
    request: Context
    args: Sequence[Any]
    kwargs: dict[str, Any]
    embed: dict[str, Any]
    ignored: bool
    given: Given | None

    @property
    def stores_errors(self) -> bool:
        """Whether its failure is stored."""
        return self.plan.stores and (not self.ignored or self.plan.stores_ignored_errors)


def raised(run: Run, error: BaseException) -> Outcome:
    """End a run whose code raised: it failed, or asked for something with a control word."""
    if came_of_termination(error):
        raise Termination  # nothing is to follow, and the core says how it ended
    ending: Callable[[Run, Any], Outcome] = _failed
    if isinstance(error, Retry):
        ending = _retried
    elif isinstance(error, Ignore):
        ending = _ignored
    elif isinstance(error, Reject):
        ending = _rejected
    try:
        return ending(run, error)
    finally:
        if not run.plan.eager:
            let_go(error)


def succeeded(run: Run, value: Any, seconds: float, record: Record | None, following: Following) -> Outcome:
    """End a run that has returned; the tracer of tasks that run one at a time has this in line."""
    plan, request = run.plan, run.request
    if plan.on_success is not None:
        hooked(plan, request, plan.on_success, value, request.id, run.args, run.kwargs)
    if signals.task_success:
        signals.task_success.send(plan.task, result=value, runtime=seconds)
    if journal.logger.isEnabledFor(logging.INFO):
        journal.succeeded(plan.task, request, value, seconds)
    finish(run, SUCCESS, value, None)
    return done(request, () if record is None else (record,), following)


Following = tuple[callbacks.Composing | None, tuple[Part, ...]]
"""What follows a run that has returned: messages, where there are any, and its parts of chords."""


def following(run: Run, value: Any) -> Following:
    """Compose what follows a run that has returned.

    Raises:
        EncodeError: the value cannot be written.
    """
    plan, request = run.plan, run.request
    if run.given is not None:
        callbacks.follow(run.embed, request, value, run.given.follow_up)
        return None, ()
    composing = callbacks.Composing(plan.app, plan.task)
    callbacks.follow(run.embed, request, value, composing)
    if not run.embed.get("chord"):
        return composing, ()
    return composing, parts_of(plan.app, request, None, SUCCESS, value)


def done(request: Context, records: tuple[Record, ...], follows: Following) -> Outcome:
    """Return the outcome of a run that has returned and is followed by something."""
    composing, parts = follows
    messages, chords = request.take_outgoing(), request.take_chords()
    if composing is not None:
        messages, chords = (*messages, *composing.messages), (*chords, *composing.chords)
    released = request.__dict__.get("released")
    if released is not None:
        # A chord that this run has released: see fastq.execute.release.
        return Outcome(DONE, (*records, *released.records), messages, "", released.parts, chords, released.ended)
    return Outcome(DONE, records, messages, parts=parts, chords=chords)


def _failed(run: Run, error: BaseException) -> Outcome:
    plan, request = run.plan, run.request
    einfo = ExceptionInfo(error)
    records: list[Record] = []
    if run.stores_errors:
        records.append(plan.backend.record(request.id or "", FAILURE, error, einfo.traceback, request))
        for step in never_run(run.embed.get("chain")):
            records.append(plan.backend.record(step.id or "", FAILURE, error, einfo.traceback, step))
    left = _keep(run, records)
    composing = callbacks.Composing(plan.app, plan.task)
    if run.embed.get("errbacks"):
        follow_up = run.given.follow_up if run.given else composing
        callbacks.announce_failure(plan.app, run.embed, request, error, einfo.traceback, follow_up)
    if plan.on_failure is not None:
        hooked(plan, request, plan.on_failure, error, request.id, run.args, run.kwargs, einfo)
    if signals.task_failure:
        signals.task_failure.send(
            plan.task,
            task_id=request.id,
            exception=error,
            args=run.args,
            kwargs=run.kwargs,
            traceback=error.__traceback__,
            einfo=einfo,
        )
    journal.failed(plan.task, request, einfo)
    finish(run, FAILURE, error, einfo)
    return Outcome(
        FAILED,
        left,
        (*request.take_outgoing(), *composing.messages),
        _reason(error),
        _parts(run, FAILURE, error),
        (*request.take_chords(), *composing.chords),
    )


def _retried(run: Run, control: Retry) -> Outcome:
    plan, request = run.plan, run.request
    einfo = ExceptionInfo(control)
    left: tuple[Record, ...] = ()
    if run.stores_errors:
        record = plan.backend.record(request.id or "", RETRY, control.exc, einfo.traceback, request)
        try:
            left = _keep(run, (record,))
        except Exception:  # noqa: BLE001 - whatever the store raises
            # The next try matters more than the news of it.
            journal.logger.exception("The state RETRY of task %s[%s] could not be stored.", plan.task.name, request.id)
    if plan.on_retry is not None:
        hooked(plan, request, plan.on_retry, control.exc, request.id, run.args, run.kwargs, einfo)
    if signals.task_retry:
        signals.task_retry.send(plan.task, request=request, reason=control, einfo=einfo)
    journal.note(logging.INFO, journal.LOG_RETRY, plan.task, request, control)
    finish(run, RETRY, control, einfo)
    return Outcome(RETRIED, left, request.take_outgoing(), str(control))


def _ignored(run: Run, control: Ignore) -> Outcome:
    journal.note(logging.INFO, journal.LOG_IGNORED, run.plan.task, run.request)
    finish(run, IGNORED_STATE, control, None)
    # What has taken the place of this run goes on in its chord.
    replaced = run.request.__dict__.get("replaced")
    parts = () if replaced else _parts(run, IGNORED_STATE, str(control) or IGNORED_STATE)
    return Outcome(IGNORED, (), run.request.take_outgoing(), parts=parts, chords=run.request.take_chords())


def _rejected(run: Run, control: Reject) -> Outcome:
    plan, request = run.plan, run.request
    left: tuple[Record, ...] = ()
    if not control.requeue and run.stores_errors:
        left = _keep(run, (plan.backend.record(request.id or "", FAILURE, control, None, request),))
    journal.note(logging.WARNING, journal.LOG_REJECTED, plan.task, request, control)
    finish(run, REJECTED_STATE, control, None)
    ending = REQUEUED if control.requeue else REJECTED
    parts = () if control.requeue else _parts(run, FAILURE, control)
    reason = "" if control.reason is None else _reason(control.reason)
    return Outcome(ending, left, request.take_outgoing(), reason, parts, request.take_chords())


def _parts(run: Run, state: str, result: Any) -> tuple[Part, ...]:
    """Return the parts of a run that has not returned, and of what will never run now, in their chords."""
    if run.given is not None or not (run.embed.get("chord") or run.embed.get("chain")):
        return ()
    return parts_of(run.plan.app, run.request, run.embed.get("chain"), state, result)


def internal_error(run: Run, error: BaseException) -> Outcome:
    """End a run in which something outside of the task's code failed, such as a result store."""
    if isinstance(error, Termination):
        raise error
    plan, request = run.plan, run.request
    einfo = ExceptionInfo(error, internal=True)
    if signals.task_internal_error:
        signals.task_internal_error.send(
            plan.task,
            task_id=request.id,
            args=run.args,
            kwargs=run.kwargs,
            request=request,
            exception=error,
            traceback=error.__traceback__,
            einfo=einfo,
        )
    journal.failed(plan.task, request, einfo)
    left: tuple[Record, ...] = ()
    parts: tuple[Part, ...] = ()
    try:
        if run.stores_errors:
            ended = (request, *never_run(run.embed.get("chain")))
            left = _keep(run, [plan.backend.record(one.id or "", FAILURE, error, None, one) for one in ended])
        parts = _parts(run, FAILURE, error)
    except Exception:  # noqa: BLE001 - whatever the store raises
        journal.logger.exception("The failure of task %s[%s] could not be stored.", plan.task.name, request.id)
    if run.given is not None:
        run.given.state, run.given.value, run.given.einfo = FAILURE, error, einfo
    else:
        let_go(error)
    return Outcome(FAILED, left, (), f"Internal error: {_reason(error)}", parts)


def undecodable(app: App, job: Job, error: BaseException) -> Outcome:
    """End a job whose message could not be read: it never ran, and the core sets its message aside."""
    journal.logger.error("Task %s[%s] could not be decoded: %s", job.name, job.id, error)
    return _never_run(app, job, error, f"{type(error).__name__}: {error}")


def not_registered(app: App, job: Job) -> Outcome:
    """End a job of a task that this worker does not have."""
    journal.logger.error(
        "Task %s[%s] is not registered here: is the module that defines it imported?", job.name, job.id
    )
    return _never_run(app, job, NotRegistered(job.name), f"The task {job.name!r} is not registered.")


def unprepared(app: App, job: Job, error: BaseException) -> Outcome:
    """End a job whose task cannot be run as it is configured."""
    journal.logger.critical("Task %s[%s] cannot be run: %s", job.name, job.id, error, exc_info=error)
    return _never_run(app, job, error, f"The task cannot be run: {type(error).__name__}: {error}")


def _never_run(app: App, job: Job, error: BaseException, reason: str) -> Outcome:
    records: tuple[Record, ...] = ()
    parts: tuple[Part, ...] = ()
    try:
        backend = app.backend
        request = Context.from_job(job)
        steps = _steps_behind(app, job, request)
        if backend.capability.stores and not job.ignore_result:
            ended = (request, *never_run(steps))
            records = tuple(backend.record(one.id or "", FAILURE, error, None, one) for one in ended)
            if not backend.capability.native:
                backend.save(records)
                records = ()
        parts = parts_of(app, request, steps, FAILURE, error)
    except Exception:  # noqa: BLE001 - whatever the store raises
        journal.logger.exception("The failure of task %s[%s] could not be stored.", job.name, job.id)
    return Outcome(UNDECODABLE, records, (), reason[:_REASON_LENGTH], parts)


def _steps_behind(app: App, job: Job, request: Context) -> Any:
    """Return the steps of the chain behind a job that never ran, as far as its message can be read."""
    try:
        _, _, embed = reader(app)(job)
    except Exception:  # noqa: BLE001 - a serializer raises what it likes, and it has been told of
        embed = {}
    request.update(embed=embed)
    return embed.get("chain")


def _keep(run: Run, records: Sequence[Record]) -> tuple[Record, ...]:
    """Return the records that the core is to store; any others are saved here."""
    if run.plan.in_outcome:
        return tuple(records)
    if records:
        run.plan.backend.save(records)
    return ()


def finish(run: Run, state: str, value: Any, einfo: ExceptionInfo | None) -> None:
    """Do what is done after every run: `after_return` (unless ignored or rejected), and `task_postrun`."""
    plan = run.plan
    if run.given is not None:
        run.given.state, run.given.value, run.given.einfo = state, value, einfo
    if plan.after_return is not None and state not in (IGNORED_STATE, REJECTED_STATE):
        hooked(plan, run.request, plan.after_return, state, value, run.request.id, run.args, run.kwargs, einfo)
    if signals.task_postrun:
        signals.task_postrun.send(
            plan.task,
            task_id=run.request.id,
            task=plan.task,
            args=run.args,
            kwargs=run.kwargs,
            retval=value,
            state=state,
        )


def hooked(plan: Plan, request: Context, hook: Callable[..., Any], *args: Any) -> None:
    """Call a hook of the task; what it raises is logged, be it a `SystemExit`."""
    try:
        hook(*args)
    except BaseException as error:
        if plan.eager and not isinstance(error, Exception):
            raise
        name = getattr(hook, "__name__", repr(hook))
        journal.logger.exception("The hook %s of task %s[%s] raised.", name, plan.task.name, request.id)


def _reason(cause: object) -> str:
    return cause[:_REASON_LENGTH] if isinstance(cause, str) else saferepr(cause, _REASON_LENGTH)
