"""Workflows: a chord of tasks that do nothing, a long chain of them, and the bytes that sending a large chord takes."""

from __future__ import annotations

from time import monotonic
from typing import Any

from bench import Bench

WARM = 20
"""Members and steps of the workflows that run first."""


def canvas(bench: Bench, members: int, steps: int) -> dict[str, Any]:
    """Return how long a chord and a chain take from the call until the caller has the result, a worker being idle.

    Args:
        bench: the side; results are on.
        members: of the chord's header. Its body returns how many results it was given.
        steps: of the chain, each of which adds one.
    """
    app = bench.client.app
    with bench.worker():
        for count in (1, WARM):
            assert app.result(app.chord(count)) == count
            assert app.result(app.chain(count)) == count
        chord = _timed(app, app.chord, members)
        chain = _timed(app, app.chain, steps)
    return {"chord_s": chord, "chain_s": chain, "step_ms": 1_000 * chain / steps}


def _timed(app: Any, send: Any, count: int) -> float:
    began = monotonic()
    value = app.result(send(count))
    seconds = monotonic() - began
    assert value == count, f"a workflow of {count} returned {value!r}"
    return seconds


def canvas_bytes(bench: Bench, members: int) -> dict[str, Any]:
    """Return how many bytes Redis is sent for a chord, and for its members alone, with nobody taking from the queue."""
    app, redis = bench.client.app, bench.redis

    def sent(send: Any) -> int:
        before = int(redis.info("stats")["total_net_input_bytes"])
        send(members)
        return int(redis.info("stats")["total_net_input_bytes"]) - before

    app.group(WARM)
    app.chord(WARM)
    alone, chord = sent(app.group), sent(app.chord)
    return {"members": members, "alone_bytes": alone, "chord_bytes": chord, "ratio": chord / alone}
