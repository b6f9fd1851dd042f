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
    from collections.abc import Mapping

    from fastq.backends.document import Documents

__all__ = ["REFERENCE", "ChordRecord", "Member", "member", "new_chord", "part", "read_record", "reference"]

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


def reference(group_id: str, body: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """Return the signature that stands for a stored body in the messages of the chord's members.

    Args:
        group_id: of the chord.
        body: the signature of the body, with an id.
        queue: the internal queue, so that a Celery worker that completes the chord sends it to workers of fastq.
    """
    options: dict[str, Any] = {"task_id": (body.get("options") or {}).get("task_id"), "group_id": group_id}
    options["queue"] = queue
    return {
        "task": REFERENCE,
        "args": [],
        "kwargs": {},
        "options": options,
        "subtask_type": None,
        "immutable": False,
    }


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
    callback = b"" if not chord or chord.get("task") == REFERENCE else json.dumps(chord)
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
