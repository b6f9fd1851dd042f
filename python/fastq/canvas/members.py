"""The members of a group or of a chord's header, one by one: each with its place and what will be its result.

What a generator makes is asked for member by member, so the whole is never in memory at once beside the results. Plain
tasks, of which there may be very many, are neither copied nor frozen: their place goes into the options of their call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq.app.send import new_id
from fastq.canvas.layout import flattened, leaves, sole
from fastq.canvas.signature import KEPT_WHEN_FROZEN, Signature
from fastq.canvas.steps import Call, ChordStart

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.canvas.steps import Steps

__all__ = ["Header", "Member", "Place", "emit", "members"]

_NOT_OF_MEMBERS: Final = frozenset({"chain", "chord", "task_id", "group_id", "group_index", "link", "link_error"})
"""Options of a group that are not those of its members."""


class Place(NamedTuple):
    """Where members belong."""

    app: App
    group_id: str
    chord: Any
    """The signature that stands for the chord's body in their messages; None: they are of no chord."""
    root_id: str | None
    first: int
    """Place of the first one."""


class Header(NamedTuple):
    """A chord whose header the members are."""

    group_id: str
    body: dict[str, Any]
    results: Any
    """Makes a GroupResult of the members' results."""


class Member(NamedTuple):
    """One member."""

    signature: Signature[Any]
    options: dict[str, Any] | None
    """Of a plain task: its place; None where the signature is frozen."""
    result: Any
    size: int
    """How many tasks it counts for in a chord."""


def members(tasks: Iterable[Any], place: Place) -> Iterator[Member]:
    """Yield the members with their places."""
    app, group_id, chord, root_id, index = place
    for task in flattened(tasks, app):
        if task.subtask_type is None:
            own = task.options
            options: dict[str, Any] = {"task_id": own.get("task_id") or new_id(), "group_index": index}
            if own.get("group_id") is None:
                options["group_id"] = group_id
            if root_id is not None:
                options["root_id"] = root_id
            if chord is not None:
                options["chord"] = chord
            found = task.find_type()
            result = found.AsyncResult(options["task_id"]) if found else app.AsyncResult(options["task_id"])
            yield Member(task, options, result, 1)
            index += 1
            continue
        copy = sole(task).clone()
        size = leaves(copy)
        result = copy.freeze(group_id=group_id, chord=chord, root_id=root_id, group_index=index)
        yield Member(copy, None, result, size)
        index += size


def emit(
    found: Iterator[Member],
    args: Any,
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    app: App,
    header: Header | None = None,
) -> Steps:
    """Yield the calls of members; of a chord's its start, too, right before the last call.

    Args:
        found: the members.
        args: stand before those of each.
        kwargs: win over those of each.
        options: of every call; what is the group's alone is left out.
        app: whose members they are.
        header: the chord they belong to.

    Returns:
        The results of the members.
    """
    own = {key: value for key, value in options.items() if key not in _NOT_OF_MEMBERS}
    own["add_to_parent"] = False
    common = object()
    results: list[Any] = []
    size = 0
    member = next(found, None)
    while member is not None:
        following = next(found, None)
        results.append(member.result)
        size += member.size
        if following is None and header is not None:
            yield ChordStart(app, header.group_id, size, header.body, header.results(results))
        if member.options is None:
            yield from member.signature.steps(args, kwargs, own)
        else:
            yield _call(app, member, args, kwargs, own, common)
        member = following
    return results


def _call(
    app: App, member: Member, args: Any, kwargs: Mapping[str, Any], options: dict[str, Any], common: object
) -> Call:
    signature, place = member.signature, member.options or {}
    own = signature.options
    if not own:
        given, keywords = signature.given(args, kwargs)
        return Call(app, signature.find_type(), signature.task, given, keywords, {**options, **place}, common)
    merged = {**own, **options, **place}
    for key in KEPT_WHEN_FROZEN:
        if own.get(key) is not None:
            merged[key] = own[key]
    given, keywords = signature.given(args, kwargs)
    return Call(app, signature.find_type(), signature.task, given, keywords, merged)
