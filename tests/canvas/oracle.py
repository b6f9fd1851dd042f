"""What a canvas is worth: its value, or the errors it may end with, worked out from its tree alone."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.canvas.trees import Tree, digest, members, sole

__all__ = ["Failed", "Verdict", "judge"]


class Many(list):  # type: ignore[type-arg]
    """The values of a group's members: the value of several tasks, and not of one that returns a list."""


class Failed(NamedTuple):
    """A task that has not returned; `kinds` are the names of exceptions it may have."""

    kinds: frozenset[str]


WRONG = Failed(frozenset({"ValueError"}))
NO_CHORD = Failed(frozenset({"ChordError"}))


class Verdict(NamedTuple):
    """How a canvas ends."""

    value: Any
    """None when it fails."""
    kinds: frozenset[str]
    """Names of exceptions, one of which it ends with; empty when it returns."""


def judge(tree: Tree) -> Verdict:
    """Return how the canvas ends."""
    value = _run(tree, ())
    if _sole_step(tree)[0] == "group" and len(value) == 1 and isinstance(value[0], Many):
        value = value[0]  # of a group with nothing but a group in it the inner one
    kinds = _failures(value)
    return Verdict(None if kinds else value, kinds)


def _run(tree: Tree, given: tuple[Any, ...]) -> Any:
    """Return the value of a tree that is called with these arguments: of a group the list of its members'."""
    kind, *rest = tree
    if kind in ("chain", "pipe"):
        return _in_turn(tree, given)
    if kind == "group":
        return Many(value for one in rest[0] for value in _members(one, given))
    if kind == "chord":
        return _then(rest[1], Many(value for one in rest[0] for value in _members(one, given)))
    if kind == "chunks":
        rows, size = rest[1:]
        return Many([digest(*row) for row in rows[at : at + size]] for at in range(0, len(rows), size))
    if kind == "map":
        return [digest(item) for item in rest[1]]
    if kind == "starmap":
        return [digest(*row) for row in rest[1]]
    if kind == "become":
        return _one(rest[1])
    if kind == "fail":
        return WRONG
    return digest(rest[0]) if kind == "still" else digest(*given, rest[0])


def _in_turn(tree: Tree, given: tuple[Any, ...]) -> Any:
    """Return the value of the last of several steps; a step that makes nothing of its own is passed over."""
    steps = _steps(tree)
    if not steps:
        return Many()
    value: Any = None
    for number, step in enumerate(steps):
        value = _run(step, given) if number == 0 else _then(step, value)
    return value


def _steps(tree: Tree) -> list[Tree]:
    """Return the steps of a chain, those of chains in it in their place; of a group of one its member."""
    steps: list[Tree] = []
    first, *others = tree[1]
    while tree[0] == "pipe" and first[0] in ("chain", "pipe") and first[1] == [["group", []]]:
        following = next(filter(members, others), None)
        if following and sole(following)[0] == "group":
            break  # both are steps of a chain then
        first = first[1][0]  # a chain of nothing but an empty group is that group
    if tree[0] == "pipe" and _is_many(first) and any(map(members, others)):
        steps, first = [first], None  # `group(a) | b` calls b with a list, where chain(group(a), b) does not
    for part in filter(None, (first, *others)):
        one = sole(part)
        if one[0] in ("chain", "pipe"):
            steps += _steps(one)
        elif members(one):
            steps.append(one)
    return steps


def _then(step: Tree, value: Any) -> Any:
    """Return the value of what is called with another one; a group among it must have ended well."""
    failures = _failures(value)
    if failures:
        # The members of a group that is a body are told what the member of the header has raised.
        told = failures if _is_many(step) else frozenset()
        return Failed(NO_CHORD.kinds | told) if isinstance(value, Many) else value
    return _run(step, (value,))


def _members(tree: Tree, given: tuple[Any, ...]) -> list[Any]:
    """Return the values that a member of a group adds to it."""
    if not members(tree):
        return []
    if tree[0] == "group" or tree[0] == "chunks":
        value: list[Any] = _run(tree, given)
        return value
    return [_run(tree, given)]


def _one(tree: Tree) -> Any:
    """Return the value of a task that a canvas has taken the place of: that of a group is one value, too."""
    value = _run(tree, ())
    if isinstance(value, Many):
        return NO_CHORD if _failures(value) else list(value)
    return value


def _sole_step(tree: Tree) -> Tree:
    """Return what is sent of a chain that has one step; anything else as it is."""
    steps = _steps(tree) if tree[0] in ("chain", "pipe") else [tree]
    return steps[0] if len(steps) == 1 else ["chain", steps]


def _is_many(tree: Tree) -> bool:
    return tree[0] in ("group", "chunks")


def _failures(value: Any) -> frozenset[str]:
    if isinstance(value, Failed):
        return value.kinds
    return frozenset().union(*map(_failures, value)) if isinstance(value, list) else frozenset()
