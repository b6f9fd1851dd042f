"""The proof of what ran: one entry for each task in a file that every process of a worker maps.

A task's whole work is `run(number)`: it notes when it started, that it ran once more, in which process, and when it
ended. The kernel keeps what is written, so nothing must be flushed, however a process ends; a note costs every side the
same third of a microsecond. Times are those of the clock that all processes share (CLOCK_MONOTONIC), in seconds.

A second run of an id raises its count, so it cannot hide: only two runs within the same few nanoseconds could.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

BYTES_OF_ONE = 8 + 8 + 4 + 1
STEP = 4_096
"""Entries that `full` looks at together."""


class Ledger:
    """The entries, as arrays over the file."""

    def __init__(self, path: Path, count: int) -> None:
        """Map the file.

        Args:
            path: the file, made by `create`.
            count: how many tasks it has room for.
        """
        self.path, self.count = path, count
        with path.open("r+b") as file:
            self._mapping = mmap.mmap(file.fileno(), 0)
        view = memoryview(self._mapping)
        self.starts = view[: 8 * count].cast("d")
        self.ends = view[8 * count : 16 * count].cast("d")
        self.processes = view[16 * count : 20 * count].cast("i")
        self.runs = view[20 * count : 21 * count]
        self._full = 0

    @classmethod
    def create(cls, path: Path, count: int) -> Ledger:
        """Return an empty ledger, and tell the processes to come where it is."""
        with path.open("wb") as file:
            file.truncate(count * BYTES_OF_ONE)
        os.environ["BENCH_LEDGER"], os.environ["BENCH_LEDGER_COUNT"] = str(path), str(count)
        return cls(path, count)

    @classmethod
    def of_environment(cls) -> Ledger:
        """Return the ledger that `create` told of."""
        return cls(Path(os.environ["BENCH_LEDGER"]), int(os.environ["BENCH_LEDGER_COUNT"]))

    def done(self, first: int, last: int) -> int:
        """Return how many of the tasks `first` … `last - 1` have run."""
        return last - first - bytes(self.runs[first:last]).count(0)

    def full(self, last: int) -> bool:
        """Whether all tasks before `last` have run; does not look again at what was found full."""
        while self._full < last and 0 not in bytes(self.runs[self._full : min(last, self._full + STEP)]):
            self._full = min(last, self._full + STEP)
        return self._full == last

    def check(self, first: int, last: int) -> None:
        """Raise AssertionError unless each of the tasks ran exactly once."""
        runs = bytes(self.runs[first:last])
        if runs.count(1) != last - first:
            lost, often = runs.count(0), last - first - runs.count(0) - runs.count(1)
            raise AssertionError(f"of {last - first} tasks {lost} never ran and {often} ran more than once")


def recorder() -> Callable[[int], int]:
    """Return the work of a task: it notes the run, and returns the number."""
    ledger = Ledger.of_environment()
    starts, ends, processes, runs = ledger.starts, ledger.ends, ledger.processes, ledger.runs
    own = os.getpid()

    def after_fork() -> None:
        nonlocal own
        own = os.getpid()

    def run(number: int) -> int:
        starts[number] = monotonic()
        runs[number] += 1
        processes[number] = own
        ends[number] = monotonic()
        return number

    os.register_at_fork(after_in_child=after_fork)
    return run
