"""An app whose messages are kept instead of sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import pytest

from fastq import FastQ
from fastq.app import current, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastq._seam import QueueSpec, Route


class Sent(NamedTuple):
    """A message, decoded."""

    route: Route
    headers: dict[str, Any]
    properties: dict[str, Any]
    body: Any
    raw: tuple[bytes, bytes, bytes]


class Recorder:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Sent] = []
        self.declared: list[QueueSpec] = []
        self.failures: list[Exception] = []
        """Raised by the next publishes, in order."""
        self.chunks: list[int] = []
        """Sizes of what was published together."""

    def publish(
        self, route: Route, headers: bytes, properties: bytes, body: bytes, timeout: float | None = None
    ) -> None:
        if self.failures:
            raise self.failures.pop(0)
        known = orjson.loads(properties)
        decoded = orjson.loads(body) if known["content_type"] == "application/json" and body[:1] in b"[{" else body
        self.messages.append(Sent(route, orjson.loads(headers), known, decoded, (headers, properties, body)))

    def publish_many(self, messages: Sequence[Any], timeout: float | None = None) -> None:
        self.chunks.append(len(messages))
        for message in messages:
            self.publish(*message)

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        self.declared.extend(queues)

    def flush(self, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def last(self) -> Sent:
        return self.messages[-1]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def app(recorder: Recorder) -> Iterator[FastQ]:
    with StateKept():
        made = FastQ("shop", broker="memory://", backend="disabled://")
        made.producer = recorder
        yield made


@pytest.fixture
def add(app: FastQ) -> Any:
    @app.task(name="shop.add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    return add


class StateKept:
    """Puts back which app is current and what is shared, and ends the runs that a test has left open."""

    def __enter__(self) -> None:
        self.process = (current._Process.current, current._Process.default)
        self.shared = list(registry._shared)
        current._current.set(None)
        current._frame.set(None)

    def __exit__(self, *_: object) -> None:
        current._Process.current, current._Process.default = self.process
        registry._shared[:] = self.shared
        current._current.set(None)
        current._frame.set(None)
