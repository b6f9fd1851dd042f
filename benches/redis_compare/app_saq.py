"""The workload for SAQ: two processes, as it comes: ten jobs at once in each."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from ledger import recorder
from saq import Queue

run = recorder()
queue = Queue.from_url(os.environ["BENCH_REDIS_URL"])
ttl = 86_400 if os.environ["BENCH_RESULTS"] == "1" else -1


async def noop(_context: dict[str, Any], *, number: int) -> int:
    """Return the number."""
    return run(number)


settings = {"queue": queue, "functions": [noop], "concurrency": 10}
stop_group = True
"""Its first process does not tell the second one to stop."""


async def start() -> None:
    """Connect."""
    await queue.connect()


async def stop() -> None:
    """Disconnect."""
    await queue.disconnect()


async def send(number: int) -> Any:
    """Publish one task."""
    return await queue.enqueue("noop", number=number, ttl=ttl)


async def result(handle: Any) -> Any:
    """Return a task's result, waiting for it; looks again each millisecond (SAQ's own `apply`: 500 ms).

    SAQ's notice of it would be quicker, but whoever asks for it too late misses it.
    """
    await handle.refresh()
    while not handle.completed:
        await asyncio.sleep(0.001)
        await handle.refresh()
    return handle.result


def worker_commands() -> list[list[str]]:
    """Return the command that runs two processes."""
    return [[sys.executable, "-m", "saq", "app_saq.settings", "--workers", "2"]]
