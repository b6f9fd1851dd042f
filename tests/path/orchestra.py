"""The app whose chords are told here. Broker and results come from the environment."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from fastq import FastQ
from fastq.exceptions import Ignore, Reject

app = FastQ("orchestra", set_as_current=False)


@app.task(name="play.note")
def note(pitch: int) -> int:
    """Return the pitch."""
    return pitch


@app.task(name="play.silent", ignore_result=True)
def silent(pitch: int) -> int:
    """Return the pitch, for the chord alone."""
    return pitch


@app.task(name="play.total", bind=True)
def total(self: Any, pitches: list[Any], file: str = "") -> Any:
    """Return the sum; write a line for each run: whether its message came again, and what it got."""
    if file:
        with Path(file).open("a", encoding="utf-8") as out:
            out.write(f"{self.request.delivery_info['redelivered']} {pitches}\n")
    return sum(pitches) if all(isinstance(pitch, int) for pitch in pitches) else pitches


@app.task(name="play.wrong")
def wrong() -> None:
    """Raise."""
    raise ValueError("out of tune")


@app.task(name="play.ignore")
def ignore() -> None:
    """Ask to be forgotten."""
    raise Ignore


@app.task(name="play.reject")
def reject() -> None:
    """Refuse the message."""
    raise Reject("no", requeue=False)


@app.task(name="play.die")
def die() -> None:
    """Kill the process that runs this."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="play.pause")
def pause(file: str) -> None:
    """Write a line, and never end."""
    with Path(file).open("a", encoding="utf-8") as out:
        out.write("began\n")
    signal.pause()


@app.task(name="play.die_early", acks_late=False)
def die_early() -> None:
    """Kill the process that runs this, acknowledged when it starts."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="play.too_long", time_limit=0.3)
def too_long() -> None:
    """Never end."""
    signal.pause()


@app.task(name="play.flaky", bind=True, max_retries=3)
def flaky(self: Any, pitch: int) -> int:
    """Be run again once."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    return pitch


@app.task(name="play.sorry")
def sorry(task_id: str, file: str) -> None:
    """Write down whose failure this was told of."""
    with Path(file).open("a", encoding="utf-8") as out:
        out.write(f"{task_id}\n")


@app.task(name="play.encore")
def encore(total: Any) -> Any:
    """Follow a body."""
    return ["encore", total]
