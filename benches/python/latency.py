"""How long a caller waits for the result of a task that does nothing, on an idle worker."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture

from benches.python.conftest import Bench

ROUND_TRIPS = 2_000


def test_round_trip(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """Time `delay()` and `get()`, one after the other."""
    bench.start_worker(2)
    bench.warm_up()

    def round_trip() -> None:
        bench.noop.delay(1).get(timeout=10)

    benchmark.extra_info.update(figure="delay() to get(), idle worker", unit="ms", percentiles=True)
    benchmark.pedantic(round_trip, rounds=ROUND_TRIPS, warmup_rounds=50)
