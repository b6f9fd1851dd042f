"""Runs of the tasks of random canvases, as their workers write them down; and which of them should not have been.

A task that is killed runs again, and so does one whose worker dies before its end was committed: a run alone says
nothing. What must not be is

- a second message of one task: its first delivery is not marked as a redelivery, so there is one such run at most. A
  task that is tried again, or that others take the place of, has an id that is sent again: they are told apart by the
  try and the arguments;
- a run that begins after the end of its task was committed: its result is in the store then.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from fastq.states import READY_STATES
from tests.canvas.trees import digest

__all__ = ["Run", "doubled", "noted"]


class Run(NamedTuple):
    """A run that has begun."""

    task_id: str
    name: str
    retries: int
    arguments: str
    """A digest of them."""
    redelivered: bool
    state: str
    """Of the task, as the store had it when the run began."""

    @classmethod
    def of(cls, task: Any, args: Any, kwargs: Any) -> Run:
        """Describe the run that is beginning."""
        request = task.request
        meta = task.app.backend.get_task_meta(request.id, cache=False)
        again = bool(request.delivery_info["redelivered"])
        return cls(request.id, task.name, request.retries, digest(args, kwargs), again, meta["status"])

    def note(self, file: Path) -> None:
        """Write it down, in one piece."""
        with file.open("ab", buffering=0) as ledger:
            ledger.write(json.dumps(self).encode() + b"\n")


def noted(file: Path) -> list[Run]:
    """Return all runs that were written down."""
    return [Run(*json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def doubled(runs: list[Run]) -> list[str]:
    """Return what should not have been: a line each."""
    late = [f"began after its end: {run}" for run in runs if run.state in READY_STATES]
    first = Counter(run[:4] for run in runs if not run.redelivered)
    return late + [f"sent {often} times: {name}" for name, often in first.items() if often > 1]
