"""How long it takes until something happens: the command's help, a worker's first task."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benches.python.conftest import Bench


def test_help(benchmark: BenchmarkFixture) -> None:
    """Time `fastq --help`, the whole process."""
    command = [str(Path(sys.executable).with_name("fastq")), "--help"]
    benchmark.extra_info.update(figure="fastq --help", unit="ms")
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=15, warmup_rounds=2)


def test_first_task(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """Time the start of a worker until the client has the result of a task that was waiting for it."""

    def waiting() -> None:
        results.append(bench.noop.delay(1))

    def start() -> None:
        workers.append(bench.start_worker(2))
        results[-1].get(timeout=30)

    def stop() -> None:
        assert workers[-1].stop() == 0

    results: list[object] = []
    workers: list[object] = []
    benchmark.extra_info.update(figure="worker start to first result, tiny app", unit="ms")
    benchmark.pedantic(start, setup=waiting, teardown=stop, rounds=9, warmup_rounds=1)
