"""Task → Policy: what the core must know of each task (celery-inventory §1.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from fastq._seam import Policy
from fastq.exceptions import ImproperlyConfigured
from fastq.time import rate

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.app.task import Task

__all__ = ["policies", "policy"]

_UNLIMITED: Final = 2**32 - 1


def policies(app: App) -> list[Policy]:
    """Return the policy of every task of the app.

    Raises:
        ImproperlyConfigured: a task's limits cannot work.
    """
    tasks: Iterable[Any] = app.tasks.values()
    return [policy(task, app.conf.task_max_deaths) for task in tasks]


def policy(task: Task[..., Any], max_deaths: int) -> Policy:
    """Return the policy of one task; what it leaves open its settings say.

    Raises:
        ImproperlyConfigured: a limit is no number, or the soft one is not below the hard one.
    """
    hard, soft = _limit(task, "time_limit"), _limit(task, "soft_time_limit")
    if hard is not None and soft is not None and soft > hard:
        raise ImproperlyConfigured(
            f"Task {task.name}: soft_time_limit ({soft:g} s) is above time_limit ({hard:g} s), so it would never come."
        )
    older = _flag(task.acks_on_failure_or_timeout, True)
    return Policy(
        name=task.name,
        acks_late=bool(task.acks_late),
        acks_on_failure=_flag(task.acks_on_failure, older),
        acks_on_timeout=_flag(task.acks_on_timeout, older),
        reject_on_worker_lost=bool(task.reject_on_worker_lost),
        max_deaths=max_deaths,
        ignore_result=bool(task.ignore_result),
        store_errors_even_if_ignored=bool(task.store_errors_even_if_ignored),
        time_limit=hard,
        soft_time_limit=soft,
        rate_limit=_rate(task),
        rate_is_global=_is_global(task),
        max_concurrency=task.max_concurrency,
        retries_when_lost=_retries_when_lost(task),
        results_elsewhere=_are_results_elsewhere(task),
    )


def _flag(value: bool | None, otherwise: bool) -> bool:
    return otherwise if value is None else bool(value)


def _rate(task: Task[..., Any]) -> float | None:
    """Return how many runs may begin in a second; None: any number.

    Raises:
        ImproperlyConfigured: the limit of the task, or of the setting, is no rate.
    """
    value: Any = task.rate_limit
    if value is None or task.app.conf.worker_disable_rate_limits:
        return None
    try:
        return rate(value) or None
    except (ValueError, TypeError):
        raise ImproperlyConfigured(
            f"Task {task.name}: rate_limit is {value!r}: write runs per second, or text such as 10/s, 10/m or 10/h."
        ) from None


def _are_results_elsewhere(task: Task[..., Any]) -> bool:
    """Tell whether the core cannot write where the results of a task are kept: there, or in a store of its own."""
    backend = task.backend
    return backend.capability.stores and not (backend.capability.native and backend is task.app.backend)


def _retries_when_lost(task: Task[..., Any]) -> int | None:
    if not task.retry_on_worker_lost:
        return None
    most = task.max_retries
    return _UNLIMITED if most is None else max(0, int(most))


def _is_global(task: Task[..., Any]) -> bool:
    """Tell whether all workers keep the rate limit together.

    Raises:
        ImproperlyConfigured: runs are to be counted by a key, but each worker counts for itself.
    """
    if task.rate_limit_scope == "global":
        return True
    if task.rate_limit_key is not None:
        raise ImproperlyConfigured(
            f"Task {task.name}: rate_limit_key has a meaning with rate_limit_scope='global' only, and the scope is "
            f"{task.rate_limit_scope!r}."
        )
    return False


def _limit(task: Task[..., Any], attribute: str) -> float | None:
    """Return a limit in seconds; as in Celery, 0 is none."""
    value: Any = getattr(task, attribute)
    try:
        seconds = float(value) if value is not None else 0.0
    except (TypeError, ValueError):
        seconds = -1.0
    if not seconds >= 0:  # a NaN is not either
        raise ImproperlyConfigured(f"Task {task.name}: {attribute} is {value!r}, not a number of seconds from 0 up.")
    return seconds or None
