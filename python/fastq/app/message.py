"""From a call to the three parts of its message: headers, properties and body (protocol.md §1).

Pure: nothing is sent, no signal fires, and the time and the id are given.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq import time
from fastq._seam import OutgoingMessage, Route
from fastq.app import bounds
from fastq.app.topology import Exchange, Queue
from fastq.serialization import compression, json, registry
from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["REPR_LIMIT", "Draft", "build", "encode"]

_logger: Final = logging.getLogger("celery.app.base")

REPR_LIMIT: Final = 1024
"""Characters of `argsrepr` and `kwargsrepr`."""

_DELIVERY_MODES: Final[Mapping[Any, int]] = {"transient": 1, "persistent": 2, "1": 1, "2": 2}

_CONSUMED: Final = frozenset(
    {
        "task_id", "countdown", "eta", "expires", "queue", "exchange", "exchange_type", "routing_key", "priority",
        "serializer", "compression", "retry", "retry_policy", "link", "link_error", "time_limit", "soft_time_limit",
        "ignore_result", "shadow", "headers", "reply_to", "add_to_parent", "producer", "publisher", "router",
        "route_name", "result_cls", "task_type", "root_id", "parent_id", "group_id", "group_index", "chord", "chain",
        "retries", "replaced_task_nesting", "origin", "argsrepr", "kwargsrepr", "delivery_mode", "declare", "timeout",
        "confirm_timeout", "expiration", "stamped_headers", "stamps", "immutable", *bounds.OPTIONS,
    }
)  # fmt: skip
"""Options that have a meaning; all others travel as properties."""


@dataclass(slots=True)
class Draft:
    """A message that can still be changed: what `before_task_publish` handlers see."""

    name: str
    body: list[Any]
    """Arguments, keyword arguments, embed."""
    headers: dict[str, Any]
    properties: dict[str, Any]
    exchange: str
    routing_key: str
    priority: int | None
    due: float | None
    serializer: str | None
    compression: str | None
    declare: list[Any] = field(default_factory=list)


def build(
    app: App,
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    now: datetime,
    origin: str,
    reply_to: str,
) -> Draft:
    """Return the draft of a call.

    Args:
        app: gives settings and time zone.
        name: of the task.
        args: positional arguments.
        kwargs: keyword arguments.
        options: merged, checked and routed; `task_id` is among them, and `queue` is a `Queue`.
        now: the present time, with its zone.
        origin: the node that sends.
        reply_to: the queue where answers are awaited.

    Raises:
        TypeError: arguments that are no list and mapping.
        ValueError: the soft time limit is longer than the hard one.
    """
    arguments, keywords = _arguments(args, kwargs)
    eta, due = _eta(options, now, app)
    expires, expiration = _expires(options, now, app)
    priority: int | None = options.get("priority")
    exchange, routing_key = _destination(app, options)
    headers = _headers(name, arguments, keywords, options, app.conf.task_repr_maxlevels)
    headers["eta"], headers["expires"] = eta, expires
    headers["origin"] = headers["origin"] or origin
    headers.update(options.get("headers") or {})
    properties = _properties(options, reply_to, _delivery_mode(app, options))
    if priority is not None:
        properties["priority"] = priority
    if expiration is not None:
        properties["expiration"] = expiration
    return Draft(
        name=name,
        body=[arguments, keywords, _embed(options)],
        headers=headers,
        properties=properties,
        exchange=exchange,
        routing_key=routing_key,
        priority=priority,
        due=due,
        serializer=options.get("serializer") or app.conf.task_serializer,
        compression=options.get("compression"),
        declare=_declared(app, options, exchange),
    )


def _headers(
    name: str, args: Sequence[Any], kwargs: dict[str, Any], options: Mapping[str, Any], levels: int
) -> dict[str, Any]:
    """Return every standard header in the order of protocol.md §1.1; what depends on the time is added by `build`."""
    task_id = options["task_id"]
    return {
        "lang": "py",
        "task": name,
        "id": task_id,
        "shadow": options.get("shadow"),
        "eta": None,
        "expires": None,
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "retries": options.get("retries") or 0,
        "timelimit": _time_limits(options),
        "root_id": options.get("root_id") or task_id,
        "parent_id": options.get("parent_id"),
        "argsrepr": options.get("argsrepr") or saferepr(tuple(args), REPR_LIMIT, levels),
        "kwargsrepr": options.get("kwargsrepr") or saferepr(kwargs, REPR_LIMIT, levels),
        "origin": options.get("origin"),
        "ignore_result": options.get("ignore_result"),
        "replaced_task_nesting": options.get("replaced_task_nesting") or 0,
        "stamped_headers": list(options["stamped_headers"]) if options.get("stamped_headers") else None,
        "stamps": _stamps(options),
    }


def _properties(options: Mapping[str, Any], reply_to: str, delivery_mode: int) -> dict[str, Any]:
    """Return the properties of protocol.md §1.2 and whatever option has no other meaning."""
    properties: dict[str, Any] = {
        "correlation_id": options["task_id"],
        "reply_to": options.get("reply_to") or reply_to,
    }
    stamped = options.get("stamped_headers") or ()
    for key, value in options.items():
        if key not in _CONSUMED and key not in stamped and value is not None:
            properties[key] = value
    properties["delivery_mode"] = delivery_mode
    return properties


def encode(draft: Draft) -> OutgoingMessage:
    """Return the draft as bytes.

    Raises:
        EncodeError: the arguments or headers cannot be written in their format.
    """
    content_type, content_encoding, body = registry.dumps(draft.body, draft.serializer)
    headers = draft.headers
    if draft.compression:
        headers["compression"], body = compression.compress(body, draft.compression)
    properties = {**draft.properties, "content_type": content_type, "content_encoding": content_encoding}
    route = Route(draft.exchange, draft.routing_key, draft.priority, draft.due)
    return OutgoingMessage(route, _json(headers), _json(properties), body)


def _json(value: dict[str, Any]) -> bytes:
    """Return headers or properties as JSON; values of other types as the serializer writes them."""
    try:
        return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:
        return json.dumps(value)


def _arguments(
    args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> tuple[list[Any] | tuple[Any, ...], dict[str, Any]]:
    if args is not None and not isinstance(args, list | tuple):
        raise TypeError(f"The arguments of a task must be a list or tuple, not {type(args).__name__}.")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"The keyword arguments of a task must be a mapping, not {type(kwargs).__name__}.")
    return () if args is None else args, dict(kwargs or {})


def _embed(options: Mapping[str, Any]) -> dict[str, Any]:
    chain = options.get("chain")
    return {
        "callbacks": _signatures(options.get("link")),
        "errbacks": _signatures(options.get("link_error")),
        "chain": None if chain is None else list(chain),
        "chord": options.get("chord"),
    }


def _signatures(value: Any) -> list[Any] | None:
    if value is None or value == []:
        return None
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def _stamps(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in options.get("stamped_headers") or () if name in options}


def _eta(options: Mapping[str, Any], now: datetime, app: App) -> tuple[str | None, float | None]:
    """Return `eta` as text and as seconds since 1970."""
    countdown = options.get("countdown")
    if countdown:
        moment = now + timedelta(seconds=countdown)
        return moment.isoformat(), moment.timestamp()
    eta = options.get("eta")
    if not eta:
        return None, None
    moment = time.from_iso(eta, app.timezone)
    return (eta if isinstance(eta, str) else moment.isoformat()), moment.timestamp()


def _expires(options: Mapping[str, Any], now: datetime, app: App) -> tuple[str | None, str | None]:
    """Return `expires` as text, and the milliseconds that the broker keeps the message."""
    expires = options.get("expires")
    if expires is None:
        seconds = options.get("expiration")
        return None, None if seconds is None else str(int(seconds * 1000))
    if isinstance(expires, int | float | timedelta):
        moment = now + timedelta(seconds=time.seconds(expires))
    else:
        moment = time.from_iso(expires, app.timezone)
    remaining = (moment - now).total_seconds()
    if remaining < 0:
        _logger.warning("Task %s expires %.0f s before it is sent: it will not run.", options["task_id"], -remaining)
        remaining = 0
    text = expires if isinstance(expires, str) else moment.isoformat()
    return text, str(int(remaining * 1000))


def _time_limits(options: Mapping[str, Any]) -> list[float | None]:
    """Return hard and soft limit, in the header's order."""
    hard, soft = options.get("time_limit"), options.get("soft_time_limit")
    if hard and soft and soft > hard:
        raise ValueError(f"soft_time_limit ({soft} s) must not be longer than time_limit ({hard} s).")
    return [hard, soft]


