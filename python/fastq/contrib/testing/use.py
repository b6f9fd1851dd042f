"""Lending an app a broker and a store in memory, for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from fastq.app.send import new_id

if TYPE_CHECKING:
    from fastq.contrib.testing.testing import Testing

__all__ = ["hand_url", "in_memory"]


def hand_url() -> str:
    """Return the URL of queues and results in memory that nobody else has, on a clock that is turned by hand."""
    return f"memory://{new_id()}?clock=hand"


@contextmanager
def in_memory(app: Any) -> Iterator[Testing]:
    """Within, an app that is configured for production sends to queues in memory; yields its `app.testing`.

    Queues, results and the clock are new each time, and gone at the end; other settings stay as they are.

    Args:
        app: whose broker and result backend are replaced meanwhile.
    """
    url = hand_url()
    lent: dict[str, Any] = {
        "broker_url": url,
        "broker_read_url": None,
        "broker_write_url": None,
        "broker_transport_options": {},
        "result_backend": url,
        "result_backend_transport_options": {},
        "task_always_eager": False,
    }
    before = {name: app.conf[name] for name in lent}
    app.close()
    app.conf.update(lent)
    try:
        yield cast("Testing", app.testing)
    finally:
        app.close()
        app.conf.update(before)
