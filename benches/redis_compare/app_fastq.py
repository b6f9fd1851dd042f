"""The workload for fastq, as it comes: the prefork pool with two children."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from ledger import recorder
from redis_connection import RedisConnection

from fastq import FastQ

run = recorder()
url = os.environ["BENCH_REDIS_URL"]
app = FastQ("bench", broker=url, backend=url if os.environ["BENCH_RESULTS"] == "1" else "disabled")


@app.task
def noop(number: int, payload: str = "") -> int:  # noqa: ARG001 -- it is there to be carried
    """Return the number."""
    return run(number)


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
