"""Results as they are stored in results: tuples (protocol.md §7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq.result.async_result import AsyncResult
from fastq.result.group_result import GroupResult

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["result_from_tuple"]


def result_from_tuple(stored: Any, app: App | None = None) -> Any:
    """Return the result that was stored as a tuple: an AsyncResult, or a GroupResult.

    Args:
        stored: `((id, parent), nodes)`, where `nodes` are the members of a group; or an id; or a result.
        app: the app of its tasks.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(stored, (AsyncResult, GroupResult)):
        return stored
    if isinstance(stored, str):
        return AsyncResult(stored, app=app)
    try:
        own, nodes = stored
        task_id, parent = own if isinstance(own, (list, tuple)) else (own, None)
        above = result_from_tuple(parent, app) if parent else None
        if nodes is None:
            return AsyncResult(task_id, app=app, parent=above)
        return GroupResult(task_id, [result_from_tuple(node, app) for node in nodes], above, app=app)
    except (TypeError, ValueError):
        raise ValueError(f"{stored!r} is no stored result.") from None
