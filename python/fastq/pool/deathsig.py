"""Dying with one's parent: the kernel's promise on Linux, beside the end of file that holds everywhere."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

__all__ = ["die_with_parent", "prepare"]

_PR_SET_PDEATHSIG = 1

_set_signal: Callable[[int], object] | None = None
"""Asks the kernel for a signal at the parent's end. Written by `prepare`, once, before any fork."""


def prepare() -> None:
    """Load what `die_with_parent` needs, so that no child pays for it.

    Where the kernel has no such promise this does nothing: a child then sees the end of file when it next reads, and
    the nursery kills the ones that are busy.
    """
    global _set_signal
    if _set_signal is not None or not sys.platform.startswith("linux"):
        return
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def set_signal(number: int) -> object:
        return prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    _set_signal = set_signal


def die_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends, and leave at once when it has ended already.

    Args:
        parent: process id of the parent, read before the fork: between the fork and this call it may have died.
    """
    if _set_signal is None:
        return
    _set_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
