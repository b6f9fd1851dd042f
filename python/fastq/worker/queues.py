"""Which queues a worker takes from: at its start, and while it runs (`app.control.add_consumer`)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from fastq.app.topology import Queue, worker_direct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastq import _core
    from fastq.app.protocol import App

__all__ = ["Consuming", "select"]

_logger: Final = logging.getLogger("celery.worker")


def select(app: App, node: str, wanted: Iterable[str], unwanted: Iterable[str]) -> None:
    """Choose what a worker takes from: what `-Q` names, else every queue of the app; not what `-X` names.

    With the setting `worker_direct` the worker's own queue comes with them.

    Raises:
        ImproperlyConfigured: a queue is not known and may not be created.
    """
    app.queues.select(tuple(wanted))
    app.queues.deselect(tuple(unwanted))
    if app.conf.worker_direct:
        app.queues.select_add(worker_direct(node))


class Consuming:
    """The part of a worker that takes from more or fewer queues while it runs."""

    app: App
    _core: _core.Worker | None

    def add_consumer(
        self,
        queue: str | Queue,
        exchange: str | None = None,
        exchange_type: str | None = None,
        routing_key: str | None = None,
        **options: Any,
    ) -> Queue:
        """Take from one more queue; return it. What it takes from already stays as it is.

        Called from any thread, or before the worker starts. It returns at once; the log tells when it is done.

        Args:
            queue: a queue, or the name of one: of the settings, or a new one as the other arguments say.
            exchange: of a new queue; None: one of the queue's name.
            exchange_type: direct, topic or fanout.
            routing_key: of the binding; None: the queue's name.
            **options: of a new queue, as in `task_queues`.

        Raises:
            ImproperlyConfigured: an option means nothing.
        """
        queues = self.app.queues
        known = queues.get(queue) or queues.aliases.get(queue) if isinstance(queue, str) else Queue.of(queue)
        if known is not None:
            made = queues.select_add(known)
        else:
            kind = exchange_type or self.app.conf.task_create_missing_queue_exchange_type or "direct"
            named = {"exchange": exchange or queue, "exchange_type": kind, "routing_key": routing_key or queue}
            made = queues.select_add(str(queue), **named, **options)
        if self._core is not None:
            self._core.consume(made.specs())
        return made

    def cancel_consumer(self, queue: str) -> None:
        """Take nothing more from a queue; what was taken from it is run.

        Called as `add_consumer`. A queue that it does not take from changes nothing.

        Args:
            queue: its name, or its alias.
        """
        queues = self.app.queues
        name = queues.aliases[queue].name if queue in queues.aliases else queue
        queues.deselect([name])
        if self._core is not None:
            self._core.cancel(name)

    @property
    def consumed(self) -> list[str]:
        """The names of the queues that it takes from."""
        return list(self.app.queues.consume_from)
