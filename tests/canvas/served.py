"""The app whose workers run random canvases; the environment says where, and where runs are noted."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

from fastq import FastQ, canvas
from fastq.signals import task_postrun, task_prerun
from tests.canvas.runs import Run
from tests.canvas.trees import declare

__all__ = ["app", "die", "note", "tasks"]

LEDGER = os.environ.get("FASTQ_TEST_LEDGER")
DIES = float(os.environ.get("FASTQ_TEST_DIES", "0"))
"""How probable it is that a run's process is killed when the work is done and nobody knows of it yet."""

app = FastQ("canvas", set_as_current=False)
tasks = declare(app, canvas)


@task_prerun.connect
def note(task: Any, args: Any, kwargs: Any, **_: Any) -> None:
    """Write down that a task begins to run."""
    if LEDGER:
        Run.of(task, args, kwargs).note(Path(LEDGER))


@task_postrun.connect
def die(**_: Any) -> None:
    """Kill this process, by chance."""
    if random.random() < DIES:
        os.kill(os.getpid(), signal.SIGKILL)
