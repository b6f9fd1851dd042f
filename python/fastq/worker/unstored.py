"""States that no executor lives to store, of tasks whose results are kept where the core cannot write.

A task that was called off, had expired, or died with its process has nobody to store its end. Where the core writes
results it does so with the acknowledgement. Elsewhere it tells the worker's main process, which stores the state as the
task itself would have: a moment later, and not again if this process is killed in that moment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq.backends import failure
from fastq.backends.again import tried

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["store"]

_logger: Final = logging.getLogger("celery.worker")

_PATIENCE_SECONDS: Final = 5.0
"""How long a store that fails is tried again. The main process has more to do than to wait for it."""


def store(app: App, fields: Mapping[str, Any]) -> None:
    """Store the state that an Event tells of; one that cannot be stored is logged, with what it was.

    Args:
        app: whose task it is.
        fields: `id`, `name`, `state`, and `body`: the record as the core writes it.
    """
    task_id, name, state = fields["id"], fields["name"], fields["state"]
    task = app.tasks.get(name)
    backend = app.backend if task is None else task.backend
    if not backend.capability.stores:
        return
    error = failure.restore(orjson.loads(fields["body"])["result"])
    record = backend.record(task_id, state, error)
    try:
        tried(app.conf, lambda: backend.save((record,)), time.monotonic() + _PATIENCE_SECONDS)
    except Exception:
        _logger.exception("Task %s[%s]: its state %s could not be stored.", name, task_id, state)
