"""The workload for huey on its SQLite store: two processes, results kept.

FASTQ_BENCH_FSYNC=off gives huey `fsync=False`, which is faster and less safe than what fastq does; the default is
huey's own.
"""

from __future__ import annotations

import os
import sys
import time

from huey import SqliteHuey

huey = SqliteHuey(
    "bench",
    filename=os.environ["FASTQ_BENCH_FILE"],
    fsync=False if os.environ.get("FASTQ_BENCH_FSYNC") == "off" else None,
)


@huey.task()
def noop(number: int) -> int:
    """Return the number."""
    return number


@huey.task()
def mark() -> float:
    """Return when this ran."""
    return time.monotonic()


def send(number: int) -> str:
    """Publish one task; return its id."""
    return noop(number).id


def send_mark() -> str:
    """Publish a mark; return its id."""
    return mark().id


def result(task_id: str) -> object:
    """Return the result of a task, waiting for it; looks again every five milliseconds at least."""
    return huey.result(task_id, blocking=True, timeout=300, backoff=1.0, max_delay=0.005, preserve=True)


def worker_command() -> list[str]:
    """Return the command that runs two processes."""
    options = ["--workers", "2", "--worker-type", "process", "--no-periodic", "--quiet"]
    return [sys.executable, "-m", "huey.bin.huey_consumer", "app_huey.huey", *options]
