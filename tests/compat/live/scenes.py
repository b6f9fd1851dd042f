"""What clients are asked to do: the same for both libraries, and imported by neither's name."""

from __future__ import annotations

import contextlib
import importlib
import select
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.compat.live.told import Link, Raised, Told, tell
from tests.compat.live.works import LIMIT, Works, known_exception

__all__ = [
    "ask",
    "ask_by_name",
    "ask_later",
    "ask_linked",
    "chain",
    "children",
    "chord",
    "ended",
    "group",
    "look",
    "own_exception",
    "redis",
    "send",
    "state_reached",
]


def send(
    works: Works, task: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
) -> str:
    """Send a task, known here or not; return its id."""
    known = works.app.tasks.get(task)
    call = known.apply_async if known is not None else lambda *given, **how: works.app.send_task(task, *given, **how)
    return str(call(args, kwargs, **options).id)


def ended(works: Works, task_id: str, limit: float = LIMIT) -> Told:
    """Wait for the end of a task that was sent before, and tell of it."""
    return _ended(works, works.app.AsyncResult(task_id), limit)


def _ended(works: Works, result: Any, limit: float = LIMIT, *, first_itself: bool = False) -> Told:
    """Wait for the end of a result, and tell of it."""
    told = tell(result, limit, first_itself=first_itself)
    if told.raised is not None and result.ready() and works.forgives(told.raised):
        told = tell(works.app.AsyncResult(result.id), limit)
    return told


def ask(
    works: Works, task: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
) -> Told:
    """Send a task, wait for its end and tell of it."""
    return ended(works, send(works, task, args, kwargs, **options))


def occupy(works: Works, queue: str, levels: Sequence[int]) -> None:
    """Send a task of each priority to a worker that is busy.

    A worker of fastq that has just become so may still be waiting, on the list of each, for one message.
    """
    for level in levels:
        send(works, "live.who", queue=queue, priority=level)


def look(works: Works, task_id: str, fields: Sequence[str]) -> list[Any]:
    """Return some fields of a result as they are now; what is a method is called, and a time is text."""
    result = works.app.AsyncResult(task_id)
    found = [getattr(result, field) for field in fields]
    found = [field() if callable(field) else field for field in found]
    return [field.isoformat() if isinstance(field, datetime) else field for field in found]


def ask_by_name(works: Works, task: str, args: Sequence[Any] = (), **options: Any) -> Told:
    """Send a task by its name, without looking whether it is known here, and tell of its end."""
    return ended(works, works.app.send_task(task, args, **options).id)


def ask_later(works: Works, task: str, seconds: float, **options: Any) -> tuple[float, Told]:
    """Send a task that is due in so many seconds; return when it is due, and what is told of its end."""
    due = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return due.timestamp(), ask(works, task, eta=due, **options)


def redis(works: Works, words: Sequence[str]) -> Any:
    """Give the server a command of its own, by the way of Celery's client; return its reply as text."""
    return _text(works.app.backend.client.execute_command(*words))


