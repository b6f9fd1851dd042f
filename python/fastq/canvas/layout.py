"""The steps of a chain, laid out so that each can follow the one before it (inventory §5.2).

Nested chains become steps of their own, groups of one the task in them, empty groups nothing; a group that something
follows becomes a chord with that as its body.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Any

from fastq.canvas.signature import Signature, maybe_signature

__all__ = ["fold", "is_empty", "lay_out", "leaves", "sole"]


def is_empty(signature: Any) -> bool:
    """Tell whether it is a group or chain with nothing in it."""
    return signature.subtask_type in ("group", "chain") and not signature.tasks


def sole(signature: Any) -> Any:
    """Return the member of a group that has just one; anything else as it is."""
    if signature.subtask_type != "group":
        return signature
    members = iter(signature.tasks)
    first = next(members, None)
    alone = first is not None and next(members, None) is None
    return sole(maybe_signature(first, signature._app)) if alone else signature  # noqa: SLF001


def fold(steps: list[Any], more: Iterable[Any]) -> Any:
    """Return the list of steps with more of them joined on; or what is no chain: a group, and what `|` makes of it.

    Args:
        steps: the steps so far, which are changed.
        more: what follows; of each a copy.
    """
    rest = iter(more)
    for given in rest:
        other = sole(maybe_signature(given))
        if is_empty(other):
            continue
        if other.subtask_type == "chain":
            joined = fold(steps, other.unchain_tasks())
            if joined is not steps:
                return reduce(or_, rest, joined)
            continue
        other = other.clone()
        last: Any = steps[-1] if steps else None
        if other.subtask_type == "group" and last is None:
            return reduce(or_, rest, other)
        kind = None if last is None else last.subtask_type
        if kind == "chord" and other.subtask_type != "chord":
            last.body = last.body | other
        elif kind == "group" and other.subtask_type != "group":
            steps[-1] = last | other
        else:
            steps.append(other)
    return steps


def lay_out(tasks: Sequence[Any], app: Any, unroll: bool = True) -> list[Any]:
    """Return the steps of a chain as they will be sent, the first one first.

    Args:
        tasks: as they were given, nested as they may be.
        app: of signatures that are still dictionaries.
        unroll: whether a chord whose body is a chain becomes a chord with the first task of it, and steps.
    """
    flat = list(_flattened(tasks, app, unroll))
    steps: list[Any] = []
    for step in reversed(flat):
        following = steps[-1] if steps else None
        if following is not None and step.subtask_type == "group":
            steps[-1] = step | following
        elif following is not None and _ends_in_group(step):
            steps[-1] = step.clone()
            steps[-1].body = steps[-1].body | following
        else:
            steps.append(step)
    steps.reverse()
    return steps


def _flattened(tasks: Iterable[Any], app: Any, unroll: bool) -> Iterable[Any]:
    empty = None
    found = False
    for given in tasks:
        task = maybe_signature(given, app)
        if task.task == "celery.chunks" and hasattr(task, "group"):
            task = task.group()
        task = sole(task)
        if is_empty(task):
            empty = task if task.subtask_type == "group" else empty
            continue
        found = True
        if task.subtask_type == "chain":
            yield from _flattened(task.unchain_tasks(), app, unroll)
        elif unroll and task.subtask_type == "chord" and _is_led_by_task(task.body):
            yield from _flattened(task.unroll_body(), app, unroll)
        else:
            yield task
    if empty is not None and not found:
        yield empty


def _is_led_by_task(body: Any) -> bool:
    """Tell whether a chord's body is a chain that begins with a task, so that the rest of it are steps of their own."""
    if body is None or body.subtask_type != "chain" or not body.tasks:
        return False
    first: Signature[Any] = maybe_signature(body.tasks[0])
    return first.subtask_type != "group"


def _ends_in_group(step: Any) -> bool:
    """Tell whether a chord ends with many tasks, so that what follows waits for them all."""
    if step.subtask_type == "group":
        return True
    if step.subtask_type == "chain" and step.tasks:
        return _ends_in_group(maybe_signature(step.tasks[-1]))
    return step.subtask_type == "chord" and step.body is not None and _ends_in_group(step.body)


def leaves(signature: Any) -> int:
    """Return how many tasks of a signature count towards the chord it is a member of.

    A task is one; of a group all count, of a chain its last step that is not empty, of a chord its body.
    """
    signature = maybe_signature(signature)
    kind = signature.subtask_type
    if signature.task == "celery.chunks" and hasattr(signature, "group"):
        signature, kind = signature.group(), "group"
    if kind == "group":
        return sum(leaves(task) for task in signature.tasks)
    if kind == "chain":
        return next((count for count in map(leaves, reversed(signature.tasks)) if count), 0)
    if kind == "chord":
        return leaves(signature.body) if signature.body is not None else 0
    return 1
