"""How many no-op tasks a worker with two children runs in a second, results stored."""

from __future__ import annotations

import time

from pytest_benchmark.fixture import BenchmarkFixture

from benches.python.conftest import Bench

TASKS = 20_000


def test_drain(benchmark: BenchmarkFixture, bench: Bench) -> None:
    """Time a full queue until every id has its result.

    From the moment the first task runs (by its own clock: start-up is measured elsewhere) until the client has seen
    the last result; then every id must have its result, once and right.
    """

    def fill() -> None:
        first = bench.mark.delay()
        ids = [bench.noop.delay(number).id for number in range(TASKS - 2)]
        found.append((first.id, ids, bench.mark.delay().id))

    def drain() -> None:
        first, ids, last = found[-1]
        worker = bench.start_worker(2)
        bench.app.AsyncResult(last).get(timeout=300)
        values = [bench.app.AsyncResult(task_id).get(timeout=60) for task_id in ids]
        ended = time.monotonic()
        assert values == list(range(TASKS - 2))
        seconds.append(ended - bench.app.AsyncResult(first).get(timeout=1))
        assert worker.stop() == 0

    found: list[tuple[str, list[str], str]] = []
    seconds: list[float] = []
    benchmark.pedantic(drain, setup=fill, rounds=5)
    benchmark.extra_info.update(
        figure=f"drain of {TASKS} no-op tasks, -c 2", unit="/s", values=[TASKS / taken for taken in seconds]
    )
