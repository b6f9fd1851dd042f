"""The workload for fastq, as it comes: the prefork pool with two children."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ledger import recorder
from redis_connection import RedisConnection

from fastq import FastQ, canvas

run = recorder()
url = os.environ["BENCH_REDIS_URL"]
app = FastQ("bench", broker=url, backend=url if os.environ["BENCH_RESULTS"] == "1" else "disabled")


@app.task
def noop(number: int, payload: str = "") -> int:  # noqa: ARG001 -- it is there to be carried
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


def send(number: int) -> Any:
    """Publish one task."""
    return noop.delay(number)


def send_payload(number: int, payload: str) -> Any:
    """Publish one task that carries something."""
    return noop.delay(number, payload)


def send_many(numbers: Sequence[int]) -> list[Any]:
    """Publish tasks in bulk."""
    return noop.apply_async_many((number,) for number in numbers)


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it."""
    return handle.get(timeout=60)


def results(handles: Sequence[Any]) -> list[Any]:
    """Return the results that are stored, read in one go."""
    records = RedisConnection(url)
    found = records.call("MGET", *(f"celery-task-meta-{handle.id}" for handle in handles))
    return [json.loads(record)["result"] for record in found]


def worker_commands() -> list[list[str]]:
    """Return the command that runs two children."""
    return [[sys.executable, "-m", "fastq", "-A", "app_fastq", "worker", "-c", "2", "-l", "WARNING"]]
