"""Running a task here and now: `Task.apply`, and every call with `task_always_eager`. The same tracer, no broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fastq.app import checks
from fastq.app.context import Context
from fastq.app.send import new_id
from fastq.canvas import maybe_signature, signature
from fastq.exceptions import Retry
from fastq.execute.outcome import Given
from fastq.execute.plan import KeptLoop
from fastq.execute.trace import compile_trace
from fastq.names import host_name
from fastq.result import EagerResult
from fastq.states import IGNORED, PROPAGATE_STATES, REJECTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastq._core import Job
    from fastq.app.protocol import App

__all__ = ["apply"]


def apply(
    app: App, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
) -> EagerResult[Any]:
    """Run a task and return its result. A run that asks to be retried is run again at once.

    Args:
        app: the task's app.
        task: the task.
        args: positional arguments.
        kwargs: keyword arguments.
        options: calling options, and those of `Task.apply`: `throw`, `retries`, `loglevel`, `logfile`.

    Raises:
        Exception: what the task raised, when `throw` says so (by default the setting `task_eager_propagates`).
    """
    app.finalize(auto=True)
    checks.check_options(options, options)
    throw = options.pop("throw", None)
    throw = app.conf.task_eager_propagates if throw is None else throw
    loop = KeptLoop()
    trace = compile_trace(app, task, host_name(), loop=loop, eager=True)
    try:
        while True:
            request = _request(task, args, kwargs, options)
            given = Given(request, bool(request.ignore_result), _Follower(app))
            trace(cast("Job", given), given)
            if not isinstance(given.value, Retry) or given.value.sig is None:
                break
            again = given.value.sig
            args, kwargs = tuple(again.args), dict(again.kwargs)
            options = {**options, "retries": request.retries + 1, "task_id": request.id}
    finally:
        loop.close()
    if throw and given.state in PROPAGATE_STATES and isinstance(given.value, BaseException):
        raise given.value
    value = None if given.state in (IGNORED, REJECTED) else given.value
    text = given.einfo.traceback if given.einfo is not None else None
    return EagerResult(request.id or "", value, given.state, text, task.name)


def _request(task: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> Context:
    """Return the request of an eager run."""
    task_id = options.get("task_id") or new_id()
    embed = {
        "callbacks": _listed(options.get("link")),
        "errbacks": _listed(options.get("link_error")),
        "chain": list(options.get("chain") or ()),
        "chord": options.get("chord"),
    }
    known = {
        "id": task_id,
        "task": task.name,
        "args": args,
        "kwargs": kwargs,
        "embed": embed,
        **embed,
        "retries": options.get("retries") or 0,
        "root_id": options.get("root_id") or task_id,
        "parent_id": options.get("parent_id"),
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "shadow": options.get("shadow"),
        "is_eager": True,
        "called_directly": False,
        "hostname": host_name(),
        "headers": options.get("headers"),
        "ignore_result": bool(options.get("ignore_result")),
        "logfile": options.get("logfile"),
        "loglevel": options.get("loglevel") or 0,
        "stamped_headers": options.get("stamped_headers"),
        "stamps": {name: options.get(name) for name in options.get("stamped_headers") or ()},
        "delivery_info": {
            "is_eager": True,
            "exchange": options.get("exchange"),
            "routing_key": options.get("routing_key"),
            "priority": options.get("priority"),
            "redelivered": False,
        },
    }
    return Context({**(options.get("headers") or {}), **known})


class _Follower:
    """The way of eager runs: with `task_always_eager` what follows runs here too, otherwise it is sent."""

    def __init__(self, app: App) -> None:
        self._app = app

    def task(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
        among: object,  # noqa: ARG002
    ) -> None:
        """Have a task run."""
        if name in self._app.tasks:
            signature(name, args, kwargs, app=self._app).apply_async(**options)
        else:
            self._app.send_task(name, args, kwargs, **options)

    def canvas(self, composed: Mapping[str, Any], given: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Have a canvas run."""
        maybe_signature(composed, self._app).apply_async(given, **options)


def _listed(value: Any) -> list[Any] | None:
    if value is None:
        return None
    return list(value) if isinstance(value, (list, tuple)) else [value]
