"""The end of a chord: its body is called with the results of its members, or fails in their place.

`release` is the run of `fastq.chord_release`, whose message the core sends in the Commit of the last member. What it
wants done travels in its Outcome: the body's messages, or the failures of the body and of all that was to follow it;
and the chord's end, which guards them. Whoever releases a chord that has ended changes nothing (docs/design/chords.md).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq.backends.chords import REFERENCE, group_of
from fastq.canvas import maybe_signature
from fastq.canvas.sending import collect
from fastq.exceptions import ChordError, Ignore
from fastq.execute import callbacks, journal
from fastq.execute.never import never_run
from fastq.states import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq._seam import Part, Record
    from fastq.app.protocol import App
    from fastq.backends.chords import ChordRecord, Member

__all__ = ["Released", "call_body", "fail_body", "join", "release", "stand_in"]

OVERDUE: Final = "overdue"
"""Why a sweeper has sent the message: the chord does not get on."""

AGAIN_AFTER: Final = 1.0
"""Seconds between two looks for members: a Celery worker on Redis takes a message first, and then notes that it has."""


class Released(NamedTuple):
    """What a run wants done with a chord, beside its messages: it goes into its Outcome."""

    records: tuple[Record, ...] = ()
    parts: tuple[Part, ...] = ()
    ended: str = ""


def release(task: Any, group_id: str, callback: Mapping[str, Any] | None = None, why: str = "") -> None:
    """Call the body of a chord, or fail it.

    Args:
        task: the built-in task, whose request says which member ended last.
        group_id: of the chord.
        callback: the signature of the body, where the members' messages had it.
        why: "overdue" when a sweeper found that the chord does not get on.
    """
    backend = task.app.backend
    record = backend.chord_record(group_id)
    if record is None or record.state == "ended":
        return
    body = record.body or (None if callback and callback.get("task") == REFERENCE else callback)
    if body is None:
        journal.logger.error("Chord %s is complete, but nobody has said what its body is.", group_id)
        return
    outcome: list[Any] | ChordError | None = None
    if record.size is not None and record.ended >= record.size:
        outcome = _outcome(task, record)
    elif why == OVERDUE:
        outcome = _overdue(task.app, record, body)
    if outcome is None:
        return
    if not isinstance(outcome, ChordError):
        try:
            call_body(task, body, outcome)
        except Exception as error:  # noqa: BLE001 - signatures and serializers are the users'
            journal.logger.exception("The body of chord %s cannot be called.", group_id)
            outcome = ChordError(f"Callback error: {error!r}")
            task.request.update(outgoing=[], chords=[])
    released = Released(ended=group_id)
    if isinstance(outcome, ChordError):
        journal.logger.warning("Chord %s failed: %s", group_id, outcome)
        # Whoever had the whole body at hand, and has failed it without us, has called its errbacks.
        has_told = record.size is None and record.body is None
        records, parts = fail_body(task, body, outcome, has_told=has_told)
        released = Released(records, parts, group_id)
    _take_along(task.request, released)


def _take_along(request: Any, released: Released) -> None:
    request.released = released
    request.outgoing  # noqa: B018 - has the tracer look at what the run leaves


def _outcome(task: Any, record: ChordRecord) -> list[Any] | ChordError | None:
    """Return the results of a chord's members, or the error of the first that has none; None: somebody has them."""
    backend = task.app.backend
    try:
        members = backend.chord_members(record.group_id)
        if record.size and not members:
            return None  # a Celery worker, which claims nothing, has called the body since and taken them away
        for member in members:
            if member.state != SUCCESS:
                return failed_by(member.task_id, member.result)
        result = record.result
        if result is None and record.body is None:
            saved = backend.restore_group(record.group_id)  # of a client of Celery's, whose header has groups inside
            result = None if saved is None else saved.as_tuple()
    except Exception as error:  # noqa: BLE001 - so are results
        journal.logger.exception("The results of chord %s cannot be read.", record.group_id)
        return ChordError(f"Join error: {error!r}")
    return join(task.app, members, result)


def failed_by(task_id: str, result: Any) -> ChordError:
    """Return the error of a chord one of whose members did not return."""
    error = ChordError(f"Dependency {task_id} raised {result!r}")
    if isinstance(result, BaseException):
        error.__cause__ = result
    return error


def join(app: App, members: Sequence[Member], result: Any) -> list[Any]:
    """Return the results of members, in the shape of the header's result tuple; a list where there is none."""
    if result is None:
        return [member.result for member in members]
    known = {member.task_id: member.result for member in members}

    def shaped(node: Any) -> Any:
        (task_id, _), nodes = node
        if nodes is not None:
            return [shaped(inner) for inner in nodes]
        return known[task_id] if task_id in known else app.backend.get_result(task_id)

    shape: list[Any] = shaped(result)
    return shape


