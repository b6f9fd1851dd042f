"""Tasks that are coroutine functions: run to their end, on an event loop that is kept.

One loop per executor, made for the first such task: connections that a task opens and keeps (an HTTP client, a pool
of database connections) belong to a loop and stay usable in the next run. What a task leaves running in the background
goes on when the next one runs.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastq.execute import limits

__all__ = ["Interruptible", "Loop"]


class Loop:
    """The event loop of one executor."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._loop: asyncio.AbstractEventLoop | None = None

    def runner(
        self, function: Callable[..., Coroutine[Any, Any, Any]], limit_seconds: float | None = None
    ) -> Callable[..., Any]:
        """Return a plain function that runs the coroutine function to its end.

        Args:
            function: the code of a task.
            limit_seconds: soft time limit of the next call.
        """

        def call(*args: Any, **kwargs: Any) -> Any:
            return self.run(function(*args, **kwargs), limit_seconds)

        return call

    def run(self, coroutine: Coroutine[Any, Any, Any], limit_seconds: float | None = None) -> Any:
        """Return what a coroutine returns; raise what it raises."""
        if _inside_loop():
            return _elsewhere(coroutine)
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = asyncio.new_event_loop()
        guard = limits.guard_here() if limit_seconds is not None or limits.watches_hard() else None
        if guard is None:
            return loop.run_until_complete(coroutine)
        return _run_limited(loop, coroutine, limit_seconds, guard)

    def close(self) -> None:
        """End the loop, and what tasks have left running on it."""
        loop, self._loop = self._loop, None
        if loop is None or loop.is_closed():
            return
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def _run_limited(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, Any],
    seconds: float | None,
    guard: Any,
) -> Any:
    interruptible = Interruptible(coroutine)
    task = loop.create_task(interruptible)
    interruptible.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
    from_here = isinstance(guard, (limits.ThreadGuard, limits.GreenGuard))
    guard.arm(seconds, interruptible.cancel_with if from_here else interruptible.interrupt)
    try:
        return loop.run_until_complete(task)
    finally:
        guard.disarm()


class Interruptible(Coroutine[Any, Any, Any]):
    """A coroutine in which the soft limit can be raised, also while it awaits something.

    Raising it in the middle of the event loop's own code would break the loop. So a coroutine that waits is cancelled,
    and gets SoftTimeLimitExceeded in place of the CancelledError.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._runs = False
        self._error: BaseException | None = None
        self.cancel: Callable[[], object] = lambda: None
        """Cancels the task that awaits the coroutine."""

    def interrupt(self, error: BaseException) -> None:
        """Raise `error` in the coroutine; called by the signal handler."""
        if self._runs:
            raise error
        self._error = error
        self.cancel()

    def cancel_with(self, error: BaseException) -> None:
        """Raise `error` in the coroutine where it awaits next; called from another thread."""
        self._error = error
        self.cancel()

    def send(self, value: Any) -> Any:
        """Let the coroutine go on."""
        self._runs = True
        try:
            return self._coroutine.send(value)
        finally:
            self._runs = False

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:  # noqa: ARG002 - the protocol's
        """Raise in the coroutine, where it awaits something."""
        error = value if value is not None else kind
        pending, self._error = self._error, None
        if pending is not None and (isinstance(error, asyncio.CancelledError) or error is asyncio.CancelledError):
            error = pending
            _is_not_cancelled()
        self._runs = True
        try:
            return self._coroutine.throw(error)
        finally:
            self._runs = False

    def close(self) -> None:
        """End the coroutine."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # it has what `await` uses of a generator

    def __next__(self) -> Any:
        return self.send(None)

    def __iter__(self) -> Any:
        return self


def _is_not_cancelled() -> None:
    """Have the running task forget that it was cancelled: what it waits for from now on is not to be."""
    task = asyncio.current_task()
    uncancel = getattr(task, "uncancel", None)  # from Python 3.11 on
    if uncancel is not None:
        uncancel()


def _inside_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _elsewhere(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run in another thread: a loop runs in this one (`apply` called from a coroutine), and loops do not nest."""
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, "fastq-coroutine") as threads:
        return threads.submit(context.run, asyncio.run, coroutine).result()
