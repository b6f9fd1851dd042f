"""Both time limits, and the end of a task that is called off, where it runs on the main thread of the worker.

Nobody else could end it there. An alarm of the system's comes at the limit, or is sent by the core. Its handler raises
in the task's code: SoftTimeLimitExceeded, and later TimeLimitExceeded, or Termination, which end the task unless it
catches those, too. What waits in C is interrupted when a signal interrupts it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastq.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from fastq.execute import limits
from fastq.execute.termination import Termination

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["AlarmGuard"]

_SOON = 0.001
"""An alarm may come this much before its time, by the clock that is read here."""


class AlarmGuard:
    """The limits of the run at hand. Lives on the main thread, where its handler runs, too."""

    watches_hard = True

    def __init__(self, is_ending: Callable[[], bool] = lambda: False) -> None:
        """Watch nothing; `is_ending` says whether an alarm is meant to end the run at hand."""
        self._is_ending = is_ending
        self.runs = False
        """Whether there is a run that an alarm could end."""
        self._soft: tuple[float, float] | None = None
        self._hard: tuple[float, float] | None = None
        self._interrupt: Callable[[Any], None] | None = None
        self._before: Any = None
        self.passed: list[tuple[float, bool]] = []
        """The limits that the run at hand has passed: seconds, and whether it was the hard one."""

    def install(self) -> bool:
        """Take the alarm; return False outside of the main thread, where that cannot be."""
        if threading.current_thread() is not threading.main_thread():
            return False
        self._before = signal.signal(signal.SIGALRM, self._ring)
        limits.guard_with(self)
        return True

    def uninstall(self) -> None:
        """Give the alarm back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before or signal.SIG_DFL)
        limits.guard_with(None)

    def begin(self, hard_seconds: float | None) -> None:
        """Begin to watch a run."""
        self.passed.clear()
        self._hard = None if hard_seconds is None else (time.monotonic() + hard_seconds, hard_seconds)
        self._wind()

    def end(self) -> None:
        """Watch no run."""
        self.runs = False
        if self._hard is None and self._soft is None:
            return  # nothing is wound
        self._hard = self._soft = self._interrupt = None
        self._wind()

    def arm(self, seconds: float | None, interrupt: Callable[[Any], None] | None = None) -> None:
        """Raise the soft limit from now on; the arguments are those of `Guard.arm`. None: there is no soft limit."""
        self._interrupt = interrupt
        self._soft = None if seconds is None else (time.monotonic() + seconds, seconds)
        self._wind()

    def disarm(self) -> None:
        """Raise it no more."""
        self._soft = self._interrupt = None
        self._wind()

    def _wind(self) -> None:
        due = min((limit[0] for limit in (self._soft, self._hard) if limit is not None), default=None)
        signal.setitimer(signal.ITIMER_REAL, 0 if due is None else max(_SOON, due - time.monotonic()))

    def _ring(self, _signal: int, _frame: FrameType | None) -> None:
        if self.runs and self._is_ending():
            self.runs = False  # once: the task may take its time to clean up
            self._raise(Termination())
            return
        now = time.monotonic() + _SOON
        error: SoftTimeLimitExceeded | TimeLimitExceeded | None = None
        if self._soft is not None and now >= self._soft[0]:
            error, self._soft = SoftTimeLimitExceeded(self._soft[1]), None
        if self._hard is not None and now >= self._hard[0]:
            error, self._hard = TimeLimitExceeded(self._hard[1]), None
        self._wind()
        if error is None:
            return
        self.passed.append((error.args[0], isinstance(error, TimeLimitExceeded)))
        self._raise(error)

    def _raise(self, error: BaseException) -> None:
        if self._interrupt is None:
            raise error
        self._interrupt(error)