def _overdue(app: App, record: ChordRecord, body: Mapping[str, Any]) -> ChordError | None:
    """Return why a chord that does not get on has failed; None: it has not."""
    backend = app.backend
    if record.size is None:
        # A Celery worker has counted the last member and stored the failure: what else must follow it does not know.
        meta = backend.get_task_meta((body.get("options") or {}).get("task_id") or "", cache=False)
        return failure if isinstance(failure := meta.get("result"), ChordError) else None
    if app.producer.holds(record.group_id):
        return None
    threading.Event().wait(AGAIN_AFTER)
    if app.producer.holds(record.group_id):
        return None
    # What ended between the two has left nothing behind that the broker holds, and has been counted by then.
    now = backend.chord_record(record.group_id)
    if now is None or (now.state, now.size, now.ended) != (record.state, record.size, record.ended):
        return None
    missing = record.size - record.ended
    return ChordError(
        f"{missing} of {record.size} members of the chord have vanished: they have not ended, and neither wait nor run."
    )


def call_body(task: Any, body: Mapping[str, Any], results: Sequence[Any]) -> None:
    """Compose the messages that call a chord's body with the results, to leave with the run.

    Raises:
        EncodeError: the results cannot be written.
    """
    request, signature = task.request, maybe_signature(dict(body), task.app)
    family = {"root_id": request.root_id, "parent_id": request.parent_id}
    own = signature.options
    options = {key: value for key, value in family.items() if value and not own.get(key)}
    collect(signature.steps((list(results),), {}, options), request.outgoing, request.chords, lambda _: None)


def fail_body(
    task: Any, body: Mapping[str, Any], error: BaseException, *, has_told: bool = False
) -> tuple[tuple[Record, ...], tuple[Part, ...]]:
    """Compose what must follow when the body of a chord cannot be called: its errbacks are called.

    Args:
        task: whose run it is.
        body: the signature of the body.
        error: why.
        has_told: whether a Celery worker has called the errbacks that are the body's own, or of a group's members.

    Returns:
        The failures of the body and of all that was to follow it, and their parts of other chords.
    """
    app, backend = task.app, task.app.backend
    # Whoever waits for one of a group of tasks is told what has really happened, as in Celery.
    shown = error.__cause__ or error if body.get("subtask_type") == "group" else error
    never = list(never_run(body))
    records = [backend.record(one.id or "", FAILURE, shown, None, one) for one in never]
    group_id = (body.get("options") or {}).get("task_id")
    if group_id and all(one.id != group_id for one in never):
        records.append(backend.record(group_id, FAILURE, shown))
    parts = [
        backend.part(one, FAILURE, error) for one in never if backend.capability.counts and one.chord and one.group
    ]
    composing = callbacks.Composing(app, task)
    is_told = has_told and ((body.get("options") or {}).get("link_error") or body.get("subtask_type") == "group")
    for signature, errbacks in () if is_told else _errbacks(body):
        for request in list(never_run(signature))[:1]:
            callbacks.announce_failure(app, {"errbacks": errbacks}, request, shown, "", composing)
    task.request.outgoing.extend(composing.messages)
    task.request.chords.extend(composing.chords)
    return tuple(records), tuple(parts)


def _errbacks(body: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[Any]]]:
    """Return whose errbacks are called when a body fails, and which: of a group those of each task."""
    own = callbacks.signatures((body.get("options") or {}).get("link_error"))
    inner, kind = body.get("kwargs") or {}, body.get("subtask_type")
    if kind == "group":
        found = []
        for member in callbacks.signatures(inner.get("tasks")):
            for signature, errbacks in _errbacks(member):
                found.append((signature, [*errbacks, *(errback for errback in own if errback not in errbacks)]))
        return found
    if kind == "chain" and not own:
        return _errbacks(callbacks.signatures(inner.get("tasks"))[0])
    if kind == "chord" and not own:
        return _errbacks(inner.get("body") or {})
    return [(body, own)]


def stand_in(task: Any, results: Sequence[Any]) -> None:
    """Run the body of a chord that a Celery worker has completed: it knew no more than its reference.

    Raises:
        Ignore: always, for another run takes the place of this one, or has.
        ChordError: nothing is known of the chord any more.
    """
    request = task.request
    group_id = request.group or group_of(request.id)
    record = task.app.backend.chord_record(group_id) if group_id else None
    if record is not None and record.state == "ended" and record.body is None:
        # Only who calls the body, or fails it, takes it away: a Celery worker that ends a chord leaves it where it is.
        request.replaced = True
        raise Ignore("The body of its chord has been called.")
    if record is None or record.body is None:
        raise ChordError(f"Nothing is known of the chord of {request.id} any more, so that it cannot be called.")
    call_body(task, record.body, results)
    request.replaced = True
    raise Ignore("Replaced by the body of its chord")
