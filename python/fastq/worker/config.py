"""Settings of the app → WorkerConfig: what the core is told at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from fastq._seam import QueueSpec, WorkerConfig
from fastq.app.internal import internal_queue
from fastq.backends.native import broker_options, store_options
from fastq.exceptions import ImproperlyConfigured
from fastq.pool.choose import processors
from fastq.time import seconds

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.pool.base import Pool

__all__ = ["autoscale", "concurrency", "core_config", "processes"]


def concurrency(app: App, pool: type[Pool]) -> int:
    """Return how many jobs the settings want to run at once: in the worker, or in each of its processes.

    Raises:
        ImproperlyConfigured: it is no number, or below 1, or above what the pool can do.
    """
    value: Any = app.conf.worker_concurrency
    if value is None or value == "auto":
        return pool.default_concurrency or processors()
    count = _number(value)
    if not 1 <= count <= pool.most_concurrency:
        raise ImproperlyConfigured(
            f"worker_concurrency is {value!r}: use a number from 1 to {pool.most_concurrency}, or `auto`."
        )
    return count


def processes(app: App, pool: type[Pool]) -> int:
    """Return how many processes the settings ask for, where that is not the number of slots.

    Raises:
        ImproperlyConfigured: it is no number, or not between 1 and 1024, or the pool has no use for it.
    """
    value: Any = app.conf.worker_processes
    if value is not None and not pool.takes_processes:
        raise ImproperlyConfigured(
            f"worker_processes (--processes) is {value!r}, which means nothing to the {pool.name} pool: use "
            "worker_concurrency (-c), or -P asyncio."
        )
    if value in (None, "auto"):
        return processors()
    count = _number(value)
    if not 1 <= count <= 1024:
        raise ImproperlyConfigured(f"worker_processes is {value!r}: use a number from 1 to 1024, or `auto`.")
    return count


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def autoscale(app: App) -> tuple[int, int] | None:
    """Return the least and the most slots when their number follows the work; None: it is always the same.

    Raises:
        ImproperlyConfigured: it is not two numbers between 1 and 1024, the larger one first.
    """
    value: Any = app.conf.worker_autoscale
    if not value:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    try:
        most, least = (int(part) for part in [*parts, 1][:2])
    except (TypeError, ValueError):
        most, least = 0, 0
    if not 1 <= least <= most <= 1024 or len(parts) > 2:
        raise ImproperlyConfigured(
            f"worker_autoscale is {value!r}: use MAX,MIN, two numbers from 1 to 1024, such as 10,2."
        )
    return least, most


def core_config(app: App, node: str, pool: Pool) -> WorkerConfig:
    """Return what the core must know of this worker; the nursery's descriptor is still to come.

    Raises:
        ImproperlyConfigured: no queue is left to take from.
    """
    conf = app.conf
    backend = app.backend
    # Without prefetch there are no more messages here than slots.
    multiplier = 1 if conf.worker_disable_prefetch else conf.worker_prefetch_multiplier
    broker_url = conf.broker_read_url or conf.broker_url
    store_url = backend.url if backend.capability.native else None
    return WorkerConfig(
        node=node,
        broker_url=broker_url,
        queues=_queues(app),
        broker_options=_json(broker_options(app, broker_url)),
        store_url=store_url,
        store_options=_json(store_options(app, store_url) if store_url else None),
        children=pool.children,
        most_children=pool.most_children,
        permits=pool.permits,
        prefetch_multiplier=None if multiplier in (None, "auto") else int(multiplier),
        lease=conf.worker_lease,
        max_deaths=conf.task_max_deaths,
        result_expires=backend.expires_seconds,
        chord_expires=backend.chord_expires_seconds,
        chord_patience=seconds(conf.result_chord_patience) or None,
        internal_queue=internal_queue(app) if backend.capability.counts else "",
        stop_within=conf.worker_stop_timeout,
        soft_stop_within=conf.worker_soft_shutdown_timeout,
        gives_up_slots=pool.gives_up_slots,
        mailbox=f"{conf.control_exchange}.pidbox" if conf.worker_enable_remote_control else None,
        revoke_expires=conf.task_revoke_expires,
        eta_limit=_eta_limit(app),
        ends_lost_runs=conf.worker_cancel_long_running_tasks_on_connection_loss,
    )


def _eta_limit(app: App) -> int | None:
    """Return how many messages may wait in the worker for their time.

    Raises:
        ImproperlyConfigured: it is below zero.
    """
    limit = app.conf.worker_eta_task_limit
    if limit is not None and limit < 0:
        raise ImproperlyConfigured(f"worker_eta_task_limit is {limit}: use a number of tasks, or 0 for fastq's own.")
    return limit or None


def _queues(app: App) -> tuple[QueueSpec, ...]:
    queues = app.queues.consume_from
    if not queues:
        raise ImproperlyConfigured(
            "This worker has no queue to take from: -X excludes every queue that -Q or task_queues names."
        )
    return tuple(spec for queue in queues.values() for spec in queue.specs())


def _json(options: Any) -> str:
    return orjson.dumps(options or {}, default=str).decode()
