"""Coroutine tasks of green threads: each on an event loop of its own, in a thread of the system's.

An event loop in the thread that the green threads share would hold them up, and loops do not nest there.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
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
            from gevent import get_hub

            run = contextvars.copy_context().run
            work = _limited(function(*args, **kwargs), limit_seconds)
            return get_hub().threadpool.apply(run, (asyncio.run, work))

        return call


async def _limited(coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    if seconds is None:
        return await coroutine
    work, task = Interruptible(coroutine), asyncio.current_task()
    assert task is not None
    work.cancel = task.cancel
    timer = asyncio.get_running_loop().call_later(seconds, work.cancel_with, SoftTimeLimitExceeded(seconds))
    try:
        return await work
    finally:
        timer.cancel()