def _delivery_mode(app: App, options: Mapping[str, Any]) -> int:
    queue = options.get("queue")
    mode = options.get("delivery_mode")
    if mode is None and isinstance(queue, Queue):
        mode = queue.where.delivery_mode
    if mode is None:
        mode = app.conf.task_default_delivery_mode
    return int(_DELIVERY_MODES.get(mode, mode))


def _destination(app: App, options: Mapping[str, Any]) -> tuple[str, str]:
    """Return exchange and routing key (protocol.md §4.2): by default straight to the queue."""
    queue: Queue | None = options.get("queue")
    exchange, key = options.get("exchange"), options.get("routing_key")
    name = exchange.name if isinstance(exchange, Exchange) else exchange
    kind = options.get("exchange_type") or (queue.where.type if queue is not None else "direct")
    if not name and not key and kind == "direct" and queue is not None:
        return "", queue.name
    if name is None and queue is not None:
        name = queue.where.name
    conf = app.conf
    name = conf.task_default_exchange or conf.task_default_queue if name is None else name
    key = (
        key
        or (queue.routing_key if queue is not None else "")
        or conf.task_default_routing_key
        or conf.task_default_queue
    )
    return str(name), str(key)


def _declared(app: App, options: Mapping[str, Any], exchange: str) -> list[Any]:
    """Return the queues that must exist for the message to arrive."""
    given = options.get("declare")
    if given is not None:
        return list(given)
    queue = options.get("queue")
    found = [queue] if isinstance(queue, Queue) and (queue.needs_declaring or exchange) else []
    return found + [other for other in app.queues.bound_to(exchange) if other not in found] if exchange else found
