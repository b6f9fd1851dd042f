"""Waiting times: a call and its result on an idle worker, and from sending to running at two loads."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from bench import Bench, pause, wait_until
from worker import Worker

WARM = 100
"""Tasks that run first."""
TICK = 0.001
"""Seconds between two looks of the sender at its plan."""
LIMIT = 60.0
"""Seconds that the last tasks may take."""


def latency(bench: Bench, pace: int, round_trips: int, seconds: float) -> dict[str, Any]:
    """Return round trips on an idle worker, the capacity beside a sender, and the waiting times at 20 % and 80 % of it.

    Args:
        bench: the side; results are on.
        pace: about what it runs in a second.
        round_trips: how many; fewer when they take longer than `seconds`.
        seconds: how long each load lasts.
    """
    with bench.worker() as worker:
        bench.client.fill(0, WARM)
        wait_until(lambda: bench.ledger.done(0, WARM) == WARM, worker, LIMIT)
        trips = _round_trips(bench, WARM, round_trips, 2 * seconds)
        number = WARM + len(trips)
        capacity, bound, number = _capacity(bench, worker, number, max(200, pace // 10), seconds)
        loads = {}
        for percent in (20, 80):
            first, rate = number, capacity * percent / 100
            planned = _send_to_plan(bench, first, rate, seconds)
            number += len(planned)
            wait_until(lambda: bench.ledger.done(first, number) == number - first, worker, LIMIT)  # noqa: B023
            loads[str(percent)] = {"rate": rate, **_waits(bench, first, planned)}
    bench.ledger.check(0, number)
    return {"round_trip_ms": percentiles(trips), "capacity": capacity, "bound_by": bound, "load": loads}


def _round_trips(bench: Bench, first: int, count: int, seconds: float) -> list[float]:
    """Return the times of calls that wait for their results, one after the other, on an idle worker."""
    trips: list[float] = []
    end = monotonic() + seconds
    while len(trips) < count and monotonic() < end:
        number = first + len(trips)
        began = monotonic()
        value = bench.client.round_trip(number)
        trips.append(monotonic() - began)
        assert value == number, f"task {number} returned {value!r}"
    return trips


def _capacity(bench: Bench, worker: Worker, first: int, window: int, seconds: float) -> tuple[float, str, int]:
    """Return what the side runs in a second while its client keeps the queue filled, and which of both was the limit.

    At most `window` tasks are on their way, so that the worker is busy and the queue stays short.
    """
    number, chunk = first, max(1, window // 10)
    waited = 0.0
    began = monotonic()
    while (now := monotonic()) < began + seconds:
        if number - first - bench.ledger.done(first, number) >= window:
            pause(TICK)
            waited += monotonic() - now
            continue
        bench.client.send_many(range(number, number + chunk))
        number += chunk
    wait_until(lambda: bench.ledger.done(first, number) == number - first, worker, LIMIT)
    ends = sorted(end for end in bench.ledger.ends[first:number] if began + seconds / 4 < end <= now)
    rate = len(ends) / (now - began - seconds / 4)
    return rate, "worker" if waited > 0.02 * seconds else "client", number


def _send_to_plan(bench: Bench, first: int, rate: float, seconds: float) -> list[float]:
    """Send tasks at a steady rate, whatever becomes of them; return when each was due.

    What is due together is sent together. A sender that is late does not move the plan: its delay counts.
    """
    total = max(20, int(rate * seconds))
    began, sent = monotonic(), 0
    while sent < total:
        due = min(total, int((monotonic() - began) * rate) + 1)
        if due > sent:
            bench.client.send_many(range(first + sent, first + due))
            sent = due
        else:
            pause(min(TICK, max(0.0, began + sent / rate - monotonic())))
    return [began + number / rate for number in range(total)]


def _waits(bench: Bench, first: int, planned: Sequence[float]) -> dict[str, Any]:
    """Return how long after they were due the tasks started and ended, without the first tenth."""
    skipped = len(planned) // 10
    numbers = range(skipped, len(planned))
    starts, ends = bench.ledger.starts, bench.ledger.ends
    return {
        "start_ms": percentiles([starts[first + number] - planned[number] for number in numbers]),
        "end_ms": percentiles([ends[first + number] - planned[number] for number in numbers]),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Return the middle and the 99th of a hundred, in milliseconds, and how many there were."""
    ordered = sorted(seconds)
    return {
        "p50": 1_000 * ordered[len(ordered) // 2],
        "p99": 1_000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "count": len(ordered),
    }
