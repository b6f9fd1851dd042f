"""Trying an operation of a result backend again: `result_backend_always_retry`, and the `retry_policy` of Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastq.exceptions import AccessRefused, OperationalError, TimeoutError  # noqa: A004 - it is the built-in too

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastq.conf.settings import Settings

__all__ = ["TEMPORARY", "tried"]

T = TypeVar("T")

TEMPORARY: Final = (OperationalError, TimeoutError, OSError)
"""What may pass by itself."""


def tried(conf: Settings, call: Callable[[], T], deadline: float | None = None) -> T:
    """Return what `call` returns, trying again as the settings say while it fails for now.

    Args:
        conf: the settings.
        call: the operation.
        deadline: on the monotonic clock; no pause goes beyond it.

    Raises:
        OperationalError, TimeoutError, OSError: it failed once more than it may be tried again.
    """
    pauses: Iterator[float] | None = None
    while True:
        try:
            return call()
        except AccessRefused:
            raise  # it is no less refused a moment later
        except TEMPORARY:
            if pauses is None:
                pauses = _pauses(conf)
            pause = next(pauses, None)
            if pause is None or (deadline is not None and time.monotonic() + pause >= deadline):
                raise
        time.sleep(pause)  # noqa: TID251 - the pause is the point: there is no fact to wait for


def _pauses(conf: Settings) -> Iterator[float]:
    """Yield the seconds before each further try."""
    policy: dict[str, Any] | None = (conf.result_backend_transport_options or {}).get("retry_policy")
    if conf.result_backend_always_retry:
        yield from _doubling(
            conf.result_backend_max_retries,
            conf.result_backend_base_sleep_between_retries_ms / 1000,
            conf.result_backend_max_sleep_between_retries_ms / 1000,
        )
    elif policy:
        tries = policy.get("max_retries", 20)
        pause, longest = float(policy.get("interval_start") or 0), float(policy.get("interval_max", 1))
        for _ in _counted(tries):
            yield min(pause, longest)
            pause += float(policy.get("interval_step", 1))


def _doubling(tries: float | None, first: float, longest: float) -> Iterator[float]:
    import random  # not on the way of a call

    pause = first
    for _ in _counted(tries):
        # As Celery has it, anything up to the pause: those who failed together do not come back together.
        yield random.uniform(0, min(pause, longest))  # noqa: S311 - no secret hangs on it
        pause = min(pause * 2, longest)


def _counted(tries: float | None) -> Iterator[int]:
    """Count up to a number that may be infinite; None is so, too."""
    number = 0
    while tries is None or number < tries:
        yield number
        number += 1
