"""Whether the length of a queue matters: ten thousand messages at a time, and a million."""

from __future__ import annotations

import itertools
from typing import Any

from bench import Bench, wait_until
from part_drain import LIMIT, emptied


def backlog(bench: Bench, count: int) -> dict[str, Any]:
    """Drain a full queue; tell how fast each tenth of it was, and all but the first, in which the worker gets going."""
    bench.client.fill(0, count)
    measured = emptied(bench, count, [])
    ends = sorted(bench.ledger.ends[:count])
    tenth = count // 10
    marks = [min(bench.ledger.starts[:count]), *(ends[tenth * number - 1] for number in range(1, 11))]
    tenths = [tenth / (after - before) for before, after in itertools.pairwise(marks)]
    return {**measured, "tenths": tenths, "steady_rate": 9 * tenth / (marks[10] - marks[1])}


def bursts(bench: Bench, count: int, times: int) -> dict[str, Any]:
    """Drain a short queue many times with a worker that is going: it is held (SIGSTOP) while the queue is filled.

    The first time counts for nothing. The rate is that of all others together, by the tasks' own clocks.
    """
    ledger, seconds = bench.ledger, []
    with bench.worker() as worker:
        for first in range(0, (times + 1) * count, count):
            last = first + count
            if first:
                worker.hold()
            bench.client.fill(first, last)
            if first:
                worker.go_on()
            wait_until(lambda: ledger.done(first, last) == count, worker, LIMIT)  # noqa: B023
            seconds.append(max(ledger.ends[first:last]) - min(ledger.starts[first:last]))
    ledger.check(0, (times + 1) * count)
    rate = times * count / sum(seconds[1:])
    return {"count": count, "rate": rate, "steady_rate": rate, "rates": [count / passed for passed in seconds]}
