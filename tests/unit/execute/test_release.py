"""The end of a chord: one that a Celery worker has completed, of which it knows no more than the reference to the body,
and one whose members seem to have vanished.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fastq._seam import IGNORED
from fastq.app.send import new_id
from fastq.backends.chords import REFERENCE, body_id
from fastq.exceptions import ChordError
from fastq.states import FAILURE

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Bench


def begin(bench: Bench, group_id: str, task_id: str) -> None:
    """Make a chord known whose body is the task of that id."""
    body = {"task": "shop.total", "args": [], "kwargs": {}, "options": {"task_id": task_id}}
    bench.app.backend.begin_chord(group_id, 2, body)


@pytest.mark.parametrize("says_group", [True, False], ids=["with-its-group", "without"])
def test_the_body_of_a_chord_is_found_by_what_its_reference_says(bench: Bench, says_group: bool) -> None:
    group_id = new_id()
    task_id = "mine" if says_group else body_id(group_id)
    assert task_id is not None
    begin(bench, group_id, task_id)
    headers: dict[str, Any] = {"id": task_id, "group": group_id if says_group else None}

    outcome = bench.run(REFERENCE, [1, 2], headers=headers, id=task_id)

    assert outcome.ending == IGNORED
    ((sent, body),) = bench.messages(outcome)
    assert (sent["id"], sent["task"], body[0]) == (task_id, "shop.total", [[1, 2]])


def test_a_reference_to_a_chord_that_nobody_knows_fails(bench: Bench) -> None:
    outcome = bench.run(REFERENCE, [1, 2], headers={"id": "lost"}, id="lost")
    meta = bench.meta(outcome)
    assert (meta["status"], type(meta["result"])) == (FAILURE, ChordError)


def test_a_reference_to_a_chord_that_has_ended_is_no_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of Celery 5.6 claims nothing: where it takes its time, another has released the chord before."""
    group_id = new_id()
    begin(bench, group_id, "body")
    found = bench.app.backend.chord_record(group_id)
    assert found is not None
    monkeypatch.setattr(bench.app.backend, "chord_record", lambda _: found._replace(state="ended", body=None))
    outcome = bench.run(REFERENCE, [1, 2], headers={"id": "body", "group": group_id}, id="body")
    assert (outcome.ending, outcome.records, bench.messages(outcome)) == (IGNORED, (), [])


def test_a_chord_whose_results_somebody_has_taken_is_left_to_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of Celery 5.6 reads them, calls the body, and deletes them: so they may go while we read, too."""
    group_id = new_id()
    begin(bench, group_id, "body")
    found = bench.app.backend.chord_record(group_id)
    assert found is not None
    monkeypatch.setattr(bench.app.backend, "chord_record", lambda _: found._replace(ended=2))
    outcome = bench.run("fastq.chord_release", group_id)
    assert (outcome.ended, bench.messages(outcome)) == ("", [])


def test_a_member_that_is_found_by_the_second_look_has_not_vanished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker of Celery's has taken it when we look for the first time, and has noted that when we do again."""
    group_id = new_id()
    begin(bench, group_id, "body")
    looks = iter([False, True])
    monkeypatch.setattr("fastq.execute.release.AGAIN_AFTER", 0.0)
    monkeypatch.setattr(bench.app, "producer", SimpleNamespace(holds=lambda _: next(looks), close=lambda: None))

    outcome = bench.run("fastq.chord_release", group_id, None, "overdue")

    states = [bench.app.backend.decode(record)["status"] for record in outcome.records]
    assert (outcome.ended, states, list(looks)) == ("", ["SUCCESS"], [])


@pytest.mark.parametrize("ends", [True, False], ids=["one-ends-while-we-look", "all-have-vanished"])
def test_a_member_that_ends_while_the_broker_is_looked_through_has_not_vanished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    group_id, counted = new_id(), 1
    begin(bench, group_id, "body")
    found = bench.app.backend.chord_record(group_id)
    assert found is not None
    monkeypatch.setattr(bench.app.backend, "chord_record", lambda _: found._replace(ended=counted))

    def look(text: str) -> bool:
        nonlocal counted
        assert text == group_id
        counted += ends
        return False

    monkeypatch.setattr("fastq.execute.release.AGAIN_AFTER", 0.0)
    monkeypatch.setattr(bench.app, "producer", SimpleNamespace(holds=look, close=lambda: None))

    outcome = bench.run("fastq.chord_release", group_id, None, "overdue")

    assert outcome.ended == ("" if ends else group_id)
    states = [bench.app.backend.decode(record)["status"] for record in outcome.records]
    assert states.count(FAILURE) == (0 if ends else 1), states
