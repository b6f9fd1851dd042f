"""The end of the interpreter, with threads of ours alive."""

from __future__ import annotations

import gc
import subprocess
import sys

from fastq import exits

END = """
import asyncio, sys
from fastq import FastQ

app = FastQ("shop", broker="memory://", backend="memory://")

async def story():
    await app.asend_task("x")
    asyncio.ensure_future(app.AsyncResult("never").aget())
    await asyncio.sleep(0)

asyncio.run(story())
print("end")
"""


def test_the_interpreter_ends_with_threads_of_ours_alive() -> None:
    ended = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, timeout=60, check=False)

    assert (ended.stdout, ended.stderr, ended.returncode) == ("end\n", "", 0)


class Thing:
    """Something with a thread."""

    closed = 0

    def close(self) -> None:
        Thing.closed += 1


def test_what_still_lives_is_closed_once() -> None:
    kept, gone = Thing(), Thing()
    for thing in (kept, kept, gone):
        exits.close_at_exit(thing)
    del gone, thing
    gc.collect()

    exits._close_all()

    assert Thing.closed == 1
