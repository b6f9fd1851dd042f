"""What a worker costs that has nothing to do."""

from __future__ import annotations

from time import monotonic
from typing import Any

from bench import Bench, pause, wait_until

WARM = 50
"""Tasks that run first."""
SETTLED = 2.0
"""Seconds without work before the first look."""


def idle(bench: Bench, seconds: float) -> dict[str, Any]:
    """Return the share of a core and the commands a second that the worker uses, after it has worked a little."""
    bench.client.fill(0, WARM)
    with bench.worker() as worker:
        wait_until(lambda: bench.ledger.done(0, WARM) == WARM, worker, 60)
        pause(SETTLED)
        began, cpu, calls = monotonic(), worker.scheduled_seconds(), bench.redis.commands()
        pause(seconds)
        cpu = worker.scheduled_seconds() - cpu
        calls = {name: number - calls.get(name, 0) for name, number in bench.redis.commands().items()}
        passed = monotonic() - began
    return {
        "seconds": passed,
        "cpu_percent": 100 * cpu / passed,
        "commands_per_second": sum(calls.values()) / passed,
        "commands": {name: number for name, number in calls.items() if number},
    }
