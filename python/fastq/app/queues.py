"""The queues an app knows by name, and which of them its workers take from (inventory §18)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastq.app.topology import Broadcast, Exchange, Queue, binding
from fastq.exceptions import ImproperlyConfigured, QueueNotFound

if TYPE_CHECKING:
    from fastq.conf.settings import Settings

__all__ = ["Broadcast", "Exchange", "Queue", "Queues", "binding"]


class Queues(dict[str, Queue]):
    """The queues of an app by name; which of them its workers consume.

    A queue that is not known comes into being when it is asked for, if `create_missing` allows.
    """

    def __init__(
        self,
        queues: Any = None,
        *,
        default_exchange: Exchange | None = None,
        default_routing_key: str = "",
        create_missing: bool = True,
        missing_type: str | None = None,
        missing_exchange_type: str | None = None,
        max_priority: int | None = None,
    ) -> None:
        """Take queues from an iterable of `Queue`, or a mapping of names to options."""
        super().__init__()
        self.aliases: dict[str, Queue] = {}
        self.default_exchange = default_exchange or Exchange()
        self.default_routing_key = default_routing_key
        self.create_missing = create_missing
        self.missing_type = missing_type
        self.missing_exchange_type = missing_exchange_type
        self.max_priority = max_priority
        self._selected: dict[str, Queue] | None = None
        self._excluded: set[str] = set()
        self.version = 0
        """Grows with every change, so that what was derived from the queues can be derived anew."""
        for queue in _given(queues):
            self.add(queue)

    @classmethod
    def from_settings(cls, conf: Settings) -> Queues:
        """Return the queues that the settings define; the default queue is always among them when none is given."""
        name = conf.task_default_queue
        exchange = Exchange(conf.task_default_exchange or name, conf.task_default_exchange_type or "direct")
        key = conf.task_default_routing_key or name
        given = conf.task_queues
        if not given and not isinstance(given, Mapping):
            arguments = {"x-queue-type": "quorum"} if conf.task_default_queue_type == "quorum" else None
            given = [Queue(name, exchange, key, queue_arguments=arguments)]
        return cls(
            given,
            default_exchange=exchange,
            default_routing_key=key,
            create_missing=conf.task_create_missing_queues,
            missing_type=conf.task_create_missing_queue_type,
            missing_exchange_type=conf.task_create_missing_queue_exchange_type,
            max_priority=conf.task_queue_max_priority,
        )

    def add(self, queue: Queue | str, **options: Any) -> Queue:
        """Add a queue, given as one or as a name with its options."""
        made = Queue.from_options(queue, options) if isinstance(queue, str) else Queue.of(queue)
        if not made.where.name:
            made = made.changed(exchange=self.default_exchange)
        if not made.routing_key:
            made = made.changed(routing_key=self.default_routing_key)
        if self.max_priority is not None and "x-max-priority" not in made.arguments:
            made = made.changed(max_priority=self.max_priority)
        self[made.name] = made
        if made.alias:
            self.aliases[made.alias] = made
        self.version += 1
        return made

    def __getitem__(self, name: str) -> Queue:
        alias = self.aliases.get(name)
        return alias if alias is not None else super().__getitem__(name)

    def __missing__(self, name: str) -> Queue:
        if not self.create_missing:
            known = ", ".join(sorted(self)) or "none"
            raise QueueNotFound(f"There is no queue {name!r}: task_queues defines {known}, and no others are created.")
        return self.add(self.make_missing(name))

    def make_missing(self, name: str) -> Queue:
        """Return the queue that an unknown name gets: bound to a direct exchange of its own name."""
        arguments = {"x-queue-type": "quorum"} if self.missing_type == "quorum" else None
        return Queue(name, Exchange(name, self.missing_exchange_type or "direct"), name, queue_arguments=arguments)

    @property
    def consume_from(self) -> Mapping[str, Queue]:
        """The queues a worker of this app consumes, by name."""
        chosen = dict(self) if self._selected is None else self._selected
        return {name: queue for name, queue in chosen.items() if name not in self._excluded}

    def select(self, names: Iterable[str] | str | None) -> None:
        """Consume only these queues (`-Q`); unknown ones are created if that is allowed.

        Raises:
            ImproperlyConfigured: a queue is not known and may not be created.
        """
        if not names:
            return
        try:
            self._selected = {queue.name: queue for queue in (self[name] for name in _names(names))}
        except QueueNotFound as error:
            raise ImproperlyConfigured(f"{error} Set task_create_missing_queues, or choose a defined queue.") from error

    def deselect(self, names: Iterable[str] | str | None) -> None:
        """Do not consume these queues (`-X`)."""
        given = _names(names or ())
        self._excluded.update(self.aliases[name].name if name in self.aliases else name for name in given)

    def select_add(self, queue: Queue | str, **options: Any) -> Queue:
        """Add a queue and consume it too."""
        made = self.add(queue, **options)
        if self._selected is not None:
            self._selected[made.name] = made
        self._excluded.discard(made.name)
        return made

    def bound_to(self, exchange: str) -> list[Queue]:
        """Return the queues that a message to this exchange may reach."""
        return [
            queue
            for queue in self.values()
            if queue.where.name == exchange or any(Exchange.of(way.exchange).name == exchange for way in queue.bindings)
        ]

    def format(self, indent: int = 0) -> str:
        """Return the consumed queues as the worker's banner shows them, one a line."""
        lines = (
            f".> {queue.name:<16} exchange={queue.where.name}({queue.where.type}) key={queue.routing_key}"
            for _, queue in sorted(self.consume_from.items())
        )
        return ("\n" + " " * indent).join(lines)


def _given(queues: Any) -> Iterator[Queue]:
    if isinstance(queues, Mapping):
        for name, options in queues.items():
            yield options if isinstance(options, Queue) else Queue.from_options(name, options or {})
    else:
        for queue in queues or ():
            yield Queue.of(queue)


def _names(names: Iterable[str] | str) -> list[str]:
    given = names.split(",") if isinstance(names, str) else names
    return [name.strip() for name in given if name.strip()]
