"""What one more child costs in memory that it shares with nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benches.python.conftest import Bench

FEW, MANY = 1, 9


def test_memory_of_a_child(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """Compare workers with few and many children: all private memory of all processes, after some work."""

    def private_memory(children: int) -> float:
        worker = bench.start_worker(children)
        bench.warm_up(2_000)
        worker.children(children)
        megabytes = sum(_private_kib(worker.processes())) / 1024
        assert worker.stop() == 0
        return megabytes

    def compare() -> None:
        values.append((private_memory(MANY) - private_memory(FEW)) / (MANY - FEW))

    values: list[float] = []
    benchmark.pedantic(compare, rounds=3)
    benchmark.extra_info.update(figure="private memory of one more child", unit="MB", values=values)


def _private_kib(pids: Iterable[int]) -> Iterable[int]:
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        yield sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE))
