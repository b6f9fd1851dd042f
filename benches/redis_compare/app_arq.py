"""The workload for arq: its worker runs in one process, so two are started.

arq looks for jobs each `poll_delay`, by default each half second, and takes at most 100 then, which holds a process at
200 jobs a second. Here it looks each 10 ms; all else is as it comes.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import run_worker
from ledger import recorder

run = recorder()
settings = RedisSettings.from_dsn(os.environ["BENCH_REDIS_URL"])
_pool: list[ArqRedis] = []


async def noop(_context: dict[str, Any], number: int) -> int:
    """Return the number."""
    return run(number)


class WorkerSettings:
    """What `arq` reads."""

    functions = (noop,)
    redis_settings = settings
    poll_delay = 0.01
    keep_result = 86_400 if os.environ["BENCH_RESULTS"] == "1" else 0


def work() -> None:
    """Run one process, as the command `arq` does, without a log line for each job."""
    logging.basicConfig(level=logging.WARNING)
    run_worker(WorkerSettings)


async def start() -> None:
    """Connect."""
    _pool.append(await create_pool(settings))


async def stop() -> None:
    """Disconnect."""
    await _pool.pop().aclose()


async def send(number: int) -> Any:
    """Publish one task."""
    return await _pool[0].enqueue_job("noop", number)


async def result(handle: Any) -> Any:
    """Return a task's result, waiting for it; looks again each millisecond (arq's own default: 500 ms)."""
    return await handle.result(timeout=60, poll_delay=0.001)


def worker_commands() -> list[list[str]]:
    """Return two commands, each of which runs one process."""
    return [[sys.executable, "-c", "import app_arq; app_arq.work()"]] * 2
