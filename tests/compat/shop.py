"""One set of tasks for both: declared on an app of Celery when it is recorded, and on one of fastq when it is compared.

Neither library is imported here. What both have is used the same way, and that it can be is half of the point.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["OwnError", "Shop", "UnwritableError"]


class OwnError(Exception):
    """An exception with arguments of several types."""


class UnwritableError(Exception):
    """An exception that no serializer can write: it keeps a function, and its constructor wants something else."""

    def __init__(self, code: int) -> None:
        super().__init__(threading.get_ident, code)
        self.lock = threading.Lock()


class Outer:
    """Has a class inside: its qualified name has a dot."""

    class InnerError(Exception):
        """An exception whose name is no name of its module."""


FAILURES: Mapping[str, Callable[[], BaseException]] = {
    "builtin": lambda: ValueError("no such article", 3),
    "key": lambda: KeyError("sku-9"),
    "own": lambda: OwnError("grün", {"code": 7}, [1, None]),
    "inner": lambda: Outer.InnerError("inside"),
    "unwritable": lambda: UnwritableError(5),
    "without-arguments": lambda: RuntimeError(),
    "system": lambda: FileNotFoundError(2, "No such file", "/nowhere"),
}


class Shop:
    """Tasks of one app.

    Args:
        app: of Celery or fastq.
        canvas: the module or namespace that has `chain`, `group`, `chord`; None: without workflows.
    """

    def __init__(self, app: Any, canvas: Any = None) -> None:
        self.app = app
        self.canvas = canvas
        task = functools.partial(app.task, shared=False)  # other apps of the process have tasks of these names too
        self.add = task(name="shop.add")(add)
        self.echo = task(name="shop.echo")(echo)
        self.total = task(name="shop.total")(total)
        self.keep = task(name="shop.keep")(keep)
        self.fail = task(name="shop.fail")(fail)
        self.flaky = task(name="shop.flaky", bind=True, max_retries=3, expires=7200)(flaky)
        self.hopeless = task(name="shop.hopeless", bind=True)(hopeless)
        self.progress = task(name="shop.progress", bind=True)(progress)
        self.tracked = task(name="shop.tracked", track_started=True)(echo)
        self.quiet = task(name="shop.quiet", ignore_result=True)(echo)
        self.limited = task(name="shop.limited", time_limit=60, soft_time_limit=30)(wait)
        self.wait = task(name="shop.wait")(wait)
        self.die = task(name="shop.die")(die)
        self.send = task(name="shop.send", bind=True)(send)
        self.hand_over = task(name="shop.hand_over", bind=True)(hand_over)


def add(x: Any, y: Any = 0) -> Any:
    """Return a sum."""
    return x + y


def total(values: Any) -> Any:
    """Return the sum of a list."""
    return sum(values)


def echo(value: Any = None) -> Any:
    """Return what it is given."""
    return value


def keep(*args: Any, **kwargs: Any) -> None:
    """Take anything, return nothing."""


def fail(how: str) -> None:
    """Raise one of `FAILURES`."""
    raise FAILURES[how]()


def flaky(task: Any, left: int = 1, **options: Any) -> str:
    """Ask for another try, an hour later."""
    if task.request.retries < left:
        raise task.retry(exc=OwnError("not yet"), countdown=3600, **options)
    return "done"


def hopeless(task: Any) -> None:
    """Ask for another try, and there is none."""
    raise task.retry(max_retries=0)


def progress(task: Any) -> str:
    """Store a state of its own on the way."""
    task.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
    return "done"


def send(task: Any) -> str:
    """Call another task."""
    hand_over(task)
    return "sent"


def hand_over(task: Any) -> Any:
    """Call another task and return what will be its result."""
    return task.app.tasks["shop.add"].apply_async((1, 2), queue="elsewhere")


def wait(seconds: float = 60) -> None:
    """Take long, in steps short enough for a signal to come through, and within no file but this one."""
    for _ in range(int(seconds * 20)):
        select.select([], [], [], 0.05)


def die() -> None:
    """End the process that runs it, without a word."""
    os.kill(os.getpid(), signal.SIGKILL)
