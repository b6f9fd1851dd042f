"""What a worker looks at before it starts: settings that cannot be meant, and those that it can only warn of."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import FastQError, ImproperlyConfigured, NotSupported
from fastq.names import host_name
from fastq.platforms.pidfile import is_alive
from fastq.text import join_words

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.pool.base import Pool
    from fastq.worker.options import WorkerOptions

__all__ = [
    "import_modules",
    "refuse_limits_without_children",
    "refuse_limits_without_server",
    "refuse_negative_limits",
    "refuse_node_name",
    "refuse_scaling_without_children",
    "warn_of_limits",
    "warn_of_namesake",
    "warn_of_settings",
]

_logger: Final = logging.getLogger("celery.worker")

_LIMITS: Final = ("time_limit", "soft_time_limit")
_SHOWN: Final = 5
"""Tasks that a warning names."""


def import_modules(app: App, options: WorkerOptions) -> None:
    """Import the modules of the app and those of `-I`.

    Raises:
        ImproperlyConfigured: one cannot be imported; names it, where it was asked for, and what it lacks.
    """
    wanted = [("-I", name) for name in options.include]
    wanted += [(setting, name) for setting in ("imports", "include") for name in _listed(getattr(app.conf, setting))]
    try:
        app.import_default_modules()
    except Exception as error:
        # A module whose import fails is not kept: the first that is absent is the one.
        place = next(((origin, name) for origin, name in wanted if name not in sys.modules), None)
        if place is None:
            raise
        origin, name = place
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ImproperlyConfigured(f"{origin} {name}: the module cannot be imported: {what}.") from error


def _listed(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) else value or ()


def refuse_node_name(node: str) -> None:
    """Raise when no worker can be called so.

    Raises:
        ImproperlyConfigured: it is not `name@host`, or holds blanks, quotes or slashes: it is part of file names too.
    """
    name, _, host = node.partition("@")
    if not name or not host or "@" in host or any(sign.isspace() or sign in "'\"/\\" for sign in node):
        raise ImproperlyConfigured(
            f"The node name {node!r} (-n) cannot be used: write name@host, without blanks, quotes and slashes."
        )


def refuse_negative_limits(app: App) -> None:
    """Raise when a time limit of the settings is below zero.

    Raises:
        ImproperlyConfigured: it is so; names the setting and where it was set.
    """
    conf: Any = app.conf
    for limit in _LIMITS:
        value = conf[f"task_{limit}"]
        if value is not None and value < 0:
            raise ImproperlyConfigured(
                f"The setting task_{limit} must be a number of seconds, or 0 for none, not {value:g} "
                f"(from {conf.source_of(f'task_{limit}')})."
            )


def refuse_limits_without_children(options: WorkerOptions, pool: Pool) -> None:
    """Raise when a limit is asked for that nothing could enforce.

    Raises:
        ImproperlyConfigured: it is so.
    """
    if pool.has_limits:
        return
    for limit in _LIMITS:
        if getattr(options, limit):
            raise ImproperlyConfigured(
                f"--{limit.replace('_', '-')} has no effect with -P {pool.name}: its tasks run in the worker's own "
                "process, which cannot be killed or interrupted for them. Use -P prefork or -P threads."
            )


def refuse_limits_without_server(app: App) -> None:
    """Raise when tasks have limits that all workers are to keep together, and the broker cannot count for them.

    Raises:
        NotSupported: it is so; names the tasks and the options.
    """
    tasks: Iterable[Any] = app.tasks.values()
    shared = {
        task.name: "max_concurrency" if task.max_concurrency is not None else "rate_limit_scope='global'"
        for task in tasks
        if task.max_concurrency is not None or (task.rate_limit is not None and task.rate_limit_scope == "global")
    }
    producer: Any = app.producer
    if shared and not producer.capabilities()["limits"]:
        name, option = min(shared.items())
        more = f" ({len(shared) - 1} more have such limits)" if len(shared) > 1 else ""
        raise NotSupported(
            f"Task {name} has {option}{more}, which all workers keep together, but the broker of broker_url cannot "
            "count for them: use Redis or SQLite, or leave the option out."
        )


def refuse_scaling_without_children(app: App, pool: Pool) -> None:
    """Raise when the number of slots is to follow the work, and the pool has no processes.

    Raises:
        ImproperlyConfigured: it is so.
    """
    if app.conf.worker_autoscale and pool.takes_processes:
        raise ImproperlyConfigured(
            f"worker_autoscale is {app.conf.worker_autoscale!r}, but each process of the {pool.name} pool runs many "
            "tasks, so that there are always as many: use --processes and -c."
        )
    if app.conf.worker_autoscale and not pool.children:
        raise ImproperlyConfigured(
            f"worker_autoscale is {app.conf.worker_autoscale!r}, but the {pool.name} pool has no processes to end when "
            "there is less to do: use -P prefork, or -c."
        )


def warn_of_limits(app: App, pool: Pool) -> None:
    """Warn of tasks with limits that nothing enforces."""
    if pool.has_limits:
        return
    tasks: Iterable[Any] = app.tasks.values()
    own = (task for task in tasks if not task.name.startswith("celery."))
    limited = sorted(task.name for task in own if any(getattr(task, limit) for limit in _LIMITS))
    if limited:
        more = f" and {len(limited) - _SHOWN} more" if len(limited) > _SHOWN else ""
        _logger.warning(
            "The %s pool enforces no time limits: %s %s without.",
            pool.name,
            (", ".join(limited[:_SHOWN]) + more) if more else join_words(limited),
            "run" if len(limited) > 1 else "runs",
        )


def warn_of_settings(app: App) -> None:
    """Warn of settings that are none, of old names, and of a broker that nobody else can reach."""
    conf: Any = app.conf
    for name, near in conf.unknown.items():
        _logger.warning("There is no setting %s.%s", name, f" Did you mean {near}?" if near else "")
    conf.maybe_warn_deprecated_settings()
    if conf.broker_url.startswith("memory:"):
        _logger.warning("broker_url is %s, which no other process can send to.", conf.broker_url)


def warn_of_namesake(app: App, node: str, pid: int) -> None:
    """Warn when another worker that is alive has the same name: what is said of one would be taken for the other."""
    producer: Any = app.producer
    try:
        workers = producer.workers()
    except FastQError as error:
        _logger.debug("The other workers cannot be listed: %s", error)
        return
    for other in workers:
        here = other["host"] == host_name()
        if other["node"] != node or other["lease_until"] <= time.time() or (here and other["pid"] == pid):
            continue
        if here and not is_alive(other["pid"]):
            continue
        _logger.warning(
            "Another worker is named %s too (pid %s on %s): give each a name of its own with -n.",
            node,
            other["pid"],
            other["host"],
        )
        return
