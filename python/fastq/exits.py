"""What must end before the interpreter does: threads that would come back into it too late."""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import Final, Protocol

__all__ = ["Closable", "close_at_exit"]


class Closable(Protocol):
    """What has a thread."""

    def close(self) -> None:
        """End the thread, and wait for it."""


_kept: Final[weakref.WeakSet[Closable]] = weakref.WeakSet()
_lock: Final = threading.Lock()


def close_at_exit(this: Closable) -> None:
    """Have `this` closed at the end of the interpreter, if it still lives; any number of times is once."""
    with _lock:
        if not _kept:
            atexit.unregister(_close_all)
            atexit.register(_close_all)
        _kept.add(this)


def _close_all() -> None:
    for this in list(_kept):
        this.close()
