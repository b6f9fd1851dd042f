"""A real `fastq worker` in a process of its own, with its log."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support.processes import alive, children_of, descendants_of, kill
from tests.support.wait import wait_for

CLONE = Path(__file__).resolve().parent.parent.parent


class RunningWorker:
    """A worker that runs inside `with`, and is stopped (warm) at its end unless the test has ended it before.

    Args:
        app: as behind `-A`.
        folder: its working directory, and where its log is written.
        options: command-line options of `fastq worker`.
        environment: added to this process's environment; every worker can import `tests`.
        launcher: a command that runs the worker, which its words are followed by.
    """

    _count = 0

    def __init__(
        self,
        app: str,
        folder: Path,
        options: Sequence[str] = ("-c", "2"),
        environment: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        RunningWorker._count += 1
        self.folder = folder
        self.log_file = folder / f"worker-{RunningWorker._count}.log"
        self._command = [*launcher, sys.executable, "-m", "fastq", "-A", app, "worker", "-l", "INFO", *options]
        self._environment = {**os.environ, "PYTHONPATH": _python_path(), **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunningWorker:
        """Start it, and wait until it takes messages."""
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop it; a stop that is not clean fails the test, unless something else has failed it."""
        if not self.running:
            return
        if kind is not None:
            self.kill()
            return
        code = self.stop()
        assert code == 0, f"exit code {code}\n{self.log}"

    def start(self) -> None:
        """Start the process."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The parent process."""
        assert self._process is not None, "the worker was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The id of the parent process."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the parent process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has written so far, on both streams."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, pattern: str, *, limit: float = 20.0) -> re.Match[str]:
        """Return the first match in the log, waiting for it."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log)
            assert found or self.running, f"the worker has ended before it wrote {pattern!r}:\n{self.log}"
            return found

        try:
            found = wait_for(look, f"{pattern!r} in the worker's log", limit=limit)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None
        assert found is not None
        return found

    def wait_until_ready(self) -> None:
        """Return when it takes messages."""
        self.wait_for_log(r"is ready and takes from")

    def nursery(self) -> int:
        """Return the id of the process that forks the children."""
        return wait_for(lambda: children_of(self.pid), "the nursery")[0]

    def children(self, count: int | None = None) -> list[int]:
        """Return the ids of the processes that run tasks, waiting until there are `count` of them."""
        nursery = self.nursery()
        if count is None:
            return children_of(nursery)
        return wait_for(lambda: _exactly(children_of(nursery), count), f"{count} children")

    def processes(self) -> list[int]:
        """Return the ids of all its processes."""
        return [self.pid, *descendants_of(self.pid)]

    def signal(self, which: signal.Signals) -> None:
        """Send a signal to the parent process."""
        self.process.send_signal(which)

    def wait(self, *, limit: float = 30.0) -> int:
        """Return the exit code, waiting for the end; a worker that does not end is killed and fails the test."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not end within {limit:g} s\n{self.log}") from None

    def stop(self, *, limit: float = 30.0) -> int:
        """Stop it warm and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(limit=limit)

    def kill(self) -> list[int]:
        """Kill the parent process, wait until no process of the worker is left, and return their ids."""
        pids = self.processes()
        kill(self.pid)
        self.process.wait()
        wait_for(lambda: not alive(pids), f"the end of all processes of worker {self.pid}")
        return pids


def _exactly(pids: list[int], count: int) -> list[int]:
    return pids if len(pids) == count else []


def _python_path() -> str:
    """Return a search path that holds the clone, so that a worker can import apps from `tests`."""
    return os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(CLONE))))
