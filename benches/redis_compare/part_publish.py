"""Publishing with nobody taking from the queue: one call each, and in bulk."""

from __future__ import annotations

from time import monotonic
from typing import Any

from bench import Bench


def publish(bench: Bench, count: int) -> dict[str, Any]:
    """Return how many tasks a loop publishes in a second, and the library's bulk call, when it has one."""
    client = bench.client
    client.publish(range(20))
    began = monotonic()
    client.publish(range(count))
    measured = {"count": count, "rate": count / (monotonic() - began)}
    if client.has_bulk:
        began = monotonic()
        client.fill(0, count)
        measured["bulk_rate"] = count / (monotonic() - began)
    return measured
