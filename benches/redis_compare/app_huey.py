"""The workload for huey: RedisHuey (blocking reads), two processes."""

from __future__ import annotations

import os
import sys
from typing import Any

from huey import RedisHuey
from ledger import recorder

run = recorder()
huey = RedisHuey("bench", url=os.environ["BENCH_REDIS_URL"], results=os.environ["BENCH_RESULTS"] == "1")


@huey.task()
def noop(number: int) -> int:
    """Return the number."""
    return run(number)


def send(number: int) -> Any:
    """Publish one task."""
    return noop(number)


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it; looks again each millisecond (huey's own default: 100 ms)."""
    return handle.get(blocking=True, timeout=60, backoff=1.0, max_delay=0.001)


def worker_commands() -> list[list[str]]:
    """Return the command that runs two processes."""
    options = ["--workers", "2", "--worker-type", "process", "--no-periodic", "--quiet"]
    return [[sys.executable, "-m", "huey.bin.huey_consumer", "app_huey.huey", *options]]
