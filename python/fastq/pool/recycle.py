"""When a child has done enough: so many jobs, or so much memory."""

from __future__ import annotations

import os
import platform
import resource
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fastq._core import Port

__all__ = ["Wear", "resident_kib", "wear_of"]

_NEAR: Final = 0.9
"""A child whose memory is above this share of its limit will leave before long."""
_FORK_SECONDS: Final = 0.02
"""How long it takes, about, until a successor that is asked for begins its own start."""


class Wear:
    """How far a child is worn out. It tells the port so: once before it leaves, and when it does.

    A successor takes as long to get ready as this child took. So the port is told when the jobs that are left will,
    judging by those before them, take not much longer than that; before the last job at the latest.

    Args:
        port: the child's.
        max_tasks: jobs after which it leaves; None: any number.
        max_memory_kib: resident memory, looked at after each job, above which it leaves; None: any.
        start_seconds: how long this child took to get ready.
        side_by_side: how many jobs it runs at the same time.
    """

    def __init__(
        self,
        port: Port,
        max_tasks: int | None,
        max_memory_kib: int | None,
        start_seconds: float,
        side_by_side: int = 1,
    ) -> None:
        """Nothing has run yet."""
        self._port = port
        self._left = max_tasks
        self._max_memory_kib = max_memory_kib
        self._lead_seconds = 2 * start_seconds + _FORK_SECONDS
        self._side_by_side = side_by_side
        self._runs = 0
        self._seconds = 0.0
        self._has_said = False

    def begin(self) -> None:
        """The child is ready."""
        if self._left is not None and self._is_near(self._left):
            self._say()

    def ran(self, seconds: float) -> None:
        """Note a job that took so long, and tell the port what follows from it."""
        self._runs += 1
        self._seconds += seconds
        # Both are looked at: the count must go on even when memory has spoken.
        by_count, by_memory = self._count(), self._weigh()
        if by_count or by_memory:
            self._port.retire()

    def _count(self) -> bool:
        if self._left is None:
            return False
        self._left -= 1
        if self._left > 0 and self._is_near(self._left):
            self._say()
        return self._left <= 0

    def _is_near(self, left: int) -> bool:
        rounds = left / self._side_by_side
        return rounds <= 1 or (self._runs > 0 and rounds * self._seconds / self._runs <= self._lead_seconds)

    def _weigh(self) -> bool:
        if self._max_memory_kib is None:
            return False
        resident = resident_kib()
        if resident > self._max_memory_kib * _NEAR:
            self._say()
        return resident > self._max_memory_kib

    def _say(self) -> None:
        if not self._has_said:
            self._has_said = True
            self._port.retire_soon()


def wear_of(
    port: Port, max_tasks: int | None, max_memory_kib: int | None, born: float, side_by_side: int = 1
) -> Wear | None:
    """Return how a child that is ready now is worn out; None: it never is.

    Args:
        port: the child's.
        max_tasks: as for `Wear`; 0: any number.
        max_memory_kib: as for `Wear`; 0: any.
        born: when it was forked, by `time.monotonic`.
        side_by_side: as for `Wear`.
    """
    if not max_tasks and not max_memory_kib:
        return None
    wear = Wear(port, max_tasks or None, max_memory_kib or None, time.monotonic() - born, side_by_side)
    wear.begin()
    return wear


def resident_kib() -> int:
    """Return the resident memory of this process in KiB: the present one on Linux, elsewhere the highest so far."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # macOS counts in bytes, where others count in KiB.
        return peak // 1024 if platform.system() == "Darwin" else peak
