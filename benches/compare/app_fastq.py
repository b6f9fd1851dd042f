"""The workload for fastq on its SQLite broker and store: two children, results kept."""

from __future__ import annotations

import os
import sys
import time

from fastq import FastQ

url = "sqlite:///" + os.environ["FASTQ_BENCH_FILE"]
app = FastQ("bench", broker=url, backend=url)


@app.task
def noop(number: int) -> int:
    """Return the number."""
    return number


@app.task
def mark() -> float:
    """Return when this ran."""
    return time.monotonic()


def send(number: int) -> str:
    """Publish one task; return its id."""
    return noop.delay(number).id


def send_mark() -> str:
    """Publish a mark; return its id."""
    return mark.delay().id


def result(task_id: str) -> object:
    """Return the result of a task, waiting for it."""
    return app.AsyncResult(task_id).get(timeout=300)


def worker_command() -> list[str]:
    """Return the command that runs two children."""
    return [sys.executable, "-m", "fastq", "-A", "app_fastq", "worker", "-c", "2", "-l", "ERROR"]
