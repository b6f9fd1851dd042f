"""What every backend that counts the members of chords must do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from fastq.backends import chords
from fastq.states import FAILURE, SUCCESS

if TYPE_CHECKING:
    from tests.contract.backends.conftest import Place

BODY = {"task": "shop.total", "args": [], "kwargs": {}, "options": {"task_id": "body"}}


@pytest.fixture(autouse=True)
def _only_where_chords_are_counted(place: Place) -> None:
    if not place.backend.capability.counts:
        pytest.skip("this backend does not count")


def test_a_chord_that_was_begun_is_known_with_its_body(place: Place) -> None:
    place.backend.begin_chord("g", 3, BODY, result=[["g", None], []])
    record = place.backend.chord_record("g")
    assert record is not None
    assert (record.size, record.ended, record.state) == (3, 0, "open")
    assert (record.body, record.result) == (BODY, [["g", None], []])
    assert place.backend.chord_record("another") is None


def test_a_member_that_is_added_must_end_too(place: Place) -> None:
    place.backend.begin_chord("g", 3, BODY)
    place.backend.add_to_chord("g")
    record = place.backend.chord_record("g")
    assert record is not None
    assert record.size == 4


def test_a_part_says_how_its_member_ended(place: Place) -> None:
    reference = chords.reference("g", BODY, "celery.fastq")
    request = SimpleNamespace(id="1", group="g", group_index=2, chord=reference)
    part = place.backend.part(request, SUCCESS, (1, 2))
    assert (part.group_id, part.task_id, part.place, part.callback) == ("g", "1", 2, b"")
    assert chords.member(place.backend.documents, part) == ("1", 2, SUCCESS, [1, 2])
    request.chord = BODY
    failed = place.backend.part(request, FAILURE, KeyError("sku"))
    assert b"shop.total" in failed.callback
    member = chords.member(place.backend.documents, failed)
    assert isinstance(member.result, KeyError)
