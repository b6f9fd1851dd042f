"""Sending random canvases, and holding what comes of them against the oracle."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from fastq import FastQ, canvas
from tests.canvas.oracle import judge
from tests.canvas.trees import Tree, build, declare, grow

__all__ = ["Sent", "client", "errors_of", "send"]


class Sent(NamedTuple):
    """A canvas on its way."""

    seed: int
    tree: Tree
    result: Any


def client(url: str, results: str | None = None) -> FastQ:
    """Return an app with the tasks of random canvases, on that broker; `results` is a store elsewhere."""
    app = FastQ("canvas-client", broker=url, backend=results or url, set_as_current=False)
    app.canvas_tasks = declare(app, canvas)  # type: ignore[attr-defined]
    return app


def send(app: Any, seeds: Iterable[int], **options: Any) -> list[Sent]:
    """Send the canvas of each seed; the options are those of `grow`."""
    trees = [(seed, grow(seed, **options)) for seed in seeds]
    return [Sent(seed, tree, build(tree, app.canvas_tasks, canvas).apply_async()) for seed, tree in trees]


def errors_of(sent: Iterable[Sent], limit: float) -> list[str]:
    """Return what is wrong with the ends of canvases, waiting for them: a line each.

    Args:
        sent: the canvases.
        limit: seconds for all of them.
    """
    deadline = time.monotonic() + limit
    return [error for one in sent if (error := _error(one, max(0.01, deadline - time.monotonic())))]


def _error(one: Sent, limit: float) -> str:
    verdict = judge(one.tree)
    try:
        value: Any = one.result.get(timeout=limit)
    except Exception as error:
        kind = type(error).__name__
        if kind in verdict.kinds:
            return ""
        value = f"{kind}: {error}"
    else:
        if not verdict.kinds and value == verdict.value:
            return ""
    wanted = sorted(verdict.kinds) or verdict.value
    return f"seed {one.seed}: {value!r} instead of {wanted!r}, of {one.tree}"
