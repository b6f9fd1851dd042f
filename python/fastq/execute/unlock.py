"""Looking for the end of a chord, for result backends that do not count its members: `celery.chord_unlock`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq.exceptions import ChordError
from fastq.execute import journal
from fastq.execute.release import call_body, fail_body, failed_by
from fastq.result import GroupResult, allow_join_result, result_from_tuple
from fastq.states import PROPAGATE_STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["unlock"]


def unlock(
    task: Any,
    group_id: str,
    callback: Mapping[str, Any],
    interval: float | None = None,
    max_retries: int | None = None,
    result: Sequence[Any] = (),
) -> None:
    """Call the body of a chord whose members have all ended, or fail it; else look again after a while.

    Args:
        task: the built-in task.
        group_id: of the chord.
        callback: the signature of its body.
        interval: seconds until the next look; None: `result_chord_retry_interval`.
        max_retries: looks before it gives up; None: as many as it takes.
        result: result tuples of the members.

    Raises:
        Retry: not all members have ended.
    """
    app = task.app
    header: GroupResult[Any] = GroupResult(group_id, [result_from_tuple(one, app=app) for one in result], app=app)
    if not header.ready():
        pause = app.conf.result_chord_retry_interval if interval is None else interval
        raise task.retry(countdown=pause, max_retries=max_retries)
    error = _failure(header)
    if error is None:
        try:
            with allow_join_result():
                results = header.join(timeout=app.conf.result_chord_join_timeout, propagate=True)
            call_body(task, callback, results)
        except Exception as problem:  # noqa: BLE001 - signatures and serializers are the users'
            journal.logger.exception("The body of chord %s cannot be called.", group_id)
            error = ChordError(f"Callback error: {problem!r}")
            task.request.update(outgoing=[], chords=[])
    if error is not None:
        journal.logger.warning("Chord %s failed: %s", group_id, error)
        records, _ = fail_body(task, callback, error)
        app.backend.save(records)


def _failure(header: Any) -> ChordError | None:
    """Return the error of a chord one of whose members has failed."""
    for member in header.results:
        inner = _failure(member) if isinstance(member, GroupResult) else None
        if inner is not None:
            return inner
        if not isinstance(member, GroupResult) and member.state in PROPAGATE_STATES:
            return failed_by(member.id, member.result)
    return None
