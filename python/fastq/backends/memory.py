"""Results in this process: `cache+memory://`. For tests, and for workers whose pool is threads.

All apps of the process share them, as with Celery's.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from fastq.backends.base import Backend, Capability
from fastq.states import READY_STATES, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastq._seam import Record

__all__ = ["MemoryBackend"]

MOST_RESULTS: Final = 100_000
"""Above this the oldest results go, so that a process which nobody asks does not grow for ever."""


class _Kept(NamedTuple):
    record: Record
    expires_at: float | None
    """By the monotonic clock."""


class _Shelf:
    """The results of the process. The condition guards `kept` and wakes those who wait."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.kept: OrderedDict[str, _Kept] = OrderedDict()

    def find(self, task_id: str) -> Record | None:
        kept = self.kept.get(task_id)
        if kept is None or (kept.expires_at is not None and kept.expires_at <= time.monotonic()):
            return None
        return kept.record


class MemoryBackend(Backend):
    """Results in a dictionary."""

    capability = Capability(shared=False, push=True, expires=True)
    _shelf: ClassVar[_Shelf] = _Shelf()

    def save(self, records: Sequence[Record]) -> None:
        """Write records and wake those who wait."""
        expires = self.expires_seconds
        expires_at = None if expires is None else time.monotonic() + expires
        shelf = self._shelf
        with shelf.changed:
            for record in records:
                known = shelf.find(record.task_id)
                if known is not None and known.state == SUCCESS:
                    continue
                shelf.kept[record.task_id] = _Kept(record, expires_at)
                shelf.kept.move_to_end(record.task_id)
            while len(shelf.kept) > MOST_RESULTS:
                shelf.kept.popitem(last=False)
            shelf.changed.notify_all()

    def load(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these tasks."""
        with self._shelf.changed:
            return [self._shelf.find(task_id) for task_id in task_ids]

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete the records of these tasks."""
        with self._shelf.changed:
            for task_id in task_ids:
                self._shelf.kept.pop(task_id, None)

    def wait(self, task_ids: Sequence[str], timeout: float | None = None) -> list[Record]:
        """Return the records of those tasks that have ended; woken by whoever writes them."""
        with self._shelf.changed:
            return self._shelf.changed.wait_for(lambda: self._ended(task_ids), timeout)

    def _ended(self, task_ids: Sequence[str]) -> list[Record]:
        found = (self._shelf.find(task_id) for task_id in task_ids)
        return [record for record in found if record is not None and record.state in READY_STATES]

    def clean(self) -> int:
        """Delete what has expired."""
        with self._shelf.changed:
            dead = [task_id for task_id in self._shelf.kept if self._shelf.find(task_id) is None]
            for task_id in dead:
                del self._shelf.kept[task_id]
        return len(dead)
