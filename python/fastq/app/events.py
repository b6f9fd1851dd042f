"""Events that tasks send to monitors by themselves (protocol.md §5): Celery's monitors hear them."""

from __future__ import annotations

import os
import time as clock
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq._seam import Route
from fastq.app import publish
from fastq.app.topology import Broadcast, Exchange
from fastq.exceptions import QueueNotFound
from fastq.serialization import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastq.app.context import Context
    from fastq.app.protocol import App

__all__ = ["send"]

_TRANSIENT: Final = 1
"""Delivery mode of events: they do not outlive the broker."""
_SECONDS_OF_AN_HOUR: Final = 3600.0


def send(app: App, request: Context, kind: str, fields: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Send an event about a run. Where nobody listens, or the broker has no exchanges, it is gone.

    Wire shape: `{"type": "task-uploaded", "uuid": …, "hostname": …, "pid": …, "timestamp": …, "utcoffset": …}` and the
    fields, to the exchange `event_exchange` with the routing key `task.uploaded`. The clock of Celery's events is left
    out: whoever gets one without gives it its own.

    Args:
        app: gives the settings.
        request: of the run.
        kind: what happened, such as `task-uploaded`.
        fields: more of it; they win.
        options: `retry` and `retry_policy`.

    Raises:
        EncodeError: a field cannot be written.
        OperationalError: the broker could not be reached in time.
    """
    producer: Any = app.producer
    can = producer.capabilities()
    if not can["exchanges"]:
        return
    event = {"type": kind, "uuid": request.id, **_sender(request), **fields}
    content_type, encoding, body = registry.dumps(event, app.conf.event_serializer)
    properties = {"content_type": content_type, "content_encoding": encoding, "delivery_mode": _TRANSIENT}
    name = app.conf.event_exchange
    message = (
        Route(name, kind.replace("-", ".")),
        orjson.dumps({"hostname": event["hostname"]}),
        orjson.dumps(properties),
        body,
    )
    # Those who listen have queues of their own. On Redis Celery has its events carried to everybody, by channels.
    listeners = Broadcast(queue=name, exchange=Exchange(name, "fanout" if can["channels"] else "topic"))
    try:
        publish.declare(app, producer, [listeners])
        publish.publish_many(app, producer, [message], options)
    except QueueNotFound:
        # Nobody listens. The exchange itself may have been deleted since: it is made again for the next one.
        app.declared.discard(listeners.name)


def _sender(request: Context) -> dict[str, Any]:
    local = clock.localtime()
    west = clock.altzone if local.tm_isdst > 0 else clock.timezone
    return {
        "hostname": request.hostname,
        "pid": os.getpid(),
        "timestamp": clock.time(),
        "utcoffset": west / _SECONDS_OF_AN_HOUR,
    }
