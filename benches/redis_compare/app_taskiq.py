"""The workload for taskiq: taskiq-redis, two processes, uvloop and orjson as its documentation recommends.

BENCH_BROKER=list takes ListQueueBroker, which loses what a killed worker held and is the faster one; the broker of its
first page is RedisStreamBroker, which acknowledges.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import uvloop
from ledger import recorder
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

run = recorder()
url = os.environ["BENCH_REDIS_URL"]
broker_class = ListQueueBroker if os.environ.get("BENCH_BROKER") == "list" else RedisStreamBroker
broker = broker_class(url).with_serializer(ORJSONSerializer())
if os.environ["BENCH_RESULTS"] == "1":
    broker = broker.with_result_backend(RedisAsyncResultBackend(url, result_ex_time=86_400))

new_event_loop = uvloop.new_event_loop


@broker.task
async def noop(number: int) -> int:
    """Return the number."""
    return run(number)


async def start() -> None:
    """Connect."""
    await broker.startup()


async def stop() -> None:
    """Disconnect."""
    await broker.shutdown()


async def send(number: int) -> Any:
    """Publish one task."""
    return await noop.kiq(number)


async def result(handle: Any) -> Any:
    """Return a task's result, waiting for it; looks again each millisecond (taskiq's own default: 200 ms)."""
    return (await handle.wait_result(check_interval=0.001, timeout=60)).return_value


def worker_commands() -> list[list[str]]:
    """Return the command that runs two processes."""
    options = ["--workers", "2", "--log-level", "WARNING", "--no-parse"]
    return [[sys.executable, "-m", "taskiq", "worker", "app_taskiq:broker", *options]]
