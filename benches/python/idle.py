"""What a worker costs that has nothing to do."""

from __future__ import annotations

import threading
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benches.python.conftest import Bench

SECONDS = 20.0


def test_idle(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """Read the scheduler's account of all threads of all processes, before and after a time without work."""
    worker = bench.start_worker(2)
    bench.warm_up()

    def idle() -> None:
        before = _seconds_on_a_core(worker.processes())
        threading.Event().wait(SECONDS)
        values.append(100 * (_seconds_on_a_core(worker.processes()) - before) / SECONDS)

    values: list[float] = []
    benchmark.pedantic(idle, rounds=3)
    benchmark.extra_info.update(figure="idle worker, two children", unit="% of a core", values=values)


def _seconds_on_a_core(pids: list[int]) -> float:
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9
