"""The calls of one side's client, whether its library's functions are coroutines or not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any


class Client:
    """What the measurer does with an adapter.

    An adapter has `send(number)`, which publishes one task and returns a handle, `result(handle)`, which waits for its
    result, and `worker_commands()`. It may have `send_many(numbers)` and `results(handles)`, which do so in bulk, and
    `start()` and `stop()`. But for `worker_commands` all are functions, or all are coroutine functions; in that case it
    may have `new_event_loop`, too. `stop_group = True` says that its worker's first process does not stop the others.
    """

    def __init__(self, app: ModuleType) -> None:
        """Connect, where the adapter does so by itself.

        Args:
            app: the adapter.
        """
        self.app = app
        self.is_async = asyncio.iscoroutinefunction(app.send)
        self._loop = getattr(app, "new_event_loop", asyncio.new_event_loop)() if self.is_async else None
        if self._loop is not None:
            asyncio.set_event_loop(self._loop)
        self._call("start")

    def close(self) -> None:
        """Disconnect."""
        self._call("stop")
        if self._loop is not None:
            self._loop.close()

    @property
    def has_bulk(self) -> bool:
        """Whether the library publishes many tasks with one call."""
        return hasattr(self.app, "send_many")

    def send_each(self, numbers: Iterable[int]) -> list[Any]:
        """Publish tasks with one call each, one after the other; return their handles."""
        send = self.app.send
        if self._loop is None:
            return [send(number) for number in numbers]

        async def each() -> list[Any]:
            return [await send(number) for number in numbers]

        return self._loop.run_until_complete(each())

    def publish(self, numbers: Iterable[int]) -> None:
        """Publish tasks as `send_each` does, and keep nothing."""
        send = self.app.send
        if self._loop is None:
            for number in numbers:
                send(number)
            return

        async def each() -> None:
            for number in numbers:
                await send(number)

        self._loop.run_until_complete(each())

    def send_many(self, numbers: Sequence[int]) -> list[Any]:
        """Publish tasks with the library's bulk call, or with one call each."""
        if not self.has_bulk:
            return self.send_each(numbers)
        handles: list[Any] = self._call("send_many", numbers)
        return handles

    def fill(self, first: int, last: int) -> list[Any]:
        """Publish the tasks `first` … `last - 1`, a thousand at a time; return their handles."""
        chunks = (range(start, min(last, start + 1_000)) for start in range(first, last, 1_000))
        return [handle for chunk in chunks for handle in self.send_many(chunk)]

    def round_trip(self, number: int) -> Any:
        """Publish a task and return its result."""
        if self._loop is None:
            return self.app.result(self.app.send(number))

        async def there_and_back() -> Any:
            return await self.app.result(await self.app.send(number))

        return self._loop.run_until_complete(there_and_back())

    def result(self, handle: Any) -> Any:
        """Return a task's result, waiting for it."""
        return self._call("result", handle)

    def results(self, handles: Sequence[Any]) -> list[Any]:
        """Return the results of tasks that have run."""
        if not hasattr(self.app, "results"):
            return [self.result(handle) for handle in handles]
        chunks = (handles[start : start + 1_000] for start in range(0, len(handles), 1_000))
        return [value for chunk in chunks for value in self._call("results", chunk)]

    def _call(self, name: str, *arguments: Any) -> Any:
        function = getattr(self.app, name, None)
        if function is None:
            return None
        answer = function(*arguments)
        return answer if self._loop is None else self._loop.run_until_complete(answer)
