"""The workload for Celery: the prefork pool with two children; as it comes, or tuned (BENCH_TUNED=1).

Tuned is what the page "Optimizing" of Celery's documentation says for many short tasks: a high prefetch multiplier, and
no events among workers (gossip, mingle, heartbeat), which a single worker does not need.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from celery import Celery
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
    """Return the command that runs two children."""
    command = [sys.executable, "-m", "celery", "-A", "app_celery", "worker", "-c", "2", "-l", "WARNING"]
    return [command + ["--without-gossip", "--without-mingle", "--without-heartbeat"] * tuned]
