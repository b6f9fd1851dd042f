"""The processes of a worker, as the system shows them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the ids of the live children of a process (a zombie is not live)."""
    return [child for child, parent in _live() if parent == pid]


def descendants_of(pid: int) -> list[int]:
    """Return the ids of all live processes below one."""
    below: dict[int, list[int]] = {}
    for child, parent in _live():
        below.setdefault(parent, []).append(child)
    found, look = [], [pid]
    while look:
        born = below.get(look.pop(), [])
        found += born
        look += born
    return found


def alive(pids: Iterable[int]) -> list[int]:
    """Return those of `pids` that still run."""
    wanted = set(pids)
    return [pid for pid, _ in _live() if pid in wanted]


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, which may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def _live() -> Iterator[tuple[int, int]]:
    """Yield id and parent of every process that is not a zombie."""
    if sys.platform == "linux":
        yield from _live_on_linux()
        return
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], check=True, capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        pid, parent, state = line.split(maxsplit=2)
        if not state.startswith("Z"):
            yield int(pid), int(parent)


def _live_on_linux() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                # "pid (name) state ppid …": the name may hold anything, so what counts is behind the last bracket.
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    yield int(folder.name), int(parent)
