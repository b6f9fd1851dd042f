"""What the settings say about connections to RabbitMQ, as transport options of the core (kombu-layouts.md §3.3)."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any, Final

from fastq.backends.redis_options import given, tls
from fastq.exceptions import ImproperlyConfigured
from fastq.time import seconds

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["RPC", "SCHEMES", "for_broker", "for_client", "for_rpc", "for_worker", "reply_queue"]

SCHEMES: Final = frozenset({"amqp", "amqps", "pyamqp"})
"""Of URLs that lead to RabbitMQ, or to what speaks like it."""
RPC: Final = "rpc"
"""Scheme of results that are messages to those who called."""

_TLS_ONLY_HERE: Final = ("ssl_server_hostname",)
_STRATEGIES: Final = ("round-robin", "shuffle")
_OWN_QUEUE: Final = str(uuid.uuid4())
"""The beginning of the name of the queue where this process awaits results. Children of a fork add their own ids."""


def reply_queue() -> str:
    """Return the name of the queue where this process awaits results: another one after a fork."""
    return f"{_OWN_QUEUE}-{os.getpid()}"


def for_broker(app: App) -> dict[str, Any]:
    """Return the options of a broker on RabbitMQ: `broker_transport_options` over what other settings say.

    Raises:
        ImproperlyConfigured: an option has a value that cannot work; names the setting.
    """
    conf = app.conf
    options: dict[str, Any] = {"queues": sorted(app.queues)}
    if conf.is_set("broker_pool_limit"):
        options["max_connections"] = conf.broker_pool_limit or 0
    if conf.is_set("broker_connection_timeout") and conf.broker_connection_timeout is not None:
        options["connect_timeout"] = conf.broker_connection_timeout
    if conf.is_set("broker_heartbeat"):
        options["heartbeat"] = conf.broker_heartbeat or 0
    if conf.broker_login_method:
        options["login_method"] = conf.broker_login_method
    if conf.broker_failover_strategy is not None:
        options["failover_strategy"] = _strategy(conf.broker_failover_strategy)
    if conf.is_set("broker_native_delayed_delivery_queue_type"):
        options["delayed_queue_type"] = conf.broker_native_delayed_delivery_queue_type
    options.update(tls("broker_use_ssl", conf.broker_use_ssl, "RabbitMQ", _TLS_ONLY_HERE))
    options.update(given("broker_transport_options", conf.broker_transport_options))
    return options


def for_worker(app: App) -> dict[str, Any]:
    """Return the options of a worker's broker, over whose connection results may go to callers."""
    options = for_broker(app)
    if _replies(app):
        options["replies"] = True
        options["result_persistent"] = bool(app.conf.result_persistent)
    return options


def for_client(app: App) -> dict[str, Any]:
    """Return the options of a client's broker, who may await results of the tasks it calls."""
    options = for_broker(app)
    if _replies(app):
        options.update(_awaiting(app))
    return options


def for_rpc(app: App) -> dict[str, Any]:
    """Return the options of the store that reads what comes for this process.

    Raises:
        ImproperlyConfigured: the broker is not RabbitMQ.
    """
    url: str = app.conf.broker_read_url or app.conf.broker_url
    if url.partition("://")[0] not in SCHEMES:
        raise ImproperlyConfigured("rpc:// needs a broker_url of RabbitMQ (amqp://): its results are messages.")
    return {**for_broker(app), **_awaiting(app), "broker_url": url}


def _awaiting(app: App) -> dict[str, Any]:
    return {"reply_queue": _OWN_QUEUE, "reply_expires": seconds(app.conf.result_expires) or 0}


def _replies(app: App) -> bool:
    return str(app.conf.result_backend or "").partition("://")[0] == RPC


def _strategy(value: Any) -> str:
    if value not in _STRATEGIES:
        raise ImproperlyConfigured(
            f"broker_failover_strategy is {value!r}: use 'round-robin' or 'shuffle'; functions are not called here."
        )
    return str(value)
