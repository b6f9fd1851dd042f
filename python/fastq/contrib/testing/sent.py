"""What an app has sent: each message decoded, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

from fastq.exceptions import EncodeError
from fastq.serialization import compression, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastq._seam import Route
    from fastq.app.protocol import Publisher

__all__ = ["Recorder", "Sent"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was sent, or that a run has left to follow it."""

    name: str
    """Of the task."""
    args: tuple[Any, ...]
    """Positional arguments, as the worker gets them: JSON knows no tuples."""
    kwargs: dict[str, Any]
    """Keyword arguments, as the worker gets them."""
    id: str
    queue: str
    """The queue, or the routing key when an exchange is named."""
    exchange: str
    due: datetime | None
    """Not before; None: at once."""
    retries: int
    priority: int | None
    headers: dict[str, Any] = field(repr=False)
    properties: dict[str, Any] = field(repr=False)

    def matches(self, name: str, args: Any, kwargs: Any, queue: str | None) -> bool:
        """Tell whether the message is one of that name, with these arguments and queue; None matches any."""
        return (
            self.name == name
            and (args is None or self._is(list(args), list(self.args)))
            and (kwargs is None or self._is(dict(kwargs), self.kwargs))
            and (queue is None or self.queue == queue)
        )

    def _is(self, expected: Any, found: Any) -> bool:
        """Tell whether both are equal, also when the one is what becomes of the other on its way."""
        if expected == found:
            return True
        try:
            content_type, encoding, data = registry.dumps(expected, _name_of(self.properties["content_type"]))
        except EncodeError:
            return False
        return bool(registry.loads(data, content_type, encoding, (content_type,)) == found)


def decode(message: Sequence[Any]) -> Sent:
    """Return a message (route, headers, properties and body) as what it says."""
    route: Route
    route, raw_headers, raw_properties, body = message
    headers, properties = orjson.loads(raw_headers), orjson.loads(raw_properties)
    if headers.get("compression"):
        body = compression.decompress(body, headers["compression"])
    content_type = properties["content_type"]
    args, kwargs, _embed = registry.loads(body, content_type, properties["content_encoding"], (content_type,))
    return Sent(
        name=headers["task"],
        args=tuple(args),
        kwargs=kwargs,
        id=headers["id"],
        queue=route.routing_key,
        exchange=route.exchange,
        due=None if route.due is None else datetime.fromtimestamp(route.due, timezone.utc),
        retries=headers["retries"],
        priority=route.priority,
        headers=headers,
        properties=properties,
    )


def _name_of(content_type: str) -> str:
    """Return the name of the serializer that writes this content."""
    return next((name for name in registry.names() if registry.content_type_of(name) == content_type), "json")


class Recorder:
    """Publishes like the producer it is made of, and tells of every message that was published."""

    def __init__(self, producer: Publisher, note: Callable[[Sequence[Any]], None]) -> None:
        """Publish nothing yet.

        Args:
            producer: publishes.
            note: called with route, headers, properties and body.
        """
        self.producer = producer
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self.producer, name)

    def declare(self, queues: Sequence[Any]) -> None:
        """Declare queues and their bindings."""
        self.producer.declare(queues)

    def publish(
        self, route: Any, headers: bytes, properties: bytes, body: bytes, timeout: float | None = None
    ) -> str | None:
        """Send one message."""
        holder = self.producer.publish(route, headers, properties, body, timeout=timeout)
        if holder is None:
            self._note((route, headers, properties, body))
        return holder

    def publish_many(
        self, messages: Sequence[Any], timeout: float | None = None, together: bool = True
    ) -> Sequence[tuple[int, str]]:
        """Send messages together."""
        duplicates = self.producer.publish_many(messages, timeout=timeout, together=together) or ()
        kept_back = {place for place, _ in duplicates}
        for place, message in enumerate(messages):
            if place not in kept_back and not (together and kept_back):
                self._note(message)
        return duplicates

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was sent is confirmed."""
        self.producer.flush(timeout)

    def close(self) -> None:
        """Let the connection go."""
        self.producer.close()


def shown(messages: Sequence[Sent], otherwise: str) -> str:
    """Return messages as the lines of an assertion's text."""
    lines = [f"  {sent.name}(*{list(sent.args)!r}, **{dict(sent.kwargs)!r}) to {sent.queue}" for sent in messages]
    return "\n".join(lines) or f"  {otherwise}"


def expectation(name: str, args: Any, kwargs: Mapping[str, Any] | None, queue: str | None) -> str:
    """Return what was expected as text."""
    parts = [name]
    if args is not None:
        parts.append(f"args={list(args)!r}")
    if kwargs is not None:
        parts.append(f"kwargs={dict(kwargs)!r}")
    if queue is not None:
        parts.append(f"queue={queue!r}")
    return ", ".join(parts)
