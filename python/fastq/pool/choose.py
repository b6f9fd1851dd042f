"""Which pool a name means, and how many slots a worker has."""

from __future__ import annotations

import os
from typing import Any, Final

from fastq.exceptions import ImproperlyConfigured
from fastq.imports import symbol_by_name
from fastq.pool.base import Pool

__all__ = ["LATER", "NAMES", "pool_class", "processors"]

_ALIASES: Final = {
    "asyncio": "fastq.pool.loop:AsyncioPool",
    "gevent": "fastq.pool.green:GeventPool",
    "prefork": "fastq.pool.prefork:PreforkPool",
    "processes": "fastq.pool.prefork:PreforkPool",
    "solo": "fastq.pool.solo:SoloPool",
    "threads": "fastq.pool.threads:ThreadsPool",
}
NAMES: Final = tuple(_ALIASES)
LATER: Final = ("eventlet", "custom")
"""Pools that Celery's users know and that there are none of here: eventlet is no longer kept up by anyone."""


def pool_class(name: Any) -> type[Pool]:
    """Return the pool called `name`: one of `NAMES`, `module:Class`, or a class.

    Raises:
        ImproperlyConfigured: there is no such pool.
    """
    given = name if not isinstance(name, str) else _ALIASES.get(name, name)
    if given in LATER:
        raise ImproperlyConfigured(
            f"There is no {given} pool: use -P prefork (a process per task, the default), -P gevent, "
            "-P asyncio (many coroutines per process), -P threads (a thread per task) or -P solo (one task at a time "
            "in the worker's own process)."
        )
    try:
        found = symbol_by_name(given)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"worker_pool is {name!r}, which is no pool: use prefork, asyncio, gevent, threads or solo, or the path "
            f"of a class ({error})."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Pool)):
        raise ImproperlyConfigured(
            f"worker_pool is {name!r}, which is no fastq.pool.base.Pool: use prefork, asyncio, gevent, threads or solo."
        )
    return found


def processors() -> int:
    """Return how many processors this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available is not None else os.cpu_count() or 1
