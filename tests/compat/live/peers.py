"""Clients and workers of both libraries, on one server."""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.compat.live import scenes
from tests.compat.live.works import LIMIT
from tests.support.processes import alive
from tests.support.wait import wait_for
from tests.support.worker import CLONE, RunningWorker

__all__ = ["CELERY", "FASTQ", "CeleryWorker", "Client", "Town"]

T = TypeVar("T")

CELERY, FASTQ = "celery", "fastq"
_SERVED = "tests.compat.live.served"


class CeleryWorker(RunningWorker):
    """A worker of Celery's.

    Args:
        python: the interpreter that has it.
        folder: as for `RunningWorker`.
        options: command-line options of `celery worker`.
        environment: as for `RunningWorker`.
    """

    def __init__(self, python: Path, folder: Path, options: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(_SERVED, folder, options, environment)
        self._command = [str(python), "-m", "celery", "-A", _SERVED, "worker", "-l", "INFO", *options]

    def wait_until_ready(self) -> None:
        """Return when it takes messages."""
        self.wait_for_log(r"@\S+ ready\.")

    def kill(self) -> list[int]:
        """Kill all its processes at once: children of a parent that was killed alone may go on for a while."""
        pids = self.processes()
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not alive(pids), f"the end of all processes of worker {self.pid}")
        return pids


class Client:
    """A client in a process of its own (see `agent`).

    Args:
        library: whose.
        python: an interpreter that has it.
        folder: of the town.
        settings: of the app, where a request does not say otherwise.
    """

    def __init__(self, library: str, python: Path | str, folder: Path, settings: Mapping[str, Any]) -> None:
        self.library, self.settings = library, settings
        self._log = folder / f"client-{library}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-m", "tests.compat.live.agent", library, folder],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(CLONE)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def do(self, function: Callable[..., T], settings: Mapping[str, Any] | None = None, /, **arguments: Any) -> T:
        """Call a function there, with the tasks of an app as its first argument; return what it returns.

        Args:
            function: of a module that needs neither library.
            settings: of the app, besides those of every client here.
            **arguments: for the function.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        path = f"{function.__module__}:{function.__qualname__}"
        pickle.dump((path, {**self.settings, **(settings or {})}, arguments), requests)
        requests.flush()
        ready, _, _ = select.select([answers], [], [], 2 * LIMIT)
        assert ready, f"the {self.library} client has not answered {path}:\n{self._log.read_text()}"
        has_returned, value = pickle.loads(pickle.load(answers))
        assert has_returned, f"{path} has raised in the {self.library} client:\n{value}"
        return value  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Town:
    """A server, with clients of both libraries and whatever workers are started.

    Args:
        python: the interpreter that has Celery.
        url: of the server.
        folder: for logs and notes.
        settings: of every app, besides the server's address.
    """

    def __init__(self, python: Path, url: str, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.url, self.folder = url, folder
        self.settings = {
            "broker_url": url,
            "result_backend": url,
            "accept_content": ["json", "msgpack", "yaml"],
            "worker_prefetch_multiplier": 1,
            **(settings or {}),
        }
        self.pythons: Mapping[str, Path | str] = {CELERY: python, FASTQ: sys.executable}
        self.lengths: Callable[[], Mapping[str, int]] = dict
        """On RabbitMQ: how many messages each queue has."""
        self._clients: dict[str, Client] = {}
        self._workers: list[tuple[str, RunningWorker]] = []

    def client(self, library: str) -> Client:
        """Return the client of that library."""
        if library not in self._clients:
            self._clients[library] = Client(library, self.pythons[library], self.folder, self.settings)
        return self._clients[library]

    def start(self, library: str, queues: str, settings: Mapping[str, Any] | None = None, *options: str) -> Any:
        """Start a worker of one process; it may not be ready yet.

        Args:
            library: whose.
            queues: to take from, with commas.
            settings: besides those of every app here.
            *options: of the command line.
        """
        environment = {
            "LIVE_LIBRARY": library,
            "LIVE_SETTINGS": json.dumps({**self.settings, **(settings or {})}),
            "LIVE_FOLDER": str(self.folder),
            "C_FORCE_ROOT": "1",  # for Celery at all, for fastq with pickles
        }
        known = ["-c", "1", "-Q", queues, "-n", f"{library}{len(self._workers)}@town", "--without-gossip"]
        known += ["--without-mingle", "--without-heartbeat", *options]
        worker = (
            CeleryWorker(Path(self.pythons[CELERY]), self.folder, known, environment)
            if library == CELERY
            else RunningWorker(_SERVED, self.folder, known, environment)
        )
        self._workers.append((library, worker))
        worker.start()
        return worker

    @property
    def all_workers(self) -> list[RunningWorker]:
        """Every worker that was started, in order."""
        return [worker for _, worker in self._workers]

    def workers(self, library: str) -> list[RunningWorker]:
        """Return the workers of that library that run."""
        return [worker for theirs, worker in self._workers if theirs == library and worker.running]

    def redis(self, *words: str) -> Any:
        """Give the server a command and return its reply, as text."""
        return self.client(CELERY).do(scenes.redis, words=words)

    @property
    def notes(self) -> list[str]:
        """What tasks have written down so far, a line each: who, and what."""
        file = self.folder / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def noted(self, what: str, times: int = 1) -> list[str]:
        """Return the notes that end with these words, waiting until there are so many."""

        def found() -> list[str]:
            return [line for line in self.notes if line.endswith(f" {what}")]

        wait_for(lambda: len(found()) >= times, f"{times} notes of {what}")
        return found()

    def held(self, name: str) -> str:
        """Return the library that runs a task that is held, waiting until one does."""
        return self.noted(f"holds {name}")[-1].partition(" ")[0]

    def release(self, name: str) -> None:
        """Let a task go on that is held."""
        (self.folder / f"{name}.go").touch()

    def close(self) -> None:
        """End all its processes."""
        for client in self._clients.values():
            client.close()
        for _, worker in self._workers:
            if worker.running:
                worker.kill()
