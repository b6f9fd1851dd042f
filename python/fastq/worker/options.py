"""What a worker is asked for, by command line or code, over what the settings say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import ImproperlyConfigured
from fastq.text import closest

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["WorkerOptions"]

_SETTINGS: Final = {
    "autoscale": "worker_autoscale",
    "concurrency": "worker_concurrency",
    "pool": "worker_pool",
    "processes": "worker_processes",
    "prefetch_multiplier": "worker_prefetch_multiplier",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
    "max_tasks_per_child": "worker_max_tasks_per_child",
    "max_memory_per_child": "worker_max_memory_per_child",
    "logfile": "worker_logfile",
    "pidfile": "worker_pidfile",
    "stop_timeout": "worker_stop_timeout",
}
"""Options that are settings for this run of the worker."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of one worker. None: as the settings say."""

    hostname: str | None = None
    """Node name: `name@host`, `name@` or a host alone; `%h`, `%n` and `%d` are replaced."""
    concurrency: int | str | None = None
    autoscale: str | tuple[int, int] | None = None
    """Most and least slots, `10,2`: their number follows the work."""
    pool: Any = None
    processes: int | str | None = None
    """Processes of a pool where each runs many tasks at once."""
    queues: tuple[str, ...] = ()
    exclude_queues: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    loglevel: int | str = "WARNING"
    logfile: str | None = None
    pidfile: str | None = None
    prefetch_multiplier: int | str | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    stop_timeout: float | None = None
    purge: bool = False
    quiet: bool = False
    no_color: bool | None = None
    term_is_cold: bool = False
    """SIGTERM stops at once, as SIGQUIT does."""

    @classmethod
    def of(cls, options: dict[str, Any]) -> WorkerOptions:
        """Return options given as keywords; queues and modules may be one text with commas.

        Raises:
            ImproperlyConfigured: there is no such option.
        """
        known = {field.name for field in fields(cls)}
        for name in options:
            if name not in known:
                near = closest(name, known)
                hint = f" Did you mean {near}?" if near else f" There are: {', '.join(sorted(known))}."
                raise ImproperlyConfigured(f"A worker has no option {name!r}.{hint}")
        made = cls(**options)
        return replace(
            made,
            queues=_names(made.queues),
            exclude_queues=_names(made.exclude_queues),
            include=_names(made.include),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the options by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def apply(self, app: App) -> None:
        """Make these options settings of the app: what is forked later and what reads a policy sees them there."""
        for option, setting in _SETTINGS.items():
            value = getattr(self, option)
            if value is not None:
                setattr(app.conf, setting, value)
        if self.no_color:
            app.conf.worker_log_color = False
        if self.include:
            app.conf.include = [*(app.conf.include or ()), *self.include]


def _names(given: Iterable[str] | str | None) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given or ()
    return tuple(name.strip() for name in parts if name.strip())
