"""Pools: many coroutines that sleep, short tasks that wait, and a long run in which some tasks fail."""

from __future__ import annotations

import statistics
from time import monotonic
from typing import Any

from bench import Bench, wait_until
from part_drain import emptied

LIMIT = 600.0
EACH = 0.5
"""Seconds between two looks at the memory."""


def sleepers(bench: Bench, count: int, seconds: float) -> dict[str, Any]:
    """Drain tasks that sleep before they tell; the time includes the sleep of the first."""
    bench.client.fill(0, count)
    measured = emptied(bench, count, [])
    passed = measured["seconds"] + seconds
    return {**measured, "seconds": passed, "rate": count / passed}


def share(bench: Bench, count: int, seconds: float, children: int) -> dict[str, Any]:
    """Drain tasks that wait before they tell; return which part of the possible rate was reached."""
    measured = sleepers(bench, count, seconds)
    return {**measured, "of_possible": measured["rate"] / (children / seconds)}


def soak(bench: Bench, count: int) -> dict[str, Any]:
    """Run many tasks, some of which fail or are retried; compare the memory of the last quarter with the second's."""
    for first in range(0, count, 1_000):
        bench.app.send_mixed(range(first, min(count, first + 1_000)))
    ledger, samples = bench.ledger, []
    with bench.worker() as worker:
        wait_until(lambda: ledger.done(0, count) > 0, worker, 60)
        began, next_look = monotonic(), monotonic()

        def all_ran() -> bool:
            nonlocal next_look
            if monotonic() >= next_look:
                samples.append(worker.memory(ledger.path)["pss"])
                next_look = monotonic() + EACH
            return ledger.full(count)

        wait_until(all_ran, worker, LIMIT, step=0.05)
        passed = monotonic() - began
    ledger.check(0, count)
    quarter = len(samples) // 4
    second, last = statistics.mean(samples[quarter : 2 * quarter]), statistics.mean(samples[-quarter:])
    return {
        "count": count,
        "seconds": passed,
        "rate": count / passed,
        "growth_percent": 100 * (last / second - 1),
        "pss_mb_samples": [round(sample, 1) for sample in samples],
    }
