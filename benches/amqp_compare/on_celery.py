"""The workload for Celery on RabbitMQ, as it comes: the prefork pool with two children, publishing without confirms."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from celery import Celery
from celery.result import AsyncResult
from ledger import recorder

folder = Path(__file__).resolve().parent
run = recorder()
app = Celery("bench", broker=os.environ["BENCH_BROKER_URL"], backend="disabled://")
app.conf.broker_connection_retry_on_startup = True
app.conf.task_ignore_result = True


@app.task
def noop(number: int) -> int:
    """Return the number."""
    return run(number)


def send(number: int) -> AsyncResult:
    """Publish one task."""
    return noop.delay(number)


def result(handle: AsyncResult) -> int:
    """Return a task's result, waiting for it."""
    return handle.get(timeout=60)


def worker_commands() -> list[list[str]]:
    """Return the command of one worker with two children."""
    return [[sys.executable, "-m", "celery", "-A", "on_celery", "worker", "-l", "WARNING", "-c", "2"]]
