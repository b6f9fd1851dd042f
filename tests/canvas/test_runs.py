"""What the notes of runs say of steps that were sent twice."""

from __future__ import annotations

import pytest

from tests.canvas.runs import Run, doubled

ONCE = Run("id", "canvas.mix", 0, "a", redelivered=False, state="PENDING")
AGAIN = ONCE._replace(redelivered=True)


@pytest.mark.parametrize(
    ("runs", "count"),
    [
        ([ONCE], 0),
        ([ONCE, AGAIN, AGAIN], 0),
        ([ONCE, ONCE._replace(retries=1, state="RETRY")], 0),
        ([ONCE, ONCE._replace(arguments="b")], 0),
        ([ONCE, ONCE], 1),
        ([ONCE, AGAIN, ONCE, ONCE._replace(task_id="other")], 1),
        ([ONCE, AGAIN._replace(state="SUCCESS")], 1),
        ([ONCE, AGAIN._replace(state="FAILURE"), ONCE], 2),
    ],
)
def test_a_second_message_and_a_run_after_the_end_are_told(runs: list[Run], count: int) -> None:
    assert len(doubled(runs)) == count
