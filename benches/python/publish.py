"""What one `delay()` costs the caller, with nobody taking from the queue."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benches.python.conftest import Bench

CALLS = 2_000


def test_publish(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """Time a loop of calls; the figure is one call."""
    delay = bench.noop.delay

    def loop() -> None:
        for number in range(CALLS):
            delay(number)

    benchmark.extra_info.update(per=CALLS, unit="µs", figure="one delay(), confirmed")
    benchmark.pedantic(loop, rounds=9, warmup_rounds=1)
