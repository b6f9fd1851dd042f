"""The app of stories about limits that all workers keep together. Runs write down when they begin and end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

from fastq import FastQ

app = FastQ("limits", set_as_current=False)


def _write(file: str, *words: object) -> None:
    # One short write to a file that is only appended to is never mixed with another's.
    with Path(file).open("a", encoding="utf-8") as out:
        out.write(" ".join(map(str, words)) + "\n")


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


@app.task(name="limits.paced", rate_limit="20/s", rate_limit_scope="global")
def paced(file: str, number: int) -> int:
    """Write down when it began."""
    _write(file, time.time(), number)
    return number


@app.task(
    name="limits.paced_by", rate_limit="10/s", rate_limit_scope="global", rate_limit_key="{tenant}", ignore_result=True
)
def paced_by(file: str, tenant: str) -> None:
    """Write down when it began."""
    _write(file, time.time(), tenant)


@app.task(name="limits.few", max_concurrency=2, concurrency_key="{tenant}")
def few(file: str, tenant: str, number: int, seconds: float = 0.05) -> int:
    """Write down when it begins and ends."""
    _write(file, time.time(), "begin", tenant, number, os.getpid())
    _pause(seconds)
    _write(file, time.time(), "end", tenant, number, os.getpid())
    return number


@app.task(name="limits.few_coroutines", max_concurrency=3)
async def few_coroutines(file: str, number: int) -> int:
    """Write down when it begins and ends."""
    _write(file, time.time(), "begin", "all", number, os.getpid())
    await asyncio.sleep(0.05)
    _write(file, time.time(), "end", "all", number, os.getpid())
    return number


@app.task(name="limits.unlimited")
def unlimited(number: int) -> int:
    """Return the number."""
    return number


@app.task(name="limits.only", unique_for=600, unique_key="{name}")
def only(name: str, go_on: str = "", begun: str = "") -> str:
    """Wait for a file, if one is named."""
    if begun:
        _write(begun, os.getpid())
    while go_on and not Path(go_on).exists():
        _pause(0.01)
    return name


@app.task(name="limits.again", bind=True, unique_for=600, default_retry_delay=0.2, max_retries=3)
def again(self: Any, go_on: str) -> int:
    """Try again until a file is there."""
    if not Path(go_on).exists() or self.request.retries == 0:
        raise self.retry()
    return int(self.request.retries)


@app.task(name="limits.wrong", unique_for=600)
def wrong(reject: bool = False) -> None:
    """Fail, or reject the message."""
    from fastq.exceptions import Reject

    if reject:
        raise Reject("no", requeue=False)
    raise ValueError("no luck")


@app.task(name="limits.deadly", unique_for=600)
def deadly() -> None:
    """End the process."""
    os.kill(os.getpid(), 9)


@app.task(name="limits.mortal", bind=True, retry_on_worker_lost=True, max_retries=2)
def mortal(self: Any, lives: int) -> int:
    """End the process, as often as it has no lives left."""
    if self.request.retries < lives:
        os.kill(os.getpid(), 9)
    return int(self.request.retries)
