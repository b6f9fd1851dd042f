"""Chords as backends keep them: what is known of one, and how each of its members ended.

A backend whose `Capability.counts` is true counts the members itself, in the transaction that stores their results, and
has the body called when the last one has ended: see docs/design/chords.md. Beside any other a task looks for the end.

A chord record is a JSON object::

    {"body": <signature>, "result": <the header's result tuple, or null where it is flat>}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from fastq._seam import NewChord, Part
from fastq.exceptions import DecodeError
from fastq.serialization import json
from fastq.states import EXCEPTION_STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastq.backends.document import Documents

__all__ = [
    "REFERENCE",
    "ChordRecord",
    "Member",
    "body_id",
    "group_of",
    "member",
    "new_chord",
    "part",
    "read_record",
    "reference",
]

REFERENCE: Final = "fastq.chord_body"
"""The built-in task that stands in members' messages for a body that the store has."""


class Member(NamedTuple):
    """A member of a chord that has ended."""

    task_id: str
    place: int | None
    state: str
    result: Any
    """What it returned, or its exception."""


class ChordRecord(NamedTuple):
    """What is known of a chord."""

    group_id: str
    size: int | None
    """Members that must end; None: nobody has said yet."""
    ended: int
    """Members that have ended."""
    body: dict[str, Any] | None
    """The signature of the body; None: only the members' messages have it."""
    result: Any
    """The result tuple of the header, where it has groups inside; None: it is flat."""
    state: Literal["open", "released", "ended"]
    progress_at: float
    """When it was last seen to get on: seconds since 1970."""


def body_id(group_id: str) -> str | None:
    """Return the id of a chord's body that has none of its own: from it the header's can be told, by `group_of`.

    Ids of fastq's are UUIDs of version 7, which the body's differs from by its version alone: 8, which is whatever
    somebody makes of it (RFC 9562 §5.8). None for an id of another kind.
    """
    return _as_version(group_id, "7", "8")


def group_of(body_id: str) -> str | None:
    """Return the header's id of a chord whose body has this id; None where that cannot be told from it."""
    return _as_version(body_id, "8", "7")


def _as_version(text: str, version: str, other: str) -> str | None:
    at = 14
    if len(text) != 36 or text[at] != version:
        return None
    return text[:at] + other + text[at + 1 :]


def reference(group_id: str, body: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return the signature that stands for a stored body in the messages of the chord's members.

    Every member carries it, so it has only what a Celery worker needs that completes the chord: `args`, which the
    results are put before, the id under which it stores the failure of a chord, and where workers of fastq take from.

    Args:
        group_id: of the chord.
        body: the signature of the body, with an id.
        queue: the internal queue.
    """
    task_id = (body.get("options") or {}).get("task_id") or ""
    options: dict[str, Any] = {"task_id": task_id, "queue": queue}
    if group_of(task_id) != group_id:
        options["group_id"] = group_id
    made: dict[str, Any] = {"task": REFERENCE, "args": [], "options": options}
    # Whoever asks whether members of those chords are still there finds them by these, also in the message by which a
    # Celery worker calls the reference: so they are an argument.
    if within := list(dict.fromkeys(_waiting(body))):
        made["kwargs"] = {"within": within}
    return made


def waiting_for(reference: Mapping[str, Any]) -> list[str]:
    """Return the groups of the chords that wait for the body that a reference stands for."""
    return (reference.get("kwargs") or {}).get("within") or []


def _waiting(part: Any) -> Iterator[str]:
    """Yield the groups of the chords that wait for a signature, or for what follows it."""
    if isinstance(part, list | tuple):
        for one in part:
            yield from _waiting(one)
    elif isinstance(part, dict) and "task" in part:
        options, inner = part.get("options") or {}, part.get("kwargs") or {}
        if options.get("chord") and options.get("group_id"):
            yield options["group_id"]
            yield from waiting_for(options["chord"])
        yield from _waiting(options.get("chain"))
        if part.get("subtask_type"):
            for key in ("tasks", "header", "body"):
                yield from _waiting(inner.get(key))


def new_chord(group_id: str, size: int, body: Mapping[str, Any], result: Any = None) -> NewChord:
    """Return what makes a chord known.

    Raises:
        EncodeError: the signature cannot be written as JSON.
    """
    return NewChord(group_id, size, json.dumps({"body": body, "result": result}))


def read_record(group_id: str, found: Any) -> ChordRecord:
    """Return what the core's store says of a chord."""
    try:
        document = json.loads(found["body"]) if found["body"] else {}
    except ValueError as error:
        raise DecodeError(f"The record of chord {group_id} cannot be read: {error}") from error
    return ChordRecord(
        group_id,
        found["size"],
        found["count"],
        document.get("body"),
        document.get("result"),
        found["state"],
        found["progress_at"],
    )


def part(documents: Documents, request: Any, state: str, result: Any) -> Part:
    """Return the part of a run that was a member of a chord.

    Args:
        documents: of the backend.
        request: of the run: its id, group, place in the group, and chord.
        state: in which it ended; whatever is not SUCCESS fails the chord.
        result: what it returned, or its exception.

    Raises:
        EncodeError: the result cannot be written in the format of `result_serializer`.
    """
    failed = state in EXCEPTION_STATES and isinstance(result, BaseException)
    stored = documents.exception(result) if failed else documents.reduced(result)
    _, body = documents.encode([1, request.id, state, stored])
    chord = request.chord
    # Of a reference the release needs no more than the names of chords that wait for the body.
    needs_none = not chord or (chord.get("task") == REFERENCE and not waiting_for(chord))
    callback = b"" if needs_none else json.dumps(chord)
    return Part(request.group, request.id, request.group_index, state, body, callback)


def member(documents: Documents, found: Part) -> Member:
    """Return what a part says.

    Raises:
        DecodeError: its bytes are not what they say.
        ContentDisallowed: its format is not accepted here (result_accept_content).
    """
    document = documents.decode(found.body, f"the part of task {found.task_id}")
    if not isinstance(document, (list, tuple)) or len(document) != 4:
        raise DecodeError(f"The part of task {found.task_id} in chord {found.group_id} cannot be read.")
    _, task_id, state, result = document
    if state in EXCEPTION_STATES and isinstance(result, dict):
        result = documents.restored(result)
    return Member(str(task_id), found.place, str(state), result)
