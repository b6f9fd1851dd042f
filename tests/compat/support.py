"""The shop on fastq, with its messages kept, and jobs made from what Celery sent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from fastq import FastQ
from fastq._seam import Outcome, OutgoingMessage, QueueSpec, Record, Route
from fastq.app import current
from fastq.execute import Executor
from fastq.result import wait
from tests.compat.recordings import Envelope
from tests.compat.shop import Shop

__all__ = ["Sent", "WireJob", "open_shop", "run_there"]

ACCEPTED = ["json", "msgpack", "yaml", "pickle"]


class Sent:
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[OutgoingMessage] = []

    def publish(
        self, route: Route, headers: bytes, properties: bytes, body: bytes, timeout: float | None = None
    ) -> None:
        self.messages.append(OutgoingMessage(route, headers, properties, body))

    def publish_many(self, messages: Sequence[OutgoingMessage], timeout: float | None = None) -> None:
        self.messages.extend(OutgoingMessage(*message) for message in messages)

    def declare(self, queues: Sequence[QueueSpec]) -> None:
        """Do nothing: queues that have only a name come up here."""

    def flush(self, timeout: float | None = None) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def open_shop(settings: Mapping[str, Any] | None = None, now: datetime | None = None) -> Iterator[tuple[Shop, Sent]]:
    """Have the shop's tasks on a fastq app, and what they send.

    Args:
        settings: of the app.
        now: what the app takes for the present time.
    """
    process = (current._Process.current, current._Process.default)
    app = FastQ("shop", broker="memory://", backend=f"memory://{uuid.uuid4().hex}", accept_content=ACCEPTED)
    for name, value in (settings or {}).items():
        setattr(app.conf, name, value)
    if now is not None:
        app.now = lambda: now  # type: ignore[method-assign]
    sent = Sent()
    app.producer = sent
    try:
        yield Shop(app), sent
    finally:
        current._Process.current, current._Process.default = process
        current._current.set(None)
        wait._Guard.running = None


class WireJob:
    """What the core makes of an envelope for an executor: parts of the message as bytes, limits and flags read."""

    def __init__(self, envelope: Envelope) -> None:
        headers, properties = envelope.headers, dict(envelope.document["properties"])
        info = properties.pop("delivery_info")
        properties["content_type"], properties["content_encoding"] = envelope.content
        self.id = headers["id"]
        self.name = headers["task"]
        self.headers = json.dumps(headers).encode()
        self.properties = json.dumps(properties).encode()
        self.body = envelope.body
        self.content_type = envelope.content[0]
        self.queue = self.routing_key = info["routing_key"]
        self.exchange = info["exchange"]
        self.priority = envelope.priority
        self.redelivered = False
        self.deaths = 0
        self.ignore_result = bool(headers["ignore_result"])
        self.time_limits = tuple(headers["timelimit"])
        self.has_family = headers["group"] is not None or headers["parent_id"] is not None


def run_there(shop: Shop, job: WireJob) -> tuple[list[Record], Outcome]:
    """Run a job as a worker called `w@host`; return every record, in order, and the outcome."""
    stored: list[Record] = []
    executor = Executor(shop.app, hostname="w@host", store=stored.extend)
    try:
        outcome = executor.run(job)  # type: ignore[arg-type]
    finally:
        executor.close()
    return [*stored, *outcome.records], outcome
