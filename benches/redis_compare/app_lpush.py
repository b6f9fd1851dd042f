"""No task queue: the bytes of one of fastq's messages (BENCH_MESSAGE, a file), pushed by redis-py with hiredis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import redis

message = Path(os.environ["BENCH_MESSAGE"]).read_bytes()
connection = redis.Redis.from_url(os.environ["BENCH_REDIS_URL"])
push = connection.lpush


def send(number: int) -> Any:  # noqa: ARG001 -- always the same message
    """Push the message."""
    return push("celery", message)
