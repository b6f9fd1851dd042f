"""Which app and which task are current, here and now.

Running tasks form a stack of frames that lives in a context variable: every thread and every asyncio task has a stack
of its own, and code that a task starts in another context does not see it.

An app that is made current is current in its context, and for contexts that have none: a thread that a web server
starts later finds the app that the main thread made.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from fastq.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastq.app.context import Context
    from fastq.app.protocol import App
    from fastq.app.task import Task

__all__ = [
    "Frame",
    "all_apps",
    "apart",
    "current_app",
    "current_frame",
    "current_task",
    "frames",
    "get_current_app",
    "get_current_task",
    "get_current_worker_task",
    "pop",
    "push",
    "push_frame",
    "remember_app",
    "set_current_app",
    "set_default_app",
    "set_default_factory",
]


class Frame(NamedTuple):
    """One running task: what runs, its request, and the frame below it."""

    task: Task[..., Any]
    request: Context
    below: Frame | None


_frame: Final[ContextVar[Frame | None]] = ContextVar("fastq_frame", default=None)

push_frame: Final = _frame.set
"""Make a frame the innermost one; for the tracer, which makes its frames itself."""

current_frame: Final = _frame.get
"""Return the innermost frame, or None."""


def push(task: Task[..., Any], request: Context) -> Token[Frame | None]:
    """Begin a run of `task`; give the token to `pop` at its end."""
    return _frame.set(Frame(task, request, _frame.get()))


def pop(token: Token[Frame | None] | None = None) -> None:
    """End the innermost run, or all runs since the token was made."""
    if token is not None:
        _frame.reset(token)
        return
    frame = _frame.get()
    if frame is not None:
        _frame.set(frame.below)


def frames() -> Iterator[Frame]:
    """Iterate over the frames of this context, the innermost first."""
    frame = _frame.get()
    while frame is not None:
        yield frame
        frame = frame.below


def get_current_task() -> Task[..., Any] | None:
    """Return the task that runs here, or None."""
    frame = _frame.get()
    return None if frame is None else frame.task


def get_current_worker_task() -> Task[..., Any] | None:
    """Return the task that a worker runs here; tasks that it calls as functions do not count."""
    for frame in frames():
        if not frame.request.called_directly:
            return frame.task
    return None


class _Process:
    """The apps of this process. Written by whoever makes or sets apps; read by every look-up of the current one."""

    current: App | None = None
    default: App | None = None
    fallback: App | None = None
    make_default: Callable[[], App] | None = None


_apps: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_current: Final[ContextVar[App | None]] = ContextVar("fastq_app", default=None)


def remember_app(app: App) -> None:
    """Count `app` among the apps that shared tasks are registered in."""
    _apps.add(app)


def all_apps() -> list[App]:
    """Return every app of this process that is in use."""
    return list(_apps)


def set_current_app(app: App) -> None:
    """Make `app` current in this context, and in contexts that have no current app."""
    _current.set(app)
    _Process.current = app


def set_default_app(app: App | None) -> None:
    """Make `app` the one that is current where no other was made current."""
    _Process.default = app


def set_default_factory(make: Callable[[], App]) -> None:
    """Say how the app is made that is current when there is none; called once, by `app.base`."""
    _Process.make_default = make


def get_current_app() -> App:
    """Return the current app: this context's, else the default, else the one last made current, else a new default."""
    app = _current.get() or _Process.default or _Process.current
    if app is None:
        if _Process.make_default is None:
            raise RuntimeError("There is no current app: make one with FastQ().")
        app = _Process.fallback = _Process.fallback or _Process.make_default()
    return app


@contextmanager
def apart(app: App | None) -> Iterator[None]:
    """Within, `app` is the current app, or, when it is None, asking for one raises RuntimeError; then all is as before.

    For tests: what is made current within is so no longer than that.
    """
    names = ("current", "default", "fallback", "make_default")
    before, here = {name: getattr(_Process, name) for name in names}, _current.get()
    _Process.current, _Process.default, _Process.fallback = None, app, None
    _Process.make_default = before["make_default"] if app is not None else _refuse
    # Set back and not reset: the end of a test's fixture may run in another context than its beginning.
    _current.set(None)
    try:
        yield
    finally:
        for name in names:
            setattr(_Process, name, before[name])
        _current.set(here)


def _refuse() -> App:
    raise RuntimeError("The current app was asked for, and this test has none: use the app that the fixture gives.")


current_app: Final = cast("App", Proxy(get_current_app))
"""Stands for the current app."""

current_task: Final = cast("Task[..., Any]", Proxy(get_current_task))
"""Stands for the task that runs here; false when none does."""
