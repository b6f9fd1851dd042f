"""Runs are terminated in the moments in which their process moves on to the next: never is another one hit."""

from __future__ import annotations

import random
import time
from collections import Counter

from fastq.exceptions import TaskRevokedError
from tests.faults.conftest import Place

LINGER = "tests.faults.tasks.linger"
LENGTHS = (0.0, 0.001, 0.006, 0.06)
"""Seconds, from less to more than a signal takes to come, so that it comes before, at and after the end of a run."""
HEAD_START = 0.02
"""Seconds in which the others are sent, so that the process has something to move on to."""
LIMIT = 60.0


def test_a_termination_hits_the_run_it_is_meant_for_or_none(place: Place, chance: random.Random, long: bool) -> None:
    tries = 10_000 if long else 120
    worker = place.worker(("-c", "1"))
    ids: dict[int, str] = {}
    for number in range(0, 4 * tries, 4):
        victim = number + 1
        ids |= _send(place, number, HEAD_START)
        ids |= _send(place, victim, chance.uniform(0.0, chance.choice(LENGTHS)))
        ids |= {**_send(place, number + 2, 0.001), **place.send([number + 3])}
        _wait_for_the_start(place, victim)
        place.client.control.terminate(ids[victim], signal=chance.choice(("TERM", "KILL", "INT")))
    ended = Counter(_how_it_ended(place, number, task_id) for number, task_id in ids.items())
    runs = place.ledger.runs()
    for number in set(range(4 * tries)) - set(range(1, 4 * tries, 4)):
        (run,) = runs[str(number)]  # once
        assert run.ended is not None, f"task {number} was hit"
    assert all(len(found) == 1 for found in runs.values()), "none has run twice"
    assert worker.running
    assert place.left() == 0
    # Both were met, or this proves nothing: runs that were hit, and such as ended in time.
    assert ended["terminated"] > tries / 10, ended
    assert ended["done"] > 3 * tries + tries / 10, ended


def _send(place: Place, number: int, seconds: float) -> dict[int, str]:
    return {number: place.client.send_task(LINGER, (number, seconds)).id}


def _wait_for_the_start(place: Place, number: int) -> None:
    """Return as soon as a task has begun: what is looked for is over in a millisecond."""
    end = time.monotonic() + LIMIT
    while not place.ledger.first_start(number):
        assert time.monotonic() < end, f"task {number} does not begin"


def _how_it_ended(place: Place, number: int, task_id: str) -> str:
    try:
        value = place.client.AsyncResult(task_id).get(timeout=LIMIT)
    except TaskRevokedError as error:
        assert number % 4 == 1, f"task {number} was called off in place of another"
        return str(error.args[0])
    assert value == number
    return "done"
