"""Queues of an app, with the classes of kombu when they are recorded and with those of fastq when they are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

__all__ = ["REFUSED", "TOPOLOGIES", "Kinds", "topology_of"]


REFUSED: Final = frozenset({"expires-moment"})
"""Calls of Celery's that RabbitMQ refuses: they expire later than in 2 ** 32 milliseconds."""


class Kinds(NamedTuple):
    """The classes of one library."""

    exchange: Any
    queue: Any
    broadcast: Any
    binding: Any


def _limits(kinds: Kinds) -> dict[str, Any]:
    queue = kinds.queue(
        "limited",
        kinds.exchange("limited"),
        "limited",
        expires=3600.5,
        message_ttl=60,
        max_length=1000,
        max_length_bytes=1_000_000,
        max_priority=7,
        queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "failed"},
        consumer_arguments={"x-priority": 3},
    )
    return {"task_queues": [queue], "task_default_queue": "limited"}


def _bindings(kinds: Kinds) -> dict[str, Any]:
    topics = kinds.exchange("topics", "topic", durable=False)
    queue = kinds.queue(
        "bound", kinds.exchange("first"), "first", bindings=[kinds.binding(topics, "a.#"), kinds.binding(topics, "*.b")]
    )
    return {"task_queues": [queue], "task_default_queue": "bound"}


def _alternate(kinds: Kinds) -> dict[str, Any]:
    exchange = kinds.exchange("main", "topic", arguments={"alternate-exchange": "lost"})
    lost = kinds.queue("lost", kinds.exchange("lost", "fanout"), "lost")
    return {"task_queues": [kinds.queue("main", exchange, "main.#"), lost], "task_default_queue": "main"}


TOPOLOGIES: Final[Mapping[str, Callable[[Kinds], dict[str, Any]]]] = {
    "default": lambda _: {},
    "priority": lambda _: {"task_queue_max_priority": 10, "task_default_queue": "urgent"},
    "quorum": lambda _: {"task_default_queue_type": "quorum", "task_default_queue": "safe"},
    "transient": lambda _: {"task_default_delivery_mode": "transient", "task_default_queue": "light"},
    "quorum-topic": lambda _: {
        "task_default_queue_type": "quorum",
        "task_default_exchange_type": "topic",
        "task_default_exchange": "delays",
        "task_default_queue": "delayable",
    },
    "fanout": lambda kinds: {
        "task_queues": [kinds.queue("bell", kinds.exchange("bells", "fanout"), "ring")],
        "task_default_queue": "bell",
    },
    "broadcast": lambda kinds: {"task_queues": [kinds.broadcast("news", "news.of.one")], "task_default_queue": "news"},
    "limits": _limits,
    "bindings": _bindings,
    "alternate": _alternate,
    "exclusive": lambda kinds: {
        "task_queues": [kinds.queue("own", kinds.exchange("own", auto_delete=True), "own", exclusive=True)],
        "task_default_queue": "own",
    },
}
"""Settings by name."""


def topology_of(name: str, kinds: Kinds) -> dict[str, Any]:
    """Return the settings of that name, made with these classes."""
    return TOPOLOGIES[name](kinds)
