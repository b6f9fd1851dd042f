"""The steps of a chain, laid out so that each can follow the one before it (inventory §5.2).

Nested chains become steps of their own, groups of one the task in them, empty groups nothing; a group that something
follows becomes a chord with that as its body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, Final

from fastq.canvas.signature import Signature, maybe_signature

__all__ = ["ends_in_group", "flattened", "fold", "is_empty", "lay_out", "leaves", "sole"]


_NOTHING: Final = {"task": "celery.group", "args": (), "kwargs": {"tasks": []}, "options": {}, "subtask_type": "group"}


def is_empty(signature: Any) -> bool:
    """Tell whether it is a group or chain in which there is no task."""
    kind, app = signature.subtask_type, signature._app  # noqa: SLF001 - one of us
    return kind in ("group", "chain") and all(is_empty(maybe_signature(task, app)) for task in signature.tasks)


def flattened(tasks: Iterable[Any], app: Any) -> Iterator[Any]:
    """Yield members of a group, those of groups in it in their place; nothing for what is empty."""
    for given in tasks:
        task = maybe_signature(given, app)
        if hasattr(task, "group"):  # chunks
            task = task.group()
        if task.subtask_type == "group":
            yield from flattened(task.tasks, app)
        elif not is_empty(task):
            yield task


def sole(signature: Any) -> Any:
    """Return the member of a group that has just one; anything else as it is, but the group that chunks stand for."""
    if hasattr(signature, "group"):
        signature = signature.group()
    if signature.subtask_type != "group":
        return signature
    found = list(islice(flattened(signature.tasks, signature._app), 2))  # noqa: SLF001 - one of us
    return found[0] if len(found) == 1 else signature


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
    if not flat and tasks:
        return [Signature.from_dict(_NOTHING, app=app)]
    steps: list[Any] = []
    for step in reversed(flat):
        following = steps[-1] if steps else None
        if following is not None and step.subtask_type == "group":
            steps[-1] = step | following
        elif following is not None and ends_in_group(step):
            steps[-1] = step.clone()
            steps[-1].body = steps[-1].body | following
        else:
            steps.append(step)
    steps.reverse()
    return steps


def _flattened(tasks: Iterable[Any], app: Any, unroll: bool) -> Iterator[Any]:
    for given in tasks:
        task = maybe_signature(given, app)
        task = sole(task)
        if is_empty(task):
            continue
        if task.subtask_type == "chain":
            yield from _flattened(task.unchain_tasks(), app, unroll)
        elif unroll and task.subtask_type == "chord" and _is_led_by_task(task.body):
            yield from _flattened(task.unroll_body(), app, unroll)
        else:
            yield task


def _is_led_by_task(body: Any) -> bool:
    """Tell whether a chord's body is a chain that begins with a task, so that the rest of it are steps of their own."""
    if body is None or body.subtask_type != "chain" or not body.tasks:
        return False
    first: Signature[Any] = sole(maybe_signature(body.tasks[0]))
    return first.subtask_type != "group"


def ends_in_group(step: Any) -> bool:
    """Tell whether a step of a chain ends with many tasks, so that what follows waits for them all."""
    return _is_many(sole(step))


def _is_many(signature: Any) -> bool:
    kind = signature.subtask_type
    if kind == "chain" and signature.tasks:
        return ends_in_group(maybe_signature(signature.tasks[-1]))
    # The body of a chord is what it is: the value of a group of one is a list of one there.
    return kind == "group" or (kind == "chord" and signature.body is not None and _is_many(signature.body))


def leaves(signature: Any) -> int:
    """Return how many tasks of a signature count towards the chord it is a member of.

    A task is one; of a group all count, of a chain its last step that is not empty, of a chord its body.
    """
    signature = maybe_signature(signature)
    kind = signature.subtask_type
    if hasattr(signature, "group"):  # chunks
        signature, kind = signature.group(), "group"
    if kind == "group":
        return sum(leaves(task) for task in signature.tasks)
    if kind == "chain":
        return next((count for count in map(leaves, reversed(signature.tasks)) if count), 0)
    if kind == "chord":
        return leaves(signature.body) if signature.body is not None else 0
    return 1
