"""Workloads for fastq's pools: coroutines on event loops, tasks that wait a little, tasks that fail now and then.

BENCH_POOL chooses the worker: `asyncio` (the default), `sleepers` (one process, 5 000 at once), or `prefork`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from ledger import recorder

from fastq import FastQ, Task

run = recorder()
url = os.environ["BENCH_REDIS_URL"]
app = FastQ("bench", broker=url, backend=url if os.environ["BENCH_RESULTS"] == "1" else "disabled")
OPTIONS = {
    "asyncio": ["-P", "asyncio", "--processes", "2"],
    "sleepers": ["-P", "asyncio", "--processes", "1", "-c", "5000"],
    "prefork": ["-c", "2"],
}
pool = os.environ.get("BENCH_POOL", "asyncio")


@app.task
async def noop(number: int) -> int:
    """Return the number."""
    return run(number)


@app.task
async def sleep(number: int) -> int:
    """Return the number a second later."""
    await asyncio.sleep(1)
    return run(number)


@app.task
def nap(number: int) -> int:
    """Return the number ten milliseconds later."""
    time.sleep(0.01)  # noqa: TID251 -- it stands for work
    return run(number)


@app.task(bind=True, max_retries=3)
def mixed(self: Task[..., Any], number: int) -> int:
    """Return the number; of forty, one fails and one is retried."""
    if number % 40 == 20 and self.request.retries == 0:
        raise self.retry(countdown=0)
    value = run(number)
    if number % 40 == 0:
        raise ValueError(f"number {number}")
    return value


task: Any = {"asyncio": noop, "sleepers": sleep, "prefork": nap}[pool]


def send(number: int) -> Any:
    """Publish one task."""
    return task.delay(number)


def send_many(numbers: Sequence[int]) -> list[Any]:
    """Publish tasks in bulk."""
    return list(task.apply_async_many((number,) for number in numbers))


def send_mixed(numbers: Sequence[int]) -> None:
    """Publish tasks of which some fail and some are retried."""
    mixed.apply_async_many((number,) for number in numbers)


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it."""
    return handle.get(timeout=60)


def worker_commands() -> list[list[str]]:
    """Return the command that runs the worker."""
    return [[sys.executable, "-m", "fastq", "-A", "app_fastq_pools", "worker", "-l", "WARNING", *OPTIONS[pool]]]
