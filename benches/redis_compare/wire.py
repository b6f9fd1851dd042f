"""The wire limit: benches/rust/wire.rs, built by rustc alone, sends the commands of fastq's tasks and runs none."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

from environment import CLONE
from redis_connection import RedisConnection

BATCH = 128
"""Tasks in one write."""


def wire(count: int) -> dict[str, float]:
    """Return how many tasks a second the bare client publishes and drains.

    Args:
        count: tasks, for each figure.

    Raises:
        subprocess.SubprocessError: rustc, or the program, failed.
    """
    url = os.environ["BENCH_REDIS_URL"]
    RedisConnection(url).call("FLUSHALL", "SYNC")
    port = url.rpartition(":")[2].partition("/")[0]
    command: list[str | Path] = [
        _program(),
        port,
        str(count),
        str(BATCH),
        os.environ["BENCH_MESSAGE"],
        os.environ["BENCH_RECORD"],
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {what: float(rate) for what, rate in (line.split("\t") for line in done.stdout.splitlines())}


@cache
def _program() -> Path:
    source, folder = CLONE / "benches/rust/wire.rs", CLONE / "target/bench-compare"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "wire"
    subprocess.run(["rustc", "--edition", "2024", "-O", "-o", program, source], check=True)
    return program
