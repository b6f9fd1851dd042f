"""The Celery app that is recorded. The environment says where its server is and which settings are tried."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import celery
from celery.signals import setup_logging
from kombu import Exchange, Queue, binding
from kombu.common import Broadcast

from tests.compat.shop import Shop
from tests.compat.topologies import Kinds, topology_of

__all__ = ["app", "open_shop"]

_BROKER = os.environ.get("RECORDED_BROKER_URL") or os.environ["RECORDED_REDIS_URL"]
_BACKEND = os.environ.get("RECORDED_BACKEND_URL", _BROKER)


def open_shop(settings: Mapping[str, Any]) -> Shop:
    """Return the tasks on a new app with these settings."""
    made = celery.Celery("shop", broker=_BROKER, backend=_BACKEND)
    made.conf.update(
        accept_content=["json", "msgpack", "yaml", "pickle"],
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        **settings,
    )
    return Shop(made, celery)


def _settings() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(os.environ.get("RECORDED_SETTINGS", "{}"))
    topology = os.environ.get("RECORDED_TOPOLOGY")
    return found if topology is None else {**found, **topology_of(topology, Kinds(Exchange, Queue, Broadcast, binding))}


app = open_shop(_settings()).app


@setup_logging.connect
def _keep_quiet(**_: object) -> None:
    """Leave logging alone: nobody reads it here."""
