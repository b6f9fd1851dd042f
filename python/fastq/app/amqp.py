"""`app.amqp`: queues and routes under the names that programs written for Celery use (inventory §18).

There are no channels or producers of kombu's behind it: messages are sent by `app.send_task`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq import later

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.app.queues import Queues
    from fastq.app.routes import Router
    from fastq.app.topology import Exchange, Queue

__all__ = ["Amqp"]


@later.lacks(later.AMQP)
class Amqp:
    """Queues and routes of an app."""

    def __init__(self, app: App) -> None:
        """Belong to an app."""
        self.app = app

    @property
    def queues(self) -> Queues:
        """The queues by name: `select`, `deselect`, `add` and `select_add` change what workers take from."""
        return self.app.queues

    @property
    def router(self) -> Router:
        """What decides where a call goes: `route(options, name, args, kwargs)`."""
        return self.app.router

    @property
    def routes(self) -> tuple[Any, ...]:
        """The routers of the setting `task_routes`."""
        return tuple(self.router.routers)

    @property
    def default_queue(self) -> Queue:
        """The queue of tasks that no route names another for.

        Raises:
            QueueNotFound: `task_queues` does not define it, and `task_create_missing_queues` is off.
        """
        return self.queues[self.app.conf.task_default_queue]

    @property
    def default_exchange(self) -> Exchange:
        """The exchange of queues that name none."""
        return self.queues.default_exchange

    def flush_routes(self) -> None:
        """Read the setting `task_routes` again, after it was changed in place."""
        conf = self.app.conf
        conf.task_routes = conf.task_routes  # whatever was derived from the settings is derived anew

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app!r}>"
