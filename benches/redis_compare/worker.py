"""A side's worker as the measurer sees it: a tree of processes, their processor time and their memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Worker:
    """Processes started by one or more commands, and everything they started."""

    def __init__(self, commands: Sequence[Sequence[str]], log: IO[bytes], folder: Path = HERE) -> None:
        """Start the commands.

        Args:
            commands: each becomes the first process of a session of its own.
            log: what they print goes there.
            folder: where the adapter lies.
        """
        environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{HERE}"}
        self.roots = [
            subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True)
            for command in commands
        ]

    def running(self) -> bool:
        """Whether all that was started still runs."""
        return all(root.poll() is None for root in self.roots)

    def processes(self) -> list[int]:
        """Return the ids of all processes of the tree."""
        sessions = {root.pid for root in self.roots}
        parents = {pid: (parent, session) for pid, parent, session in _processes()}
        found = {pid for pid, (_, session) in parents.items() if session in sessions}
        while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def cpu_seconds(self) -> float:
        """Return the processor time of the tree, with that of its processes that have ended (in steps of 10 ms)."""
        total = 0
        for pid in self.processes():
            with suppress(OSError):
                fields = _stat(pid)
                total += sum(int(field) for field in fields[11:15])
        return total * TICK

    def scheduled_seconds(self) -> float:
        """Return the processor time of the threads that live, by the scheduler's finer account."""
        total = 0
        for pid in self.processes():
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):
                    total += int(file.read_text().split()[0])
        return total / 1e9

    def memory(self, without: Path) -> dict[str, float]:
        """Return the memory of the tree in megabytes: its share of what is shared (PSS), and the sum of RSS peaks.

        Args:
            without: a mapped file that does not count (the ledger).
        """
        share, peak, first = 0, 0, 0
        for pid in self.processes():
            with suppress(OSError, IndexError):
                share += _share(pid, str(without).encode())
                own = int(re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])
                peak += own
                first = first or own
        return {"pss": share / 1024, "peak_rss": peak / 1024, "peak_rss_first": first / 1024}

    def hold(self) -> None:
        """Let no process of the tree run until `go_on`."""
        for pid in self.processes():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let all of them run again."""
        for pid in self.processes():
            os.kill(pid, signal.SIGCONT)

    def stop(self, whole_group: bool) -> None:
        """Stop politely; after ten seconds, not.

        Args:
            whole_group: tell all processes, not only the first.
        """
        for root in self.roots:
            with suppress(ProcessLookupError):
                (os.killpg if whole_group else os.kill)(root.pid, signal.SIGTERM)
        for root in self.roots:
            with suppress(subprocess.TimeoutExpired):
                root.wait(10)
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for root in self.roots:
            root.wait()


@contextmanager
def worker_of(app: object, log: IO[bytes]) -> Iterator[Worker]:
    """Start an adapter's worker; stop it at the end."""
    folder = getattr(app, "folder", HERE)
    worker = Worker(app.worker_commands(), log, folder)  # type: ignore[attr-defined]
    try:
        yield worker
    finally:
        worker.stop(getattr(app, "stop_group", False))


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield id, parent and session of every process."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                fields = _stat(int(entry))
                yield int(entry), int(fields[1]), int(fields[3])


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _share(pid: int, without: bytes) -> int:
    """Return a process's PSS in KiB, without that of one mapped file."""
    total, counts = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_bytes().splitlines():
        if line.startswith(b"Pss:"):
            total += int(line.split()[1]) if counts else 0
        elif b"-" in line[:20] and not line[:1].isupper():
            counts = not line.endswith(without)
    return total


if sys.platform != "linux":
    sys.exit("make bench-compare reads /proc: it runs on Linux only")
