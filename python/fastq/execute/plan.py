"""What is worked out once per task, so that a run need not: its hooks, where its states go, how it is called."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastq.app.attributes import Attributes
from fastq.app.task import AsyncTask, Task
from fastq.backends.base import Backend
from fastq.execute import journal
from fastq.execute.limits import limited
from fastq.imports import symbol_by_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastq.app.protocol import App
    from fastq.execute.coroutines import Loop

__all__ = ["KeptLoop", "Plan", "make_plan"]


class KeptLoop:
    """The event loop of one executor, made for its first coroutine task.

    Most workers have none, and asyncio alone takes as long to import as all of fastq that a child needs.
    """

    def __init__(self, kind: str = "fastq.execute.coroutines:Loop") -> None:
        """Make nothing yet; `kind` is the class of what will be made."""
        self._kind = kind
        self._loop: Loop | None = None

    def find(self) -> Loop:
        """Return the loop."""
        if self._loop is None:
            self._loop = symbol_by_name(self._kind)()
        return self._loop

    def close(self) -> None:
        """End the loop, if there is one, and what tasks have left running on it."""
        if self._loop is not None:
            self._loop.close()


@dataclass(frozen=True, slots=True)
class Plan:
    """How one task is run here."""

    app: App
    task: Any
    hostname: str
    eager: bool
    backend: Backend
    in_outcome: bool
    """Whether records travel in the Outcome, for the core to store; otherwise they are saved here."""
    stores: bool
    """Whether states are stored at all: eager runs may not."""
    tracks_start: bool
    stores_ignored_errors: bool
    coroutine: Callable[..., Any] | None
    """The user's code, where it is a coroutine function."""
    call: Callable[..., Any]
    """Runs the user's code to its end."""
    call_within: Callable[[float], Callable[..., Any]]
    """Returns what runs it with a soft time limit in seconds."""
    before_start: Callable[..., Any] | None
    on_success: Callable[..., Any] | None
    on_failure: Callable[..., Any] | None
    on_retry: Callable[..., Any] | None
    after_return: Callable[..., Any] | None
    clean_up: Callable[[], Any] | None


def make_plan(app: App, task: Any, hostname: str, loop: KeptLoop, eager: bool = False) -> Plan:
    """Return the plan for a task as it and the settings are now."""
    backend = task.backend
    native = backend.capability.native and backend is app.backend
    function = _code_of(task)
    plain = function
    within = lambda seconds: limited(function, seconds)  # noqa: E731 - the other half is one too
    is_coroutine = inspect.iscoroutinefunction(function) or isinstance(task, AsyncTask)
    if is_coroutine:
        runner = loop.find().runner
        plain = runner(function)
        within = lambda seconds: runner(function, seconds)  # noqa: E731
    return Plan(
        app=app,
        task=task,
        hostname=hostname,
        eager=eager,
        backend=backend,
        in_outcome=native and not eager,
        stores=backend.capability.stores and (not eager or bool(task.store_eager_result)),
        tracks_start=bool(task.track_started) and not eager and backend.capability.stores,
        stores_ignored_errors=bool(task.store_errors_even_if_ignored),
        coroutine=function if is_coroutine else None,
        call=plain,
        call_within=within,
        before_start=_hook(task, "before_start"),
        on_success=_hook(task, "on_success"),
        on_failure=_hook(task, "on_failure"),
        on_retry=_hook(task, "on_retry"),
        after_return=_hook(task, "after_return"),
        clean_up=_clean_up(backend) if not eager else None,
    )


def _code_of(task: Any) -> Callable[..., Any]:
    """Return what runs the user's code: `run`, or the task itself when its class has a `__call__` of its own."""
    own = type(task).__call__
    return task.run if own in (Task.__call__, AsyncTask.__call__) else task  # type: ignore[no-any-return]


def _hook(task: Any, name: str) -> Callable[..., Any] | None:
    """Return a hook of the task, None when it is the one that does nothing."""
    method: Callable[..., Any] = getattr(task, name)
    return None if getattr(method, "__func__", None) is getattr(Attributes, name) else method


def _clean_up(backend: Backend) -> Callable[[], Any] | None:
    """Return what the backend wants done after each run, None when that is nothing."""
    if type(backend).process_cleanup is Backend.process_cleanup:
        return None

    def clean_up() -> None:
        try:
            backend.process_cleanup()
        except Exception:  # noqa: BLE001 - a backend of the user's; the run has ended and stays as it ended
            journal.logger.exception("The clean-up of %r raised.", backend)

    return clean_up
