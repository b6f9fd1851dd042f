"""Exchanges, queues and the bindings between them, with kombu's names (kombu-layouts §3.1)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import orjson

from fastq._seam import QueueSpec
from fastq.exceptions import ImproperlyConfigured

__all__ = ["Broadcast", "Exchange", "Queue", "binding", "worker_direct"]


@dataclass(frozen=True)
class Exchange:
    """Where messages are sent to; its type says how they find their queues.

    Args:
        name: "" is the anonymous exchange, which sends to the queue named by the routing key.
        type: direct, topic or fanout.
        durable: whether it outlives a restart of the broker.
        auto_delete: whether it goes with its last binding.
        delivery_mode: of messages that do not say their own: 2 or `persistent`, 1 or `transient`.
        arguments: the broker's own, such as `alternate-exchange` of RabbitMQ.
        no_declare: whether it exists already and must not be declared.
        passive: the same; kombu would ask whether it is there.
    """

    name: str = ""
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    delivery_mode: int | str | None = None
    arguments: Mapping[str, Any] | None = None
    no_declare: bool = False
    passive: bool = False

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash((self.name, self.type))

    @classmethod
    def of(cls, value: Any, exchange_type: str | None = None) -> Exchange:
        """Return the exchange that a name, or any object with `name` and `type` (such as kombu's), stands for."""
        if isinstance(value, Exchange):
            return value
        if value is None or isinstance(value, str):
            return cls(value or "", exchange_type or "direct")
        known = {name: getattr(value, name) for name in cls.__dataclass_fields__ if hasattr(value, name)}
        known["type"] = known.get("type") or exchange_type
        return cls(**{key: value for key, value in known.items() if value is not None})

    @property
    def exists(self) -> bool:
        """Whether nobody needs to declare it: it is the broker's own, or said to be there."""
        return not self.name or self.name.startswith("amq.") or self.no_declare or self.passive

    def spec(self) -> QueueSpec:
        """Return what the core declares to make it exist, without a queue."""
        return _with_exchange(QueueSpec(""), self)


@dataclass(frozen=True)
class binding:  # noqa: N801 - kombu's name
    """One more way into a queue.

    Args:
        exchange: to bind to; a name is a direct exchange.
        routing_key: which messages of the exchange come in; a pattern where it is of type topic.
        arguments: the broker's own.
    """

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


Kind = TypeVar("Kind", bound="Queue")


@dataclass(frozen=True)
class Queue:
    """Where messages wait.

    Args:
        name: of the queue.
        exchange: what it is bound to; a name is a direct exchange. None: only its own name leads to it.
        routing_key: of the binding.
        bindings: more of them.
        alias: another name for `-Q` and routes.
        durable: whether it outlives a restart of the broker.
        auto_delete: whether it goes with its last consumer.
        exclusive: whether only the connection that declares it may use it; it goes with it.
        queue_arguments: the broker's own, such as `x-dead-letter-exchange`.
        binding_arguments: of the binding.
        consumer_arguments: of the worker's consumer, such as `x-priority`.
        expires: seconds without a consumer after which it goes.
        message_ttl: seconds that a message may wait in it.
        max_length: messages that it holds at most.
        max_length_bytes: bytes of messages that it holds at most.
        max_priority: the highest priority it knows (RabbitMQ).
        no_declare: whether it exists already and must not be declared.
        no_ack: kombu's; a worker acknowledges as the task says all the same.
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
        given: Any = self.bindings
        listed = given if isinstance(given, list | tuple | set | frozenset) else (given,) if given else ()
        object.__setattr__(self, "bindings", tuple(listed))
        if self.exclusive:
            object.__setattr__(self, "auto_delete", True)
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
        known = {key: value for key, value in known.items() if value is not None}
        exchange = Exchange.of(known.pop("exchange", None))
        if any(kind.__name__ == "Broadcast" for kind in type(value).__mro__):
            return Broadcast(queue=known.pop("name"), exchange=exchange, **known)
        return cls(**known, exchange=exchange)

    @classmethod
    def from_options(cls, name: str, options: Mapping[str, Any]) -> Queue:
        """Return the queue that an entry of `task_queues` describes: keys as in Celery.

        Raises:
            ImproperlyConfigured: a key means nothing.
        """
        known = dict(options)
        exchange = Exchange.of(known.pop("exchange", None), known.pop("exchange_type", None))
        key = known.pop("binding_key", None) or known.pop("routing_key", None) or ""
        known.pop("routing_key", None)
        about = {ours: known.pop(key) for key, ours in _OF_EXCHANGE.items() if key in known}
        accepted = {k: v for k, v in known.items() if k in cls.__dataclass_fields__ and k != "arguments"}
        unknown = set(known) - set(accepted)
        if unknown:
            raise ImproperlyConfigured(f"task_queues[{name!r}] has unknown keys: {', '.join(sorted(unknown))}.")
        return cls(name, replace(exchange, **about), key, **accepted)

    def changed(self: Kind, **attributes: Any) -> Kind:  # noqa: PYI019 - typing has Self from 3.11 on
        """Return the same queue with other attributes."""
        made = copy(self)
        for name, value in attributes.items():
            object.__setattr__(made, name, value)
        made.__post_init__()
        return made

    @property
    def needs_declaring(self) -> bool:
        """Whether the broker must hear of it before a message is sent: it has more than a name."""
        plain = self.where.type == "direct" and not self.bindings and not self.arguments and self.durable
        return not plain and not self.no_declare

    @property
    def ways(self) -> list[binding]:
        """The bindings that lead into it: its own first."""
        key = self.routing_key or (self.name if self.where.name else "")
        return [binding(self.where, key, self.binding_arguments), *(_binding(way) for way in self.bindings)]

    def specs(self) -> list[QueueSpec]:
        """Return what the core declares and takes from: the queue with each of its bindings.

        Raises:
            ImproperlyConfigured: an argument is of a type that no broker knows.
        """
        return [
            _with_exchange(
                QueueSpec(
                    self.name,
                    routing_key=way.routing_key,
                    durable=self.durable,
                    auto_delete=self.auto_delete,
                    exclusive=self.exclusive,
                    no_declare=self.no_declare,
                    arguments=_json(self.name, self.arguments),
                    binding_arguments=_json(self.name, way.arguments),
                    consumer_arguments=_json(self.name, self.consumer_arguments),
                ),
                Exchange.of(way.exchange),
            )
            for way in self.ways
        ]

    def specs_of_sender(self) -> list[QueueSpec]:
        """Return what must exist for a message sent to it to arrive."""
        return [] if self.no_declare else self.specs()


_OF_EXCHANGE: Final[Mapping[str, str]] = {
    "exchange_durable": "durable",
    "exchange_auto_delete": "auto_delete",
    "exchange_arguments": "arguments",
    "delivery_mode": "delivery_mode",
}
"""What an entry of `task_queues` may say about its exchange, and the name of it there."""


class Broadcast(Queue):
    """A queue that each worker has one of: all of them get what is sent to it, if they take from it at that time.

    Results of such tasks mean nothing: the last worker to store one wins.

    Args:
        name: of the fanout exchange; calls and `-Q` name it so.
        queue: name of the worker's own queue; None: a new one in each process.
        unique: whether `queue` is only the beginning of its name.
        auto_delete: whether the worker's queue goes with it.
        exchange: to use in place of a fanout exchange called `name`.
        alias: what calls and `-Q` name in place of `name`.
        **options: as of `Queue`.
    """

    def __init__(
        self,
        name: str | None = None,
        queue: str | None = None,
        unique: bool = False,
        auto_delete: bool = True,
        exchange: Exchange | str | None = None,
        alias: str | None = None,
        **options: Any,
    ) -> None:
        """Make the queue of this process."""
        own = f"{queue or 'bcast'}.{uuid.uuid4()}" if unique or not queue else queue
        super().__init__(
            own,
            Exchange(name or "", "fanout") if exchange is None else exchange,
            auto_delete=auto_delete,
            alias=alias or name,
            **options,
        )

    def specs_of_sender(self) -> list[QueueSpec]:
        """Return the exchange alone: the queues are the workers'."""
        return [] if self.no_declare or self.where.exists else [self.where.spec()]


_DIRECT: Final = Exchange("C.dq2")


def worker_direct(hostname: str | Queue) -> Queue:
    """Return the queue of one worker (the setting `worker_direct`); calls name it as their `queue`.

    Args:
        hostname: the worker's node name, such as `fastq@host`.
    """
    if isinstance(hostname, Queue):
        return hostname
    return Queue(f"{hostname}.dq2", _DIRECT, hostname)


def _binding(way: Any) -> binding:
    """Return a binding that is ours or kombu's."""
    if isinstance(way, binding):
        return way
    return binding(way.exchange, way.routing_key or "", getattr(way, "arguments", None))


def _with_exchange(spec: QueueSpec, exchange: Exchange) -> QueueSpec:
    return replace(
        spec,
        exchange=exchange.name,
        exchange_type=exchange.type,
        exchange_durable=exchange.durable,
        exchange_auto_delete=exchange.auto_delete,
        exchange_no_declare=exchange.exists,
        exchange_arguments=_json(exchange.name, exchange.arguments),
    )


def _json(owner: str, arguments: Mapping[str, Any] | None) -> str:
    try:
        return orjson.dumps(dict(arguments or {})).decode()
    except TypeError as error:
        raise ImproperlyConfigured(
            f"The arguments of {owner!r} are {dict(arguments or {})!r}: use texts, numbers, booleans, lists and maps."
        ) from error
