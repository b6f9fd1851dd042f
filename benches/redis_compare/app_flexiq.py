"""The workload for FlexiQ: its Redis storage, the prefork pool with two children.

FlexiQ keeps every job with its result; there is no way to run without.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from flexiq import Queue
from ledger import recorder

run = recorder()
queue = Queue(backend="redis", db_url=os.environ["BENCH_REDIS_URL"], workers=2)


@queue.task()
def noop(number: int) -> int:
    """Return the number."""
    return run(number)


def send(number: int) -> Any:
    """Publish one task."""
    return noop.delay(number)


def send_many(numbers: Sequence[int]) -> list[Any]:
    """Publish tasks in bulk."""
    return noop.map([(number,) for number in numbers])


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it; looks again each millisecond (FlexiQ's own default: 50 ms and more)."""
    return handle.result(timeout=60, poll_interval=0.001, max_poll_interval=0.001)


def worker_commands() -> list[list[str]]:
    """Return the command that runs two children."""
    return [[sys.executable, "-m", "flexiq.cli", "worker", "--app", "app_flexiq:queue", "--pool", "prefork"]]
