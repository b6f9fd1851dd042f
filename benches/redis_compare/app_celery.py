"""The workload for Celery: the prefork pool with two children, as it comes; or tuned (BENCH_TUNED=1).

Tuned, by the page "Optimizing" of Celery's documentation for many short tasks and by trial: a high prefetch multiplier,
no events among workers (gossip, mingle, heartbeat), and two workers that run their tasks themselves (solo), so that
nothing goes through a pipe. With the prefork pool the first two make no difference that could be measured.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from celery import Celery, canvas
from celery.result import AsyncResult
from ledger import recorder
from redis_connection import RedisConnection

run = recorder()
url = os.environ["BENCH_REDIS_URL"]
tuned = os.environ.get("BENCH_TUNED") == "1"

app = Celery("bench", broker=url, backend=url if os.environ["BENCH_RESULTS"] == "1" else None)
app.conf.broker_connection_retry_on_startup = True
if tuned:
    app.conf.worker_prefetch_multiplier = 128


@app.task
def noop(number: int) -> int:
    """Return the number."""
    return run(number)


@app.task
def step(value: int = 0) -> int:
    """Return one more."""
    return value + 1


@app.task
def count(values: list[int]) -> int:
    """Return how many there are."""
    return len(values)


def chord(members: int) -> Any:
    """Send a chord; return its handle."""
    return canvas.chord([step.s() for _ in range(members)], count.s()).apply_async()


def group(members: int) -> Any:
    """Send the members of a chord alone; return their handle."""
    return canvas.group([step.s() for _ in range(members)]).apply_async()


def chain(steps: int) -> Any:
    """Send a chain; return its handle."""
    return canvas.chain(*(step.s() for _ in range(steps))).apply_async()


def send(number: int) -> AsyncResult:
    """Publish one task."""
    return noop.delay(number)


def result(handle: AsyncResult) -> int:
    """Return a task's result, waiting for it."""
    return handle.get(timeout=60)


def results(handles: Sequence[AsyncResult]) -> list[int]:
    """Return the results that are stored, read in one go."""
    records = RedisConnection(url)
    found = records.call("MGET", *(f"celery-task-meta-{handle.id}" for handle in handles))
    return [json.loads(record)["result"] for record in found]


def worker_commands() -> list[list[str]]:
    """Return the command of one worker with two children, or those of two workers."""
    command = [sys.executable, "-m", "celery", "-A", "app_celery", "worker", "-l", "WARNING"]
    if not tuned:
        return [[*command, "-c", "2"]]
    options = ["-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [[*command, *options, "-n", f"{number}@%h"] for number in (1, 2)]
