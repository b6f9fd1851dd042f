"""Tasks that will never run, because one before them in a chain has ended otherwise than by returning.

Whoever waits for one of them is to be told, and a chord of which one is a member must not wait for it: each gets the
state of the task that has ended, and a part of its chord.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastq.app.context import Context
from fastq.execute.callbacks import signatures

if TYPE_CHECKING:
    from fastq._seam import Part
    from fastq.app.protocol import App

__all__ = ["never_run", "parts_of"]


def never_run(steps: Any) -> Iterator[Context]:
    """Yield the requests of the tasks in some steps: of every task in them that has an id."""
    for step in signatures(steps):
        for signature in _tasks(step):
            options = dict(signature.get("options") or {})
            task_id = options.get("task_id")
            if isinstance(task_id, str) and task_id:
                request = Context(options, id=task_id, task=signature.get("task"), group=options.get("group_id"))
                request.update(args=signature.get("args"), kwargs=signature.get("kwargs"))
                yield request


def _tasks(signature: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    kind = signature.get("subtask_type")
    inner = signature.get("kwargs") or {}
    if kind in ("chain", "group"):
        for task in signatures(inner.get("tasks")):
            yield from _tasks(task)
    elif kind == "chord":
        for part in ("header", "body"):
            for task in signatures(inner.get(part)):
                yield from _tasks(task)
    else:
        yield signature
    for step in signatures((signature.get("options") or {}).get("chain")):
        yield from _tasks(step)


def parts_of(app: App, request: Context, steps: Any, state: str, result: Any) -> tuple[Part, ...]:
    """Return the parts of a run, and of the steps behind it that will never run, in the chords they are members of.

    Args:
        app: whose backend counts.
        request: of the run.
        steps: what was to follow it.
        state: in which the run ended.
        result: its exception; for the parts of all.
    """
    backend = app.backend
    if not backend.capability.counts:
        return ()
    found = (request, *never_run(steps))
    return tuple(backend.part(one, state, result) for one in found if one.chord and one.group)
