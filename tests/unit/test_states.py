"""States and their precedence."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fastq import states
from fastq.states import state

ORDER = ["SUCCESS", "FAILURE", "PROGRESS", "REVOKED", "STARTED", "RECEIVED", "REJECTED", "RETRY", "PENDING"]


@pytest.mark.parametrize(("later", "earlier"), list(pairwise(ORDER)))
def test_a_later_state_is_greater_than_an_earlier_one(later: str, earlier: str) -> None:
    assert state(later) > state(earlier)
    assert state(earlier) < state(later)
    assert state(later) >= state(earlier)
    assert not state(later) <= state(earlier)


def test_unknown_states_are_equally_final() -> None:
    assert states.precedence("PROGRESS") == states.precedence("ANYTHING") == states.NONE_PRECEDENCE
    assert state("A") >= state("B")


def test_a_state_is_a_text() -> None:
    assert state("SUCCESS") == "SUCCESS"


def test_a_state_is_either_ready_or_not() -> None:
    assert not states.READY_STATES & states.UNREADY_STATES
    assert states.PROPAGATE_STATES <= states.EXCEPTION_STATES
    assert states.REJECTED not in states.ALL_STATES
