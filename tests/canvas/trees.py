"""Random canvases: described as data, so that they can be built with any library, sent, and judged.

A tree is a list whose first item is its kind::

    ["mix", n]  ["still", n]  ["fail", n]  ["flaky", n]        tasks; `still` takes no result of the one before it
    ["become", n, tree]                                        a task that a canvas takes the place of
    ["map", n, items]  ["starmap", n, rows]  ["chunks", n, rows, size]
    ["chain", trees]  ["pipe", trees]                          chain(a, b) and a | b
    ["group", trees]  ["chord", trees, tree]

`n` is a number of its own for each task.
"""

from __future__ import annotations

import functools
import hashlib
import json
import operator
import random
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

__all__ = ["TASKS", "Tree", "build", "declare", "digest", "grow", "members", "sole"]

Tree = list[Any]

TASKS = ("mix", "fail", "flaky", "become")


def digest(*values: Any) -> str:
    """Return a short text that is another one for other values, or the same in another order."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:12]


def grow(seed: int, depth: int = 5, *, failing: bool = True, kinds: tuple[str, ...] = ()) -> Tree:
    """Return the random tree of a seed.

    Args:
        seed: the same one makes the same tree.
        depth: of nesting.
        failing: whether tasks may fail.
        kinds: those that may occur; all by default.
    """
    dice, numbers = random.Random(seed), count(1)
    leaves = {"mix": 8, "still": 2, "fail": 1 if failing else 0, "flaky": 1, "become": 1, "map": 1, "starmap": 1,
              "chunks": 1}  # fmt: skip
    inner = {"chain": 4, "pipe": 3, "group": 3, "chord": 3}
    return _Grower(dice, numbers, _chosen(leaves, kinds), _chosen(inner, kinds)).tree(depth, top=True)


def _chosen(weights: dict[str, int], kinds: tuple[str, ...]) -> dict[str, int]:
    return {kind: weight for kind, weight in weights.items() if weight and (not kinds or kind in kinds)}


class _Grower:
    def __init__(
        self, dice: random.Random, numbers: Iterator[int], leaves: Mapping[str, int], inner: Mapping[str, int]
    ) -> None:
        self.dice, self.numbers, self.leaves, self.inner = dice, numbers, leaves, inner

    def tree(self, depth: int, *, top: bool = False) -> Tree:
        if depth <= 1 or (not top and self.dice.random() < 0.4):
            return self.leaf(depth)
        kind = self.pick(self.inner)
        if kind == "chord":
            body = self.tree(depth - 1)
            return [kind, self.trees(depth - 1, 0), body if members(body) else self.leaf(depth)]
        parts = self.trees(depth - 1, 0 if kind == "group" else 1)
        if kind == "group":
            return [kind, parts]
        # `group(a, b) | group(c)` ends in a list of one, chain(x, group(c)) in the value of c: which of both a nested
        # chain is depends on how it is written, so a group of one comes first or not at all.
        parts = [parts[0], *map(sole, parts[1:])]
        filled = [part for part in parts if members(part)]
        if top and not filled:
            return ["group", []]  # a chain of nothing is not sent, and has no result
        if kind == "chain" and len(parts) > 1 and len(filled) == 1:
            return filled[0]  # of chain(group(a, b), group()) a group is left, which is one with a group around it
        if len(parts) == 1 and parts[0][0] == "group" and len(members(parts[0])) == 1:
            return parts[0]  # nor is a group of one all that there is of a chain
        alone = len(parts) == 1 or (parts[0][0] in ("group", "chunks") and not any(map(members, parts[1:])))
        return parts[0] if kind == "pipe" and alone else [kind, parts]

    def trees(self, depth: int, least: int) -> list[Tree]:
        often = max(least, self.dice.choice((0, 1, 1, 2, 2, 2, 3, 3)))
        return [self.tree(depth) for _ in range(often)]

    def leaf(self, depth: int) -> Tree:
        kind, n = self.pick(self.leaves), next(self.numbers)
        if kind == "become":
            return [kind, n, self.tree(min(depth, 3), top=depth > 1)]
        rows = [[self.dice.randrange(9), self.dice.randrange(9)] for _ in range(self.dice.randrange(1, 5))]
        if kind == "map":
            return [kind, n, [row[0] for row in rows]]
        if kind == "starmap":
            return [kind, n, rows]
        return [kind, n, rows, self.dice.randrange(1, 3)] if kind == "chunks" else [kind, n]

    def pick(self, weights: Mapping[str, int]) -> str:
        return self.dice.choices(list(weights), list(weights.values()))[0]


def members(tree: Tree) -> list[Tree]:
    """Return what a group would have of a tree: the members of groups in their place, and nothing for what is empty."""
    kind, *rest = tree
    if kind == "chunks":
        _, rows, size = rest
        return [["starmap", rest[0], rows[at : at + size]] for at in range(0, len(rows), size)]
    if kind == "group":
        return [member for one in rest[0] for member in members(one)]
    return [tree] if kind not in ("chain", "pipe") or any(map(members, rest[0])) else []


def sole(tree: Tree) -> Tree:
    """Return the member of a group that has just one; anything else as it is."""
    found = members(tree) if tree[0] in ("group", "chunks") else []
    return found[0] if len(found) == 1 else tree


def build(tree: Tree, tasks: Mapping[str, Any], canvas: Any) -> Any:
    """Return the canvas that a tree describes.

    Args:
        tree: the tree.
        tasks: by name.
        canvas: the module or namespace that has `chain`, `group`, `chord`.
    """
    kind, *rest = tree
    if kind in ("chain", "pipe"):
        parts = [build(one, tasks, canvas) for one in rest[0]]
        return functools.reduce(operator.or_, parts) if kind == "pipe" else canvas.chain(*parts)
    if kind == "group":
        return canvas.group([build(one, tasks, canvas) for one in rest[0]])
    if kind == "chord":
        return canvas.chord([build(one, tasks, canvas) for one in rest[0]], build(rest[1], tasks, canvas))
    if kind == "chunks":
        return tasks["row"].chunks(rest[1], rest[2])
    if kind in ("map", "starmap"):
        return getattr(tasks["row"], kind)(rest[1])
    return tasks["mix"].si(rest[0]) if kind == "still" else tasks[kind].s(*rest)


def declare(app: Any, canvas: Any, note: Any = None, *, retry_after: float = 0) -> dict[str, Any]:
    """Declare the tasks of trees on an app of fastq or of Celery, and return them by name.

    Args:
        app: the app.
        canvas: as of `build`.
        note: called with the number of each task that runs.
        retry_after: seconds after which `flaky` is tried again.
    """
    told = note or (lambda _: None)
    task = functools.partial(app.task, shared=False, acks_late=True)

    def mix(*values: Any) -> str:
        told(values[-1])
        return digest(*values)

    def fail(*values: Any) -> None:
        told(values[-1])
        raise ValueError(values[-1])

    def flaky(self: Any, *values: Any) -> str:
        if self.request.retries == 0:
            raise self.retry(countdown=retry_after)
        return mix(*values)

    def become(self: Any, *values: Any) -> Any:
        told(values[-2])
        return self.replace(build(values[-1], tasks, canvas))

    tasks = {
        "row": task(name="canvas.row")(digest),
        "mix": task(name="canvas.mix")(mix),
        "fail": task(name="canvas.fail")(fail),
        "flaky": task(name="canvas.flaky", bind=True)(flaky),
        "become": task(name="canvas.become", bind=True)(become),
    }
    return tasks
