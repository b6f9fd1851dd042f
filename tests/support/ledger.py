"""A ledger of runs: tasks write when they start and end, tests read what was lost and what ran twice.

One line an entry, appended by a single write, so any number of processes may write and a kill leaves whole lines.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.follow import Follower

UNSETTLED_SECONDS = 2.0
"""A run that ended so long before its process was killed had surely been settled."""


@dataclass
class Run:
    """One run of a task, in one process. Times as of the monotonic clock, which processes share."""

    key: str
    pid: int
    parent: int
    started: float
    ended: float | None = None


@dataclass(frozen=True)
class Kill:
    """One kill, with every process that died of it or was forked by one that did."""

    at: float
    pids: frozenset[int]


@dataclass
class Ledger:
    """The file, and what is known of kills."""

    path: Path
    kills: list[Kill] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin at the first line."""
        self._follower = Follower(self.path)
        self._entries = 0
        self._starts: dict[str, float] = {}

    def start(self, key: object) -> None:
        """Write that a run of `key` starts in this process."""
        self._write("start", key)

    def end(self, key: object) -> None:
        """Write that the run has done its work."""
        self._write("end", key)

    def note_kill(self, pids: Iterable[int]) -> None:
        """Remember a kill that happens now."""
        self.kills.append(Kill(time.monotonic(), frozenset(pids)))

    def entries(self) -> int:
        """Return how many starts and ends were written: cheap to ask for progress, for only what is new is read."""
        self._follow()
        return self._entries

    def first_start(self, key: object) -> float | None:
        """Return when the first run of `key` started; None: none has. As cheap as `entries`."""
        self._follow()
        return self._starts.get(str(key))

    def runs(self) -> dict[str, list[Run]]:
        """Return all runs by key, in the order of their starts."""
        found: dict[str, list[Run]] = defaultdict(list)
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else ():
            what, key, pid, parent, at = line.split()
            if what == "start":
                found[key].append(Run(key, int(pid), int(parent), float(at)))
            else:
                run = next(run for run in reversed(found[key]) if run.pid == int(pid))
                run.ended = float(at)
        return found

    def lost(self, keys: Iterable[object]) -> list[str]:
        """Return the keys that no run has finished."""
        runs = self.runs()
        return [str(key) for key in keys if not any(run.ended for run in runs.get(str(key), []))]

    def repeated(self) -> list[Run]:
        """Return every run after which its task ran again."""
        return [run for runs in self.runs().values() for run in runs[:-1]]

    def unexplained(self) -> list[Run]:
        """Return the repeated runs whose process was not killed before they could be settled."""
        return [run for run in self.repeated() if not any(_explains(kill, run) for kill in self.kills)]

    def _follow(self) -> None:
        for line in self._follower.lines():
            self._entries += 1
            what, key, _, _, at = line.split()
            if what == "start":
                self._starts.setdefault(key, float(at))

    def _write(self, what: str, key: object) -> None:
        line = f"{what} {key} {os.getpid()} {os.getppid()} {time.monotonic():.6f}\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _explains(kill: Kill, run: Run) -> bool:
    """Whether the kill took the run's process, or the one that settles for it, before the run was surely settled."""
    if not {run.pid, run.parent} & kill.pids or kill.at < run.started:
        return False
    return run.ended is None or kill.at <= run.ended + UNSETTLED_SECONDS
