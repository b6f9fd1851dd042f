"""The soft time limit, inside the executor.

The core watches the clock and sends SIGUSR1 at the limit. The handler raises SoftTimeLimitExceeded, but only while the
code of a task that has such a limit runs: a signal that comes a moment too late finds nothing to interrupt.

Signals reach the main thread only. In the threads of a pool the main thread, told by the core, has the exception raised
in the thread of the run (`PyThreadState_SetAsyncExc`): it comes with the next line of Python, so what waits in C, a
socket without a timeout, is interrupted only when it comes back. Threads that a task starts itself have no soft limit.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from fastq.app.current import current_frame
from fastq.exceptions import SoftTimeLimitExceeded
from fastq.execute.termination import Termination

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeAlias

    from fastq._seam import Outcome
    from fastq.execute.alarm import AlarmGuard

    AnyGuard: TypeAlias = "Guard" | "ThreadGuard" | "GreenGuard" | AlarmGuard

__all__ = ["SIGNAL", "GreenGuard", "Guard", "ThreadGuard", "guard", "guard_here", "guard_with", "install", "limited"]

SIGNAL: Final = signal.SIGUSR1

_EARLIEST: Final = 0.5
"""A signal before this part of the limit was meant for the run before: the core counts from when it sent the job, which
is a little earlier, but never by so much."""


class Guard:
    """The limit of the run at hand. Written by the main thread, read by the handler, which runs in that thread too."""

    def __init__(self) -> None:
        """Arm nothing."""
        self.is_ending: Callable[[], bool] = lambda: False
        """Whether a signal is meant to end the run at hand."""
        self._seconds: float | None = None
        self._since = 0.0
        self._interrupt: Callable[[SoftTimeLimitExceeded], None] | None = None

    def arm(self, seconds: float, interrupt: Callable[[SoftTimeLimitExceeded], None] | None = None) -> None:
        """Let the signal through from now on.

        Args:
            seconds: the limit.
            interrupt: called instead of raising: how a coroutine is told.
        """
        self._since = time.monotonic()
        self._interrupt = interrupt
        self._seconds = seconds

    def disarm(self) -> None:
        """Ignore the signal from now on."""
        self._seconds = None
        self._interrupt = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Interrupt the run, if it has a limit and that could have passed; end it, if that is what is wanted."""
        if self.is_ending():
            raise Termination(128 + number)
        seconds = self._seconds
        if seconds is None or time.monotonic() - self._since < seconds * _EARLIEST:
            return
        interrupt = self._interrupt
        self.disarm()  # once: the task may take its time to clean up
        error = SoftTimeLimitExceeded(seconds)
        if interrupt is None:
            raise error
        interrupt(error)


guard: Final = Guard()


class ThreadGuard:
    """The limit of the run at hand in one thread of a pool, and its end. Armed there, used by the main thread."""

    watches_hard = True
    """Coroutines without a limit can be interrupted, too: to be ended."""

    def __init__(self) -> None:
        """Arm nothing."""
        self._lock = threading.Lock()
        self._thread = 0
        self._task_id: str | None = None
        self._run: str | None = None
        self._interrupt: Callable[[Any], None] | None = None

    def belongs_here(self) -> None:
        """Guard the calling thread from now on."""
        self._thread = threading.get_ident()
        _here.set(self)

    def run(self, task_id: str, work: Callable[[], Outcome]) -> Outcome:
        """Return what `work` returns, which makes the run of a task; raise Termination when it was ended."""
        with self._lock:
            self._run = task_id
        try:
            return work()
        finally:
            with self._lock:
                self._run = None
                _raise_in(self._thread, None)

    def terminate(self, task_id: str) -> None:
        """Raise Termination in the run of a task, if it has not ended."""
        with self._lock:
            if self._run != task_id:
                return
            if self._interrupt is not None:
                self._interrupt(Termination())
            else:
                _raise_in(self._thread, Termination)

    def arm(self, seconds: float | None, interrupt: Callable[[Any], None] | None = None) -> None:  # noqa: ARG002 - as of a Guard
        """Let the run at hand be interrupted from now on; the arguments are those of `Guard.arm`."""
        frame = current_frame()
        with self._lock:
            self._interrupt = interrupt
            self._task_id = None if frame is None else frame.request.id

    def disarm(self) -> None:
        """Let it be interrupted no more; an exception that is on its way comes no more either."""
        with self._lock:
            self._task_id = self._interrupt = None
            _raise_in(self._thread, None)

    def interrupt(self, task_id: str, seconds: float) -> None:
        """Raise SoftTimeLimitExceeded in the run of a task, if it has not ended."""
        with self._lock:
            if self._task_id != task_id:
                return
            interrupt, self._task_id = self._interrupt, None
            if interrupt is None:
                _raise_in(self._thread, SoftTimeLimitExceeded)
            else:
                interrupt(SoftTimeLimitExceeded(seconds))


class GreenGuard:
    """The limit of the run in one green thread. They take turns in one thread of the system, so nothing is locked."""

    def __init__(self) -> None:
        """Arm nothing."""
        self._is_armed = False
        self._raise: Callable[[SoftTimeLimitExceeded], object] = lambda _error: None

    def belongs_here(self, raise_here: Callable[[SoftTimeLimitExceeded], object]) -> None:
        """Guard the calling green thread from now on; `raise_here` raises an exception in it, where it waits."""
        self._raise = raise_here
        _here.set(self)

    def arm(self, seconds: float, interrupt: Callable[[SoftTimeLimitExceeded], None] | None = None) -> None:  # noqa: ARG002 - as of a Guard
        """Let the run at hand be interrupted from now on; the arguments are those of `Guard.arm`."""
        self._is_armed = True

    def disarm(self) -> None:
        """Let it be interrupted no more."""
        self._is_armed = False

    def interrupt(self, error: SoftTimeLimitExceeded) -> None:
        """Raise `error` in the run, if its task's code has not ended."""
        if self._is_armed:
            self._is_armed = False
            self._raise(error)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have an exception raised in another thread with its next line of Python; None: take back one that was not yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)


_here: Final[ContextVar[AnyGuard | None]] = ContextVar("fastq_guard", default=None)
"""Not a thread's: green threads have contexts of their own, too."""


def guard_with(other: AlarmGuard | None) -> None:
    """Guard the runs of this context otherwise from now on."""
    _here.set(other)


def guard_here() -> AnyGuard | None:
    """Return what can interrupt code of the calling thread; None: nothing can."""
    return _here.get() or (guard if install() else None)


def watches_hard() -> bool:
    """Return whether the hard limit, too, is raised in the runs of this context."""
    return getattr(_here.get(), "watches_hard", False)


def install() -> bool:
    """Have the signal handled from now on; return False outside of the main thread, where that cannot be."""
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(SIGNAL) != guard.handle:
        signal.signal(SIGNAL, guard.handle)
    return True


def limited(function: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    """Return `function` with a soft limit for one call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        armed = guard_here()
        if armed is None:
            return function(*args, **kwargs)
        armed.arm(seconds)
        try:
            return function(*args, **kwargs)
        except SoftTimeLimitExceeded as error:
            error.args = error.args or (seconds,)  # in a thread it comes without
            raise
        finally:
            armed.disarm()

    return call
