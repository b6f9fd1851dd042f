"""The app whose workers run random canvases; the environment says where, and where runs are noted."""

from __future__ import annotations

import os

from fastq import FastQ, canvas
from tests.canvas.trees import declare

__all__ = ["app", "note", "tasks"]

app = FastQ("canvas", set_as_current=False)


def note(number: int) -> None:
    """Write down that a task ran, in one piece."""
    file = os.environ.get("FASTQ_TEST_LEDGER")
    if file:
        with open(file, "ab", buffering=0) as ledger:
            ledger.write(f"{number}\n".encode())


tasks = declare(app, canvas, note)
