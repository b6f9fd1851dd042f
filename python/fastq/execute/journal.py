"""The log lines about runs.

The formats may be set to others: each is filled with a mapping, which also travels in the record as `data`. There
`runtime` is a number of seconds, and `seconds` the same as text for people.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.execute.errors import ExceptionInfo

__all__ = [
    "LOG_EXPECTED",
    "LOG_FAILURE",
    "LOG_IGNORED",
    "LOG_INTERNAL_ERROR",
    "LOG_REJECTED",
    "LOG_RETRY",
    "LOG_SUCCESS",
    "belongs_to",
    "close",
    "failed",
    "logger",
    "note",
    "succeeded",
]

logger: Final = logging.getLogger("celery.app.trace")
"""Celery's name, so that existing logging configurations go on working."""

LOG_SUCCESS = "Task %(name)s[%(id)s] succeeded in %(seconds)s s: %(return_value)s"
LOG_FAILURE = "Task %(name)s[%(id)s] raised unexpected: %(exc)s"
LOG_EXPECTED = "Task %(name)s[%(id)s] raised expected: %(exc)s"
LOG_INTERNAL_ERROR = "Task %(name)s[%(id)s] INTERNAL ERROR: %(exc)s"
LOG_IGNORED = "Task %(name)s[%(id)s] ignored"
LOG_REJECTED = "Task %(name)s[%(id)s] rejected: %(exc)s"
LOG_RETRY = "Task %(name)s[%(id)s] retry: %(exc)s"


_NONE: Final = -1


class _Journal:
    """Whose journal this is. Set once, before the first run."""

    process: int | None = None


def belongs_to(process: int) -> None:
    """Have lines written by this process only: what a task forks and lets come back is not the run."""
    _Journal.process = process


def close() -> None:
    """Write no more lines: what a worker's stop cuts off has neither succeeded nor failed."""
    _Journal.process = _NONE


def _is_foreign() -> bool:
    return _Journal.process is not None and os.getpid() != _Journal.process


def succeeded(task: Any, request: Any, value: Any, seconds: float) -> None:
    """Say that a task has returned."""
    if _is_foreign():
        return
    data = {
        "id": request.id,
        "name": request.shadow or task.name,
        "return_value": saferepr(value, task.resultrepr_maxsize),
        "runtime": seconds,
        "seconds": f"{seconds:.6f}" if seconds < 1 else f"{seconds:.6g}",
        "args": request.args,
        "kwargs": request.kwargs,
    }
    logger.info(LOG_SUCCESS, data, extra={"data": data})


def failed(task: Any, request: Any, einfo: ExceptionInfo) -> None:
    """Say that a task has raised: what it expects to (`throws`) in a line, anything else with its traceback.

    There is none where the task's code was not reached, or has returned what cannot be stored.
    """
    expected = not einfo.internal and isinstance(einfo.exception, tuple(task.throws or ()))
    level = logging.INFO if expected else logging.CRITICAL if einfo.internal else logging.ERROR
    if not logger.isEnabledFor(level) or _is_foreign():
        return
    text = LOG_EXPECTED if expected else LOG_INTERNAL_ERROR if einfo.internal else LOG_FAILURE
    data = _described(task, request, saferepr(einfo.exception))
    data.update(args=request.args, kwargs=request.kwargs, traceback=einfo.traceback, internal=einfo.internal)
    logger.log(
        level, text, data, exc_info=None if expected or not einfo.shows_code else einfo.exc_info, extra={"data": data}
    )


def note(level: int, text: str, task: Any, request: Any, about: Any = "") -> None:
    """Say in one line how a run ended."""
    if logger.isEnabledFor(level) and not _is_foreign():
        data = _described(task, request, str(about))
        logger.log(level, text, data, extra={"data": data})


def _described(task: Any, request: Any, exc: str) -> dict[str, Any]:
    return {"id": request.id, "name": request.shadow or task.name, "exc": exc}
