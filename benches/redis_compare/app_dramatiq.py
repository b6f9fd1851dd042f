"""The workload for dramatiq: two processes, as it comes: eight threads in each."""

from __future__ import annotations

import os
import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from ledger import recorder

run = recorder()
url = os.environ["BENCH_REDIS_URL"]
stored = os.environ["BENCH_RESULTS"] == "1"

broker = RedisBroker(url=url)
if stored:
    broker.add_middleware(Results(backend=RedisBackend(url=url)))
dramatiq.set_broker(broker)


@dramatiq.actor(**({"store_results": True} if stored else {}))
def noop(number: int) -> int | None:
    """Return the number, when results are kept: dramatiq warns of every one that is not."""
    run(number)
    return number if stored else None


def send(number: int) -> Any:
    """Publish one task."""
    return noop.send(number)


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it in Redis."""
    return handle.get_result(block=True, timeout=60_000)


def worker_commands() -> list[list[str]]:
    """Return the command that runs two processes."""
    options = ["--processes", "2", "--threads", "8"]
    return [[sys.executable, "-m", "dramatiq", "app_dramatiq", *options]]
