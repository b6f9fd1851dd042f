"""Waiting for the results of many tasks from one thread, while others add to them."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastq._seam import Record
    from fastq.backends.base import Backend

__all__ = ["LookingWatch", "Watch"]

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks at a store that cannot tell."""


class Watch(Protocol):
    """What `Backend.watch` returns: `_core.Watch`, or what stands in its place."""

    def add(self, task_ids: Sequence[str], /) -> None:
        """Watch for the end of these tasks, too."""

    def remove(self, task_ids: Sequence[str], /) -> None:
        """Watch for these no more."""

    def next(self, timeout: float | None, /) -> Sequence[Record]:
        """Return records of tasks that have ended, and watch for these no more; empty after `timeout` seconds."""

    def interrupt(self) -> None:
        """End the call of `next` that is under way, or the one to come; called by any thread, and never blocks."""


class LookingWatch:
    """The watch of a store that cannot tell: looks again and again."""

    def __init__(self, backend: Backend) -> None:
        """Watch for nothing yet."""
        self._backend = backend
        self._task_ids: dict[str, None] = {}
        self._pause = _FIRST_PAUSE
        self._interrupted = threading.Event()

    def add(self, task_ids: Sequence[str]) -> None:
        """Watch for these tasks too; called by the thread that calls `next`."""
        self._task_ids.update(dict.fromkeys(task_ids))
        self._pause = _FIRST_PAUSE

    def remove(self, task_ids: Sequence[str]) -> None:
        """Watch for these no more; called by the thread that calls `next`."""
        for task_id in task_ids:
            self._task_ids.pop(task_id, None)

    def next(self, timeout: float | None) -> list[Record]:
        """Return records of tasks that have ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            found = self._backend.load(tuple(self._task_ids)) if self._task_ids else []
            ended = [record for record in found if record is not None and self._backend.has_ended(record)]
            self.remove([record.task_id for record in ended])
            pause = self._pause if self._task_ids else None
            if deadline is not None:
                left = max(0.0, deadline - time.monotonic())
                pause = left if pause is None else min(pause, left)
            if ended or self._interrupted.wait(pause) or (deadline is not None and time.monotonic() >= deadline):
                self._interrupted.clear()
                return ended
            self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)

    def interrupt(self) -> None:
        """End the call of `next` that is under way, or the one to come."""
        self._interrupted.set()
