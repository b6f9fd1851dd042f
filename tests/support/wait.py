"""Wait for a fact, never for time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_BETWEEN_LOOKS = 0.005
"""Seconds."""


def wait_for(fact: Callable[[], T], what: str, *, limit: float = 20.0) -> T:
    """Return the first true value of `fact`.

    Args:
        fact: asked again and again.
        what: what is waited for, for the message.
        limit: seconds; generous, because a fact that comes late is still a fact.

    Raises:
        AssertionError: it did not come true in time.
    """
    end = time.monotonic() + limit
    pause = threading.Event()
    while not (value := fact()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:g} s for {what}")
        pause.wait(_BETWEEN_LOOKS)
    return value
