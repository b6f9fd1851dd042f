"""The app under fault: its tasks write each run into a ledger."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from fastq import FastQ
from tests.support.ledger import Ledger

app = FastQ("faults", set_as_current=False, task_max_deaths=1_000)
"""Kills come by chance here, and may hit one task many times: it is to run all the same."""

ledger = Ledger(Path(os.environ.get("FASTQ_TEST_LEDGER", os.devnull)))

SECONDS_OF_WORK = (0.0, 0.0, 0.0, 0.001, 0.003)
"""Some runs take time, so that kills find them half-way."""


@app.task
def record(number: int) -> int:
    """Return the number; the ledger knows of the run."""
    ledger.start(number)
    seconds = SECONDS_OF_WORK[number % len(SECONDS_OF_WORK)]
    if seconds:
        threading.Event().wait(seconds)
    ledger.end(number)
    return number


@app.task
def hold(key: str, gate: str) -> str:
    """Return the key once the file `gate` exists."""
    ledger.start(key)
    pause = threading.Event()
    while not Path(gate).exists():
        pause.wait(0.01)
    ledger.end(key)
    return key


@app.task
def linger(number: int, seconds: float) -> int:
    """Return the number after so long; the ledger knows of the run."""
    ledger.start(number)
    threading.Event().wait(seconds)
    ledger.end(number)
    return number
