"""What every part needs: the side's client, its worker, the ledger, the server."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import ModuleType

from client import Client
from ledger import Ledger
from redis_connection import RedisConnection
from worker import Worker, worker_of

_pause = threading.Event()


class StuckError(Exception):
    """What must happen did not within its time."""


@dataclass
class Bench:
    """One side, ready to be measured, on an empty server."""

    app: ModuleType
    client: Client
    ledger: Ledger
    redis: RedisConnection
    log: Path

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """Run the side's worker."""
        with self.log.open("ab") as log, worker_of(self.app, log) as worker:
            yield worker

    def worker_log(self) -> str:
        """Return the end of what the worker has printed."""
        return self.log.read_text(errors="replace")[-4_000:] if self.log.exists() else ""


@contextmanager
def open_bench(adapter: str, folder: Path, room: int) -> Iterator[Bench]:
    """Empty the server and connect the side's client.

    Args:
        adapter: the module's name.
        folder: where the ledger and the worker's log go.
        room: how many tasks the ledger has room for.
    """
    redis = RedisConnection(os.environ["BENCH_REDIS_URL"])
    redis.call("FLUSHALL", "SYNC")
    ledger = Ledger.create(folder / "ledger", room)
    app = importlib.import_module(adapter)
    client = Client(app)
    try:
        yield Bench(app, client, ledger, redis, folder / "worker.log")
    finally:
        client.close()


def wait_until(fact: Callable[[], bool], worker: Worker, limit: float, step: float = 0.005) -> None:
    """Wait for a fact.

    Args:
        fact: what must become true.
        worker: it must go on running.
        limit: seconds.
        step: seconds between two looks.

    Raises:
        StuckError: it did not become true.
    """
    end = monotonic() + limit
    while not fact():
        if monotonic() > end or not worker.running():
            raise StuckError(f"{fact.__qualname__}: not within {limit:g} s, worker running: {worker.running()}")
        pause(step)


def pause(seconds: float) -> None:
    """Let time pass."""
    _pause.wait(seconds)
