"""Random canvases, sent by a client of either library. Runs in the client's process: neither library is imported."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.canvas.trees import Tree, build
from tests.compat.live.told import Raised

__all__ = ["ends_of"]


def ends_of(works: Any, trees: Sequence[Tree], within: float) -> list[tuple[str, Any]]:
    """Send a canvas for each tree and return how each ends: `value` and that, or `error` and its class.

    Args:
        works: tasks on an app.
        trees: the trees.
        within: seconds for all of them.
    """
    works.app.set_current()  # Celery takes a canvas that begins with nothing for one of the current app
    sent = [build(tree, works.canvases, works.canvas).apply_async() for tree in trees]
    deadline = time.monotonic() + within
    return [_end(works, result, max(0.1, deadline - time.monotonic())) for result in sent]


def _end(works: Any, result: Any, within: float) -> tuple[str, Any]:
    try:
        return "value", result.get(timeout=within)
    except Exception as error:
        if works.forgives(Raised.of(error)):
            return _end(works, result, 1.0)
        return "error", type(error).__name__
