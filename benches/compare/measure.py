"""Measure one side once, in the environment of that side (measure.py APP WHAT COUNT).

The code is the same for both sides; what differs stands in app_huey.py and app_fastq.py. Prints the figure: calls or
tasks in a second.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType


def publish(app: ModuleType, count: int) -> float:
    """Return how many calls a loop publishes in a second, with no worker."""
    app.send(0)
    began = time.monotonic()
    for number in range(count):
        app.send(number)
    return count / (time.monotonic() - began)


def drain(app: ModuleType, count: int) -> float:
    """Return how many tasks a worker runs in a second: every id has its own result, counted once.

    The clock starts when the first task runs, by its own account, and ends when the result of the last one is seen;
    if any other is not there by then, it goes on until it is.
    """
    first, ids, last = app.send_mark(), [app.send(number) for number in range(count - 2)], app.send_mark()
    worker = subprocess.Popen(app.worker_command(), cwd=Path(__file__).parent, stdout=subprocess.DEVNULL)
    try:
        app.result(last)
        ended = time.monotonic()
        began = app.result(first)
        for number, task_id in enumerate(ids):
            seen = time.monotonic()
            assert app.result(task_id) == number, task_id
            if time.monotonic() - seen > 0.004:  # it had to be waited for
                ended = time.monotonic()
        assert len(set(ids)) == count - 2
        return count / (ended - began)
    finally:
        worker.send_signal(signal.SIGINT)
        worker.wait()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent))
    name, what, count_text = sys.argv[1:]
    figure = {"publish": publish, "drain": drain}[what](importlib.import_module(name), int(count_text))
    print(figure)
