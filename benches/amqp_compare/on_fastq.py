"""The workload for fastq on RabbitMQ, as it comes: the prefork pool with two children, publishing with confirms."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger import recorder

from fastq import FastQ

folder = Path(__file__).resolve().parent
run = recorder()
app = FastQ("bench", broker=os.environ["BENCH_BROKER_URL"], backend="disabled://")
app.conf.task_ignore_result = True


@app.task
def noop(number: int) -> int:
    """Return the number."""
    return run(number)


def send(number: int) -> Any:
    """Publish one task."""
    return noop.delay(number)


def send_many(numbers: Sequence[int]) -> list[Any]:
    """Publish tasks in bulk."""
    return noop.apply_async_many((number,) for number in numbers)


def confirm() -> None:
    """Wait until the server has everything that was published."""
    app.producer.flush(60.0)


def result(handle: Any) -> Any:
    """Return a task's result, waiting for it."""
    return handle.get(timeout=60)


def worker_commands() -> list[list[str]]:
    """Return the command that runs two children."""
    return [[sys.executable, "-m", "fastq", "-A", "on_fastq", "worker", "-c", "2", "-l", "WARNING"]]
