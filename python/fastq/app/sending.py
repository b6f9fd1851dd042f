"""What the app sends by itself: tasks by name, and over which connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fastq.app import bulk, publish, send

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq.app.protocol import App, Publisher
    from fastq.result import AsyncResult

__all__ = ["Sending"]


class Sending:
    """The part of an app that sends."""

    _producer: Publisher | None = None

    def __init__(self) -> None:
        """Connect nothing yet."""
        self.declared: set[str] = set()

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

    @property
    def producer(self) -> Publisher:
        """The connection that tasks are published on; it connects when something is first published."""
        if self._producer is None:
            self._producer = publish.make_producer(self._whole)
        return self._producer

    @producer.setter
    def producer(self, producer: Publisher | None) -> None:
        self._producer = producer
        self.declared.clear()

    @property
    def _whole(self) -> App:
        return cast("App", self)

    def close(self) -> None:
        """Let go of the connection; it comes back when it is used again."""
        producer, self._producer = self._producer, None
        self.declared.clear()
        if producer is not None:
            producer.close()
