"""The tasks that live workers serve: the shop's, and some that say who runs them, wait to be told, or leave a note.

Neither library is imported here but in `open_works`, which makes the same tasks on an app of either.
"""

from __future__ import annotations

import functools
import importlib
import json
import select
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.canvas.trees import declare
from tests.compat.live.told import Raised
from tests.compat.shop import Shop

__all__ = ["LIMIT", "Works", "known_exception", "open_works"]

LIMIT = 20.0
"""Seconds that anything may take."""
_HOMES = ("{library}.exceptions", "kombu.exceptions", "celery.platforms")
"""Where the classes are that both libraries know by one name; fastq has them all in one module."""


class Works(Shop):
    """The tasks on one app.

    Args:
        library: `celery` or `fastq`.
        app: of that library.
        canvas: as for `Shop`.
        folder: where notes are left, and files say what is held and what may go on.
    """

    def __init__(self, library: str, app: Any, canvas: Any, folder: Path) -> None:
        super().__init__(app, canvas)
        self.library, self.folder, self.has_missed = library, folder, False
        app.works = self
        task = functools.partial(app.task, shared=False, bind=True)
        self.who = task(name="live.who")(who)
        self.note = task(name="live.note")(note)
        self.alarm = task(name="live.alarm", ignore_result=True)(alarm)
        self.hold = task(name="live.hold", acks_late=True, track_started=True)(hold)
        self.moment = task(name="live.moment")(moment)
        self.describe = task(name="live.describe")(describe)
        self.again = task(name="live.again", max_retries=3)(again)
        self.relay = task(name="live.relay")(relay)
        self.known = task(name="live.known")(known)
        self.announce = task(name="live.announce")(announce)
        # A worker of Celery's writes that it tries again after it has sent the message, over what the next run says.
        self.canvases = declare(app, canvas, retry_after=0.5)
        self.confess = app.task(name="live.confess", shared=False)(self._confess())

    def forgives(self, error: Raised) -> bool:
        """Tell whether Celery's client may have missed the news of an end, for it has waited in vain: once.

        It asks for the news over one connection and for the end itself over another, and may miss what comes in
        between. That may happen once to a client: a worker that tells no news is found out all the same.
        """
        is_late = (error.module, error.name) == ("celery.exceptions", "TimeoutError")
        if self.library != "celery" or self.has_missed or not is_late:
            return False
        self.has_missed = True
        return True

    def write(self, line: str) -> None:
        """Add a line to the notes, in one piece."""
        with (self.folder / "notes").open("ab", buffering=0) as notes:
            notes.write(f"{self.library} {line}\n".encode())

    def _confess(self) -> Callable[..., None]:
        """Return an errback of the new kind, called where the task has failed. A bound one would be of the old."""

        def confess(request: Any, exc: BaseException, traceback: str, *words: str) -> None:
            self.write(" ".join((request.id, repr(exc), str(traceback).partition(" ")[0], *words)))

        return confess


def open_works(library: str, settings: Mapping[str, Any], folder: Path) -> Works:
    """Return the tasks on a new app of that library with these settings."""
    if library == "celery":
        celery = importlib.import_module("celery")
        app = celery.Celery("live", set_as_current=False)
        queues = _queues(importlib.import_module("kombu"))
        app.conf.update(broker_connection_retry_on_startup=True, task_queues=queues, **settings)
        return Works(library, app, celery, folder)
    fastq = importlib.import_module("fastq")
    app = fastq.FastQ("live", set_as_current=False, changes={"task_queues": _queues(fastq), **settings})
    return Works(library, app, importlib.import_module("fastq.canvas"), folder)


def _queues(module: Any) -> list[Any]:
    """Return the queues of every app: of each library one by name alone, and one behind each type of exchange."""
    queue, exchange = module.Queue, module.Exchange
    found = [queue("both")]
    for library in ("celery", "fastq"):
        found += [
            queue(library),
            queue(f"{library}-shelf", exchange("shelves", "direct"), f"to-{library}"),
            queue(f"{library}-order", exchange("orders", "topic"), f"order.{library}.#"),
            queue(f"{library}-news", exchange("orders", "topic"), "*.*.new"),
            queue(f"{library}-bell", exchange("bells", "fanout"), auto_delete=True),
        ]
    return found


def known_exception(library: str, name: str) -> type[BaseException]:
    """Return a library's own class for a name that both have."""
    for home in _HOMES:
        try:
            found = getattr(importlib.import_module(home.format(library=library)), name, None)
        except ImportError:
            continue
        if found is not None:
            return found  # type: ignore[no-any-return]
    raise LookupError(f"{library} has no exception called {name}")


def who(task: Any, value: Any = None) -> list[Any]:
    """Return which library runs this, and what it is given."""
    return [task.app.works.library, value]


def note(task: Any, *words: Any) -> str:
    """Leave a note; return which library runs this."""
    task.app.works.write(" ".join(map(str, words)))
    return str(task.app.works.library)


def alarm(task: Any, task_id: str, *words: Any) -> None:
    """Leave a note of a task that has failed: an errback of the old kind, which is given its id."""
    task.app.works.write(" ".join(map(str, (task_id, *words))))


def hold(task: Any, name: str, progress: Any = None) -> str:
    """Say that this runs, and run until a file says to go on; return which library it was."""
    works = task.app.works
    if progress is not None:
        task.update_state(state="PROGRESS", meta=progress)
    works.write(f"holds {name}")
    go_on = works.folder / f"{name}.go"
    end = time.monotonic() + LIMIT
    while not go_on.exists() and time.monotonic() < end:
        select.select([], [], [], 0.005)
    return str(works.library)


def moment(task: Any) -> float:
    """Return when this runs: seconds since 1970."""
    return time.time()


def describe(task: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what the run is told of its message."""
    request = task.request
    names = (
        "id", "task", "args", "kwargs", "retries", "eta", "expires", "root_id", "parent_id", "group", "group_index",
        "shadow", "lang", "origin", "reply_to", "correlation_id", "argsrepr", "kwargsrepr", "timelimit",
        "ignore_result", "delivery_info", "stamped_headers", "stamps", "replaced_task_nesting",
    )  # fmt: skip
    found = {name: getattr(request, name, None) for name in names}
    found["tenant"] = getattr(request, "tenant", None)
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def again(task: Any, times: int, queues: Sequence[str] = (), countdown: float = 0) -> list[Any]:
    """Ask for another try until there were so many; return who ran the last one, and its number.

    Args:
        task: this.
        times: how many.
        queues: where each of them is sent to; nothing: where the first was.
        countdown: seconds before each.
    """
    works, retries = task.app.works, task.request.retries
    works.write(f"try {retries} of {task.request.id}")
    if retries < times:
        options = {"queue": queues[retries]} if queues else {}
        raise task.retry(exc=ValueError("not yet", retries), countdown=countdown, **options)
    return [works.library, retries]


def relay(task: Any, value: Any, queue: str) -> str:
    """Send another task, whose result is a child of this one's; return its id."""
    return str(task.app.works.who.apply_async((value,), queue=queue).id)


def announce(task: Any, kind: str, **fields: Any) -> None:
    """Send an event."""
    task.send_event(kind, **fields)


def known(task: Any, name: str, *args: Any) -> None:
    """Raise an exception that both libraries have, as the one has it that runs this."""
    raise known_exception(task.app.works.library, name)(*args)
