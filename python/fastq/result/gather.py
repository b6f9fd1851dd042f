"""Waiting for many tasks at once: the results of a set, each as it ends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import TimeoutError  # noqa: A004 - it is the built-in too
from fastq.states import PROPAGATE_STATES

if TYPE_CHECKING:
    from fastq.result.async_result import AsyncResult

__all__ = ["Gathering"]

_SLICE: Final = 0.5
"""Seconds of one wait: between two of them a signal is heard."""


class Gathering:
    """The tasks of a set of results, those of sets within it included.

    Args:
        results: a ResultSet.
    """

    def __init__(self, results: Any) -> None:
        """Take what is known to have ended for ended."""
        self._set = results
        self.all: list[AsyncResult[Any]] = list(_leaves(results))
        self.left: dict[str, AsyncResult[Any]] = {one.id: one for one in self.all if not one.settled}
        """Those that are not known to have ended."""

    def look(self) -> list[AsyncResult[Any]]:
        """Ask the stores once, and return those that are found to have ended."""
        found = []
        for backend, ids in self._by_backend():
            for record in backend.load(ids):
                if record is not None and backend.has_ended(record):
                    found.append(self._settle(backend, record))
        return found

    def _by_backend(self) -> list[tuple[Any, list[str]]]:
        stores: dict[int, tuple[Any, list[str]]] = {}
        for one in self.left.values():
            stores.setdefault(id(one.backend), (one.backend, []))[1].append(one.id)
        return list(stores.values())

    def _settle(self, backend: Any, record: Any) -> AsyncResult[Any]:
        result = self.left.pop(record.task_id)
        result.settle(backend.decode(record))
        return result

    def arriving(
        self, timeout: float | None, interval: float, on_interval: Callable[[], object] | None
    ) -> Iterator[AsyncResult[Any]]:
        """Yield the results as they end: first those that have.

        Args:
            timeout: seconds for all; None: no limit.
            interval: seconds between calls of `on_interval`, and looks at the tasks before these in a chain.
            on_interval: called again and again.

        Raises:
            TimeoutError: not all have ended in time.
            Exception: what a task before them in a chain raised, so that they will never run.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        yield from [one for one in self.all if one.settled]
        stores = self._by_backend()
        if len(stores) > 1:
            yield from self._in_turn(deadline, interval, on_interval)
            return
        for backend, ids in stores:
            watch = backend.watch()
            watch.add(ids)
            look_at = time.monotonic() + interval
            while self.left:
                until = look_at if deadline is None else min(look_at, deadline)
                found = watch.next(max(0.0, min(_SLICE, until - time.monotonic())))
                yield from [self._settle(backend, record) for record in found if record.task_id in self.left]
                if not found and time.monotonic() >= until:
                    look_at = time.monotonic() + interval
                    self._look_around(deadline, on_interval)

    def _in_turn(
        self, deadline: float | None, interval: float, on_interval: Callable[[], object] | None
    ) -> Iterator[AsyncResult[Any]]:
        """Yield results that several stores keep, asking one after the other."""
        while self.left:
            found = self.look()
            yield from found
            if found:
                continue
            backend, ids = self._by_backend()[0]
            remaining = interval if deadline is None else max(0.0, min(interval, deadline - time.monotonic()))
            backend.wait(ids, min(remaining, 0.1))
            self._look_around(deadline, on_interval)

    def _look_around(self, deadline: float | None, on_interval: Callable[[], object] | None) -> None:
        if deadline is not None and time.monotonic() >= deadline:
            raise self._out_of_time()
        for parent in _parents(self._set):
            parent.maybe_throw()
        if on_interval is not None:
            on_interval()

    def _out_of_time(self) -> TimeoutError:
        return TimeoutError(
            f"{len(self.left)} of {len(self.all)} tasks have not ended in time, the first is {next(iter(self.left))}."
        )

    async def aarriving(self, timeout: float | None) -> AsyncIterator[AsyncResult[Any]]:
        """Yield the results as they end, in a coroutine; errors as from `arriving`."""
        import asyncio

        from fastq.result.watcher import watcher_of

        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        for one in [one for one in self.all if one.settled]:
            yield one

        async def record_of(result: Any) -> Any:
            return result, await watcher_of(result.backend).record(result.id)

        pending = {asyncio.ensure_future(record_of(one)) for one in self.left.values()}
        parents = {asyncio.ensure_future(record_of(one)) for one in _parents(self._set) if not one.settled}
        try:
            while pending:
                left = None if deadline is None else max(0.0, deadline - loop.time())
                done, _ = await asyncio.wait(pending | parents, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    raise self._out_of_time()
                for future in done:
                    result, record = await future
                    result.settle(result.backend.decode(record))
                    if future in pending:
                        pending.discard(future)
                        self.left.pop(result.id, None)
                        yield result
                    elif result.state in PROPAGATE_STATES:
                        result.maybe_throw()
                parents -= done
        finally:
            for future in pending | parents:
                future.cancel()


def _leaves(results: Any) -> Iterator[AsyncResult[Any]]:
    for result in results.results:
        if getattr(result, "results", None) is not None:
            yield from _leaves(result)
        else:
            yield result


def _parents(results: Any) -> Iterator[AsyncResult[Any]]:
    """Yield the results of the tasks before a group in a chain, or before groups in it."""
    parent = results.parent
    while parent is not None:
        if getattr(parent, "results", None) is None:
            yield parent
        parent = parent.parent
    for result in results.results:
        if getattr(result, "results", None) is not None:
            yield from _parents(result)
        elif result.parent is not None:
            yield from result.parents()
