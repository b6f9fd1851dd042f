"""The end of a chord that a Celery worker has completed: it sends no more than the reference to the body."""

from __future__ import annotations

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
