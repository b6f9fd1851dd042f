"""Waiting for a result: `get`, its time limit, and why a task must not wait for another one.

The caller is woken by the store where that can push. Only what must happen meanwhile (`on_interval`, `on_message`, a
look at the parents of a chain) cuts the wait into pieces.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastq.backends.again import tried
from fastq.exceptions import TimeoutError  # noqa: A004 - it is the built-in too
from fastq.states import PENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastq.backends.base import Backend, Meta
    from fastq.result.async_result import AsyncResult

__all__ = [
    "allow_join_result",
    "assert_will_not_block",
    "check_seconds",
    "denied_join_result",
    "deny_joins_while",
    "until_ready",
]

_allowed: Final[ContextVar[bool | None]] = ContextVar("fastq_join_allowed", default=None)
"""What the innermost `allow_join_result` or `denied_join_result` says; None: neither is in force."""


class _Guard:
    """Whether a task runs here. Written once by the executor, which stands on a higher floor; read by every `get`."""

    running: Callable[[], bool] | None = None


def deny_joins_while(running: Callable[[], bool]) -> None:
    """Refuse to wait for results while `running()` is true: while a worker's task runs here."""
    _Guard.running = running


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Allow the block to wait for results inside a task."""
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Refuse to wait for results in the block, wherever it runs."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)


def assert_will_not_block() -> None:
    """Raise when waiting here could wait for ever.

    Raises:
        RuntimeError: a task runs here. When every slot of a worker waits for tasks that need a slot, none ever ends.
    """
    allowed = _allowed.get()
    running = _Guard.running
    if allowed is False or (allowed is None and running is not None and running()):
        raise RuntimeError(
            "Never wait for a result inside a task: if every slot waits, nobody is left to run what they wait for. "
            "Use a callback (link), or a chain; or, if the other task runs elsewhere, get(disable_sync_subtasks=False) "
            "or allow_join_result()."
        )


def check_seconds(name: str, value: Any) -> None:
    """Refuse a time that is none.

    Raises:
        TypeError: the value is neither None nor a number.
        ValueError: it is not a number by its own account.
    """
    if value is None:
        return
    if not isinstance(value, (int, float)):
        raise TypeError(f"The option {name} must be a number of seconds, or None for no limit; not {value!r}.")
    if value != value:  # a NaN, and nothing else
        raise ValueError(f"The option {name} must be a number of seconds, or None for no limit; not {value!r}.")


def until_ready(
    result: AsyncResult[Any],
    timeout: float | None,
    interval: float,
    on_interval: Callable[[], object] | None,
    on_message: Callable[[Meta], object] | None,
    check_parents: Callable[[], object] | None,
) -> Meta:
    """Return what is stored for a task once it has ended.

    Args:
        result: whose task to wait for.
        timeout: seconds; None: no limit.
        interval: seconds between calls of the three below.
        on_interval: called again and again.
        on_message: called with every new state that is seen.
        check_parents: raises when the task will never run.

    Raises:
        TimeoutError: the task has not ended in time.
    """
    backend = result.backend
    deadline = None if timeout is None else time.monotonic() + timeout
    calls = [call for call in (check_parents, on_interval, on_message and _Reporter(result, on_message)) if call]
    while True:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        step = remaining
        if calls:
            step = interval if remaining is None else min(interval, remaining)
        ended = tried(backend.app.conf, partial(backend.wait, (result.id,), step), deadline)
        if ended:
            meta = backend.decode(ended[0])
            if on_message:
                on_message(meta)
            return meta
        if deadline is not None and time.monotonic() >= deadline:
            raise _out_of_time(result, backend, timeout or 0)
        for call in calls:
            call()


class _Reporter:
    """Tells of the states a task goes through, each once."""

    def __init__(self, result: AsyncResult[Any], tell: Callable[[Meta], object]) -> None:
        self._result = result
        self._tell = tell
        self._told: Meta | None = None

    def __call__(self) -> None:
        meta = self._result.backend.get_task_meta(self._result.id)
        if meta != self._told and meta["status"] != PENDING:
            self._told = meta
            self._tell(meta)


def _out_of_time(result: AsyncResult[Any], backend: Backend, timeout: float) -> TimeoutError:
    state = backend.get_task_meta(result.id)["status"]
    sentence = f"Task {result.id} has not ended within {timeout:g} s: its state is {state}"
    if state == PENDING and nobody_listens(backend):
        return TimeoutError(f"{sentence}, and no worker is running. Start one with `fastq -A APP worker`.")
    return TimeoutError(f"{sentence}.")


def nobody_listens(backend: Backend) -> bool:
    """Tell whether it is certain that no worker runs: asked only where broker and results are one local store."""
    if not backend.capability.native or backend is not backend.app.backend:
        return False
    try:
        producer: Any = backend.app.producer
        return producer.capabilities()["native_store"] is True and not producer.workers()
    except Exception:  # noqa: BLE001 - drivers raise what they like
        return False  # it is only a hint; the error at hand is the one to raise
