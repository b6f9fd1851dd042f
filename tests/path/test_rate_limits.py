"""Tasks with a rate limit: their runs are spread, and nobody else waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.path.conftest import SHOP

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker


def test_runs_of_a_limited_task_begin_apart_and_others_pass_them(
    client: FastQ, start_worker: Callable[..., RunningWorker]
) -> None:
    limited = [client.send_task("shop.mail", (number,)) for number in range(40)]
    worker = start_worker(SHOP, ("-c", "2"))
    others = [client.send_task("shop.add", (number, 1)) for number in range(50)]
    assert [other.get(timeout=20) for other in others] == list(range(1, 51))
    assert not all(result.ready() for result in limited), "the others passed them"

    times = sorted(result.get(timeout=20) for result in limited)
    assert times[-1] - times[0] >= 3.8, "forty runs, ten a second"
    assert worker.stop() == 0


def test_limited_tasks_that_wait_go_back_when_the_worker_stops(
    client: FastQ, start_worker: Callable[..., RunningWorker]
) -> None:
    results = [client.send_task("shop.mail", (number,)) for number in range(40)]
    worker = start_worker(SHOP, ("-c", "1"))
    results[0].get(timeout=20)
    assert worker.stop() == 0
    depths = client.producer.depths()  # type: ignore[attr-defined]
    (depth,) = (depth for depth in depths if depth["queue"] == "celery")
    done = sum(result.ready() for result in results)
    assert (depth["ready"] + done, depth["in_flight"]) == (40, 0)