def _text(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode("utf-8", "backslashreplace")
    if isinstance(reply, dict):
        return {_text(key): _text(value) for key, value in reply.items()}
    return [_text(item) for item in reply] if isinstance(reply, (list, tuple, set)) else reply


def own_exception(works: Works, name: str, args: Sequence[Any]) -> Raised:
    """Describe the exception that this library has under a name."""
    return Raised.of(known_exception(works.library, name)(*args))


def ask_linked(works: Works, links: Sequence[Link], errlinks: Sequence[Link] = (), **options: Any) -> Told:
    """Send a task that others are to follow, wait for its own end and tell of it."""
    found = {"link": [_signature(works, link) for link in links] or None}
    found["link_error"] = [_signature(works, link) for link in errlinks] or None
    return ask(works, **options, **found)


def chain(works: Works, steps: Sequence[Link]) -> list[Told]:
    """Send steps one after the other, as only Celery's client can; tell of the end of each, the last one first."""
    result = works.canvas.chain(*(_signature(works, step) for step in steps)).apply_async()
    told = []
    while result is not None:
        told.append(_ended(works, result, first_itself=True))
        result = result.parent
    return told


def group(works: Works, members: Sequence[Link]) -> Any:
    """Send several tasks as a group, as only Celery's client can; return their values in order."""
    result = works.canvas.group(*(_signature(works, member) for member in members)).apply_async()
    try:
        return result.get(timeout=LIMIT)
    except Exception as error:
        if not (result.ready() and works.forgives(Raised.of(error))):
            raise
        return result.get(timeout=LIMIT)


def chord(works: Works, members: Sequence[Link], body: Link, errback: Link | None = None) -> Told:
    """Send several tasks, and one that gets their values; tell of the end of that."""
    called = _signature(works, body)
    if errback is not None:
        called.link_error(_signature(works, errback))
    canvas = works.canvas or importlib.import_module("fastq")
    return _ended(works, canvas.chord([_signature(works, member) for member in members], called, app=works.app)())


def _signature(works: Works, link: Link) -> Any:
    return works.app.signature(link.task, args=link.args, immutable=link.immutable, **link.options)


def children(works: Works, task_id: str) -> list[Told]:
    """Wait for the end of a task and of those that it has sent; tell of these."""
    result = works.app.AsyncResult(task_id)
    _ended(works, result)
    return [_ended(works, child) for child in result.children or ()]


def state_reached(works: Works, task_id: str, state: str) -> Raised:
    """Wait until a task is in a state that tells of an exception, and describe that."""
    result, end = works.app.AsyncResult(task_id), time.monotonic() + LIMIT
    while result.state != state and time.monotonic() < end:
        select.select([], [], [], 0.005)
    return Raised.of(result.result)


def ask_many(works: Works, task: str, calls: Sequence[Sequence[Any]], **options: Any) -> list[Told]:
    """Send one task many times, wait for all ends and tell of them, in order."""
    ids = [send(works, task, args, **options) for args in calls]
    return [ended(works, task_id) for task_id in ids]


def purge(works: Works, queue: str) -> int:
    """Erase what waits in a queue; return how many messages that were."""
    if works.library == "fastq":
        return int(works.app.producer.purge(queue))
    with works.app.connection_for_write() as connection:
        return int(works.app.amqp.queues[queue](connection.default_channel).purge())


def control(
    works: Works,
    command: str,
    answers: int = 1,
    destination: Sequence[str] | None = None,
    pattern: str | None = None,
    matcher: str | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    """Broadcast a command, as only Celery can, and wait for so many answers; return them by the workers' names."""
    options = {"reply": True, "timeout": LIMIT, "limit": answers, "destination": destination}
    matched = {"pattern": pattern, "matcher": matcher}
    replies = works.app.control.broadcast(command, arguments=arguments, **options, **matched)
    return {name: answer for reply in replies for name, answer in reply.items()}


def revoke(works: Works, task_id: Any, **options: Any) -> None:
    """Call off a task, and wait for nobody."""
    works.app.control.revoke(task_id, **options)


def revoke_by_stamps(works: Works, headers: Any, **options: Any) -> None:
    """Call off the tasks that bear a stamp, and wait for nobody."""
    works.app.control.revoke_by_stamped_headers(headers, **options)


def revoked_ids(works: Works) -> list[str]:
    """Return the ids in the record of what is called off, as only fastq has it."""
    return sorted(one["id"] for one in works.app.control.revoked() if "id" in one)


def inspect(works: Works, what: str) -> dict[str, Any]:
    """Ask all workers something, as only Celery can; return what the first one has answered."""
    return dict(getattr(works.app.control.inspect(timeout=LIMIT, limit=1), what)())


def overhear(works: Works, kind: str, **options: Any) -> dict[str, Any]:
    """Have a task announce something, and return the event, as only a monitor of Celery's hears it."""
    heard: list[dict[str, Any]] = []
    with works.app.connection_for_read() as connection:
        receiver = works.app.events.Receiver(connection, handlers={kind: heard.append})
        with receiver.consumer_context(wakeup=False) as (listening, _, _):
            # On Redis it listens from the first look on.
            with contextlib.suppress(socket.timeout):
                listening.drain_events(timeout=0.2)
            works.announce.apply_async((kind,), {"size": 3}, **options)
            ends = time.monotonic() + LIMIT
            while not heard and time.monotonic() < ends:
                with contextlib.suppress(socket.timeout):
                    listening.drain_events(timeout=1)
    return heard[0]
