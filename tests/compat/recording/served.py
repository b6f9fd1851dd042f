"""The Celery app that is recorded. The environment says where Redis is and which settings are tried."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import celery
from celery.signals import setup_logging

from tests.compat.shop import Shop

__all__ = ["app", "open_shop"]

_URL = os.environ["RECORDED_REDIS_URL"]


def open_shop(settings: Mapping[str, Any]) -> Shop:
    """Return the tasks on a new app with these settings."""
    made = celery.Celery("shop", broker=_URL, backend=_URL)
    made.conf.update(
        accept_content=["json", "msgpack", "yaml", "pickle"],
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        **settings,
    )
    return Shop(made, celery)


app = open_shop(json.loads(os.environ.get("RECORDED_SETTINGS", "{}"))).app


@setup_logging.connect
def _keep_quiet(**_: object) -> None:
    """Leave logging alone: nobody reads it here."""
