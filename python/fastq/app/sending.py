"""What the app sends by itself: tasks by name, and over which connection."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastq.app import bulk, publish, send
from fastq.app.amqp import Amqp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from fastq.app.control import Control
    from fastq.app.outbox import Outbox
    from fastq.app.protocol import App, Publisher
    from fastq.result import AsyncResult

__all__ = ["Sending"]

Self = TypeVar("Self", bound="Sending")


class Sending:
    """The part of an app that sends."""

    _producer: Publisher | None = None

    def __init__(self) -> None:
        """Connect nothing yet."""
        self.declared: set[str] = set()
        self._outboxes: dict[int, Outbox] = {}

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send a task by name; it need not be known here. Options as in `Task.apply_async`."""
        return send.send_task(self._whole, name, args, kwargs, options)

    def send_task_many(
        self, name: str, args: bulk.Arguments | None = None, kwargs: bulk.Keywords | None = None, **options: Any
    ) -> list[AsyncResult[Any]]:
        """Send many calls of a task by name, as `Task.apply_async_many` does."""
        return bulk.send_many(bulk.named(self._whole, name), args, kwargs, options)

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send a task by name from a coroutine; the event loop goes on meanwhile, as in `Task.aapply_async`."""
        from fastq.app import awaiting  # asyncio takes as long to load as all of this

        return await awaiting.send_named(bulk.named(self._whole, name), args, kwargs, options)

    async def asend_task_many(
        self, name: str, args: bulk.Arguments | None = None, kwargs: bulk.Keywords | None = None, **options: Any
    ) -> list[AsyncResult[Any]]:
        """Send many calls of a task by name from a coroutine, as `Task.aapply_async_many` does."""
        from fastq.app import awaiting

        return await awaiting.send_many(bulk.named(self._whole, name), args, kwargs, options)

    @cached_property
    def amqp(self) -> Amqp:
        """Queues and routes, under Celery's names."""
        return Amqp(self._whole)

    @cached_property
    def control(self) -> Control:
        """Calls off tasks that were sent, and tells workers what to do."""
        from fastq.app.control import Control

        return Control(self._whole)

    @property
    def outbox(self) -> Outbox:
        """What publishes for coroutines; made on first use, and anew in a forked process."""
        from fastq.app.outbox import Outbox

        # Without a lock, which a thread might hold while another one forks: of two that are made at once one is kept.
        process = os.getpid()
        return self._outboxes.get(process) or self._outboxes.setdefault(process, Outbox(self._whole))

    @property
    def producer(self) -> Publisher:
        """The connection that tasks are published on; it connects when something is first published."""
        if self._producer is not None:
            return self._producer
        # Of two that threads make at once one is kept.
        made: Publisher = self.__dict__.setdefault("_producer", publish.make_producer(self._whole))
        return made

    @producer.setter
    def producer(self, producer: Publisher | None) -> None:
        self.__dict__.pop("_producer", None)
        if producer is not None:
            self._producer = producer
        self.declared.clear()

    @property
    def _whole(self) -> App:
        return cast("App", self)

    def close(self) -> None:
        """Publish what coroutines have sent, and let go of the connection; it comes back when it is used again."""
        for outbox in list(self._outboxes.values()):
            outbox.close()
        producer = self.__dict__.pop("_producer", None)
        self.declared.clear()
        if producer is not None:
            publish.finish(producer)
            producer.close()

    async def aclose(self) -> None:
        """Let go of the connections from a coroutine, as `close` does; the event loop goes on meanwhile."""
        import asyncio

        await asyncio.to_thread(self._whole.close)

    async def __aenter__(self: Self) -> Self:  # noqa: PYI019 - typing has Self from 3.11 on
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
