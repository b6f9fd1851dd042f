"""The bytes of one message and one stored result, for those who send the same without running anything."""

from __future__ import annotations

from typing import Any

from bench import Bench


def capture(bench: Bench) -> dict[str, Any]:
    """Return a message and a record as they stand in Redis."""
    handle = bench.client.send_each([0])[0]
    message = bench.redis.call("LINDEX", "celery", "0")
    with bench.worker():
        bench.client.result(handle)
    record = bench.redis.call("GET", f"celery-task-meta-{handle.id}")
    return {"message": message.decode(), "record": record.decode()}
