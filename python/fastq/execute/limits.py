"""The soft time limit, inside the executor.

The core watches the clock and sends SIGUSR1 at the limit. The handler raises SoftTimeLimitExceeded, but only while the
code of a task that has such a limit runs: a signal that comes a moment too late finds nothing to interrupt.

Signals reach the main thread only, so tasks that run in other threads have no soft limit.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import SoftTimeLimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["SIGNAL", "Guard", "guard", "install", "limited"]

SIGNAL: Final = signal.SIGUSR1

_EARLIEST: Final = 0.5
"""A signal before this part of the limit was meant for the run before: the core counts from when it sent the job, which
is a little earlier, but never by so much."""


class Guard:
    """The limit of the run at hand. Written by the main thread, read by the handler, which runs in that thread too."""

    def __init__(self) -> None:
        """Arm nothing."""
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

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Interrupt the run, if it has a limit and that could have passed."""
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
        if not install():
            return function(*args, **kwargs)
        guard.arm(seconds)
        try:
            return function(*args, **kwargs)
        finally:
            guard.disarm()

    return call
