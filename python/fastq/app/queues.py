"""Exchanges and queues, and the queues an app knows by name (inventory §18)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq._seam import QueueSpec
from fastq.exceptions import ImproperlyConfigured, QueueNotFound

if TYPE_CHECKING:
    from fastq.conf.settings import Settings

__all__ = ["Exchange", "Queue", "Queues", "binding"]


@dataclass(frozen=True)
class Exchange:
    """Where messages are sent to; its type says how they find their queues.

    Args:
        name: "" is the anonymous exchange, which sends to the queue named by the routing key.
        type: direct, topic or fanout.
        durable: whether it outlives a restart of the broker.
        auto_delete: whether it goes with its last queue.
        delivery_mode: of messages that do not say their own.
        arguments: the broker's own.
    """

    name: str = ""
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | str | None = None
    arguments: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, value: Any, exchange_type: str | None = None) -> Exchange:
        """Return the exchange that a name, or any object with `name` and `type`, stands for."""
        if isinstance(value, Exchange):
            return value
        if value is None or isinstance(value, str):
            return cls(value or "", exchange_type or "direct")
        return cls(
            value.name,
            value.type or exchange_type or "direct",
            durable=getattr(value, "durable", True),
            auto_delete=getattr(value, "auto_delete", False),
            delivery_mode=getattr(value, "delivery_mode", None),
            arguments=getattr(value, "arguments", None),
        )


@dataclass(frozen=True)
class binding:  # noqa: N801 - kombu's name
    """One more way into a queue."""

    exchange: Exchange | str = ""
    routing_key: str = ""
    arguments: Mapping[str, Any] | None = None


# What a queue's keyword means to the broker: name of the argument, and factor from our unit (seconds) to its own.
_ARGUMENTS: Final[Mapping[str, tuple[str, int]]] = {
    "expires": ("x-expires", 1000),
    "message_ttl": ("x-message-ttl", 1000),
    "max_length": ("x-max-length", 1),
    "max_length_bytes": ("x-max-length-bytes", 1),
    "max_priority": ("x-max-priority", 1),
}


@dataclass(frozen=True)
class Queue:
    """Where messages wait.

    Args:
        name: of the queue.
        exchange: what it is bound to; a name is a direct exchange. None: only its own name leads to it.
        routing_key: of the binding.
        bindings: more of them.
        alias: another name for `-Q` and routes.
        durable, auto_delete, exclusive: as the broker has it.
        queue_arguments: the broker's own.
        expires, message_ttl: seconds. max_length, max_length_bytes, max_priority: limits.
        no_declare: True when the queue exists and must not be declared.
    """

    name: str = ""
    exchange: Exchange | str | None = None
    routing_key: str = ""
    bindings: tuple[Any, ...] = ()
    alias: str | None = None
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    queue_arguments: Mapping[str, Any] | None = None
    binding_arguments: Mapping[str, Any] | None = None
    consumer_arguments: Mapping[str, Any] | None = None
    expires: float | None = None
    message_ttl: float | None = None
    max_length: int | None = None
    max_length_bytes: int | None = None
    max_priority: int | None = None
    no_declare: bool = False
    no_ack: bool = False
    arguments: dict[str, Any] = field(init=False, compare=False, repr=False)
    """All arguments of the queue as the broker names them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "exchange", Exchange.of(self.exchange))
        object.__setattr__(self, "bindings", tuple(self.bindings or ()))
        found = dict(self.queue_arguments or {})
        for keyword, (argument, factor) in _ARGUMENTS.items():
            value = getattr(self, keyword)
            if value is not None:
                found[argument] = int(value * factor)
        object.__setattr__(self, "arguments", found)

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def where(self) -> Exchange:
        """The exchange it is bound to."""
        return self.exchange  # type: ignore[return-value]  # __post_init__ has made it one

    @classmethod
    def of(cls, value: Any) -> Queue:
        """Return the queue that a name, or any object with a queue's attributes (such as kombu's), stands for."""
        if isinstance(value, Queue):
            return value
        if isinstance(value, str):
            return cls(value)
        known = {name: getattr(value, name) for name in cls.__dataclass_fields__ if hasattr(value, name)}
        known.pop("arguments", None)
        exchange = known.pop("exchange", None)
        return cls(**{k: v for k, v in known.items() if v is not None}, exchange=Exchange.of(exchange))

    @classmethod
    def from_options(cls, name: str, options: Mapping[str, Any]) -> Queue:
        """Return the queue that an entry of `task_queues` describes: keys as in Celery."""
        known = dict(options)
        exchange = Exchange.of(known.pop("exchange", None), known.pop("exchange_type", None))
        key = known.pop("binding_key", None) or known.pop("routing_key", None) or ""
        known.pop("routing_key", None)
        accepted = {k: v for k, v in known.items() if k in cls.__dataclass_fields__ and k != "arguments"}
        unknown = set(known) - set(accepted)
        if unknown:
            raise ImproperlyConfigured(f"task_queues[{name!r}] has unknown keys: {', '.join(sorted(unknown))}.")
        return cls(name, exchange, key, **accepted)

    @property
    def needs_declaring(self) -> bool:
        """Whether the broker must hear of it before a message is sent: it has more than a name."""
        plain = self.where.type == "direct" and not self.bindings and not self.arguments
        return not plain and not self.no_declare

    def specs(self) -> list[QueueSpec]:
        """Return what the core declares: the queue with each of its bindings."""
        ways = [binding(self.where, self.routing_key), *self.bindings]
        text = orjson.dumps(self.arguments).decode()
        return [
            QueueSpec(
                self.name,
                (exchange := Exchange.of(way.exchange)).name,
                exchange.type,
                way.routing_key or (self.name if exchange.name else ""),
                self.durable,
                self.auto_delete,
                text,
            )
            for way in ways
        ]


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
            made = replace(made, exchange=self.default_exchange)
        if not made.routing_key:
            made = replace(made, routing_key=self.default_routing_key)
        if self.max_priority is not None and "x-max-priority" not in made.arguments:
            made = replace(made, max_priority=self.max_priority)
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
        self._excluded.update(_names(names or ()))

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
