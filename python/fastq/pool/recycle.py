"""When a child has done enough: so many jobs, or so much memory."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Callable
from functools import partial

__all__ = ["resident_kib", "worn_out"]


def worn_out(max_tasks: int | None, max_memory_kib: int | None) -> Callable[[], bool] | None:
    """Return a function to call after each job, which tells whether the child should retire; None: it never should."""
    checks: list[Callable[[], bool]] = []
    if max_tasks:
        checks.append(partial(_count_down, [max_tasks]))
    if max_memory_kib:
        checks.append(partial(_is_above, max_memory_kib))
    if not checks:
        return None
    # Every check is called: the count must go on even when memory has spoken.
    return lambda: any([check() for check in checks])  # noqa: C419


def _count_down(left: list[int]) -> bool:
    left[0] -= 1
    return left[0] <= 0


def _is_above(limit_kib: int) -> bool:
    return resident_kib() > limit_kib


def resident_kib() -> int:
    """Return the resident memory of this process in KiB: the present one on Linux, elsewhere the highest so far."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # macOS counts in bytes, where others count in KiB.
        return peak // 1024 if platform.system() == "Darwin" else peak
