from __future__ import annotations

import pytest

from fastq.app.send import new_id
from fastq.backends.chords import body_id, group_of


def test_the_header_is_told_from_the_id_of_a_body() -> None:
    group_id = new_id()
    made = body_id(group_id)
    assert made is not None
    assert made != group_id
    assert group_of(made) == group_id


@pytest.mark.parametrize("other", ["", "mine", "7" * 32, "d6f3b0e2-6c52-4e0a-9d27-2b5f0a3c1d11"])
def test_ids_of_another_kind_tell_nothing(other: str) -> None:
    assert body_id(other) is None
    assert group_of(other) is None
