"""Coroutine tasks of green threads: each on an event loop of its own, in a thread of the system's.

An event loop in the thread that the green threads share would hold them up, and loops do not nest there.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from fastq.exceptions import SoftTimeLimitExceeded
from fastq.execute.coroutines import Interruptible, Loop

__all__ = ["ThreadLoop"]


class ThreadLoop(Loop):
    """Makes a loop for each run."""

    def runner(
        self, function: Callable[..., Coroutine[Any, Any, Any]], limit_seconds: float | None = None
    ) -> Callable[..., Any]:
        """Return a plain function that runs the coroutine function to its end, while other green threads go on."""

        def call(*args: Any, **kwargs: Any) -> Any:
            from gevent import GreenletExit, get_hub

            run, end = contextvars.copy_context().run, _End()
            work = _limited(function(*args, **kwargs), limit_seconds, end)
            try:
                return get_hub().threadpool.apply(run, (asyncio.run, work))
            except GreenletExit:
                end.come()
                raise

        return call


class _End:
    """Cancels a coroutine that runs in a thread, from the green thread that waits for it."""

    def __init__(self) -> None:
        self._cancel: Callable[[], object] = lambda: None

    def is_of(self, task: asyncio.Task[Any]) -> None:
        """Keep what is to be cancelled; called on its loop."""
        self._cancel = partial(task.get_loop().call_soon_threadsafe, task.cancel)

    def come(self) -> None:
        """Cancel it, unless it has ended."""
        with suppress(RuntimeError):  # its loop is closed
            self._cancel()


async def _limited(coroutine: Coroutine[Any, Any, Any], seconds: float | None, end: _End) -> Any:
    task = asyncio.current_task()
    assert task is not None
    end.is_of(task)
    if seconds is None:
        return await coroutine
    work = Interruptible(coroutine)
    work.cancel = task.cancel
    timer = asyncio.get_running_loop().call_later(seconds, work.cancel_with, SoftTimeLimitExceeded(seconds))
    try:
        return await work
    finally:
        timer.cancel()
