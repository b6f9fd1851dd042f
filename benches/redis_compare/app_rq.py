"""The workload for RQ: a pool of two workers, each of which forks a process for every job.

The pool is started by a script that has imported the tasks, as RQ's page on performance says, so that a fork need not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from ledger import recorder
from redis import Redis
from rq import Queue
from rq.worker_pool import WorkerPool

run = recorder()
connection = Redis.from_url(os.environ["BENCH_REDIS_URL"])
queue = Queue("bench", connection=connection)
result_ttl = 86_400 if os.environ["BENCH_RESULTS"] == "1" else 0


def noop(number: int) -> int:
    """Return the number."""
    return run(number)


def send(number: int) -> Any:
    """Publish one task."""
    return queue.enqueue(noop, number, result_ttl=result_ttl)


def send_many(numbers: Sequence[int]) -> list[Any]:
    """Publish tasks in bulk."""
    return queue.enqueue_many([Queue.prepare_data(noop, (number,), result_ttl=result_ttl) for number in numbers])


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it in Redis."""
    return handle.latest_result(timeout=60).return_value


def work() -> None:
    """Run the pool."""
    WorkerPool([queue], connection=connection, num_workers=2).start(logging_level="WARNING")


def worker_commands() -> list[list[str]]:
    """Return the command that runs two workers."""
    return [[sys.executable, "-c", "import app_rq; app_rq.work()"]]
