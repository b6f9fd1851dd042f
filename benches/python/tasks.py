"""The tasks that are timed: they do nothing, so that what is measured is the way there and back."""

from __future__ import annotations

import time

from fastq import FastQ

app = FastQ("benches", set_as_current=False)


@app.task
def noop(number: int) -> int:
    """Return the number, so that every id has a result of its own to count."""
    return number


@app.task
def mark() -> float:
    """Return when this ran, in seconds of the clock that all processes share."""
    return time.monotonic()
