"""What follows a run: callbacks, errbacks, and the next step of a chain (celery-inventory §5.3, protocol.md §1.3).

Nothing is sent from here. The messages travel in the Outcome, and the core publishes them in the Commit that stores the
result and acknowledges the job: a crash can neither lose nor double the next step.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from fastq.app import send
from fastq.canvas import maybe_signature
from fastq.canvas.sending import collect
from fastq.execute import journal

if TYPE_CHECKING:
    from fastq._seam import NewChord, OutgoingMessage
    from fastq.app.context import Context
    from fastq.app.protocol import App

__all__ = ["Composing", "Follow", "Siblings", "announce_failure", "follow", "signatures"]


class Siblings:
    """Tasks that follow together: as Celery sends them, a group with an id that nobody is told."""

    def __init__(self) -> None:
        self.id = send.new_id()
        self.members: list[Any] = []
        self._placed = 0

    def place(self) -> dict[str, Any]:
        """Return the options of the next one."""
        index, self._placed = self._placed, self._placed + 1
        return {"group_id": self.id, "group_index": index}

    def as_tuple(self) -> tuple[tuple[str, None], list[Any]]:
        """Return their results as they are stored (protocol.md §7.3)."""
        return (self.id, None), [member.as_tuple() for member in self.members]


class Follow(Protocol):
    """Has something run next."""

    def task(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any], among: Siblings | None
    ) -> None:
        """Have a task run: name, arguments, keyword arguments, options, and those with which it does."""

    def canvas(self, signature: Mapping[str, Any], given: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Have what is composed of several tasks run."""


_COMPOSED: Final = frozenset({"chain", "group", "chord"})


class Composing:
    """The way of a worker: messages are composed, to leave with the Outcome, and count as children.

    Args:
        app: of the task.
        task: whose run is followed.
    """

    def __init__(self, app: App, task: Any) -> None:
        """Compose nothing yet."""
        self._app = app
        self._task = task
        self.messages: list[OutgoingMessage] = []
        self.chords: list[NewChord] = []
        """Those that begin with these messages."""

    def task(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any], among: Siblings | None
    ) -> None:
        """Compose the message of a task."""
        task_id = options.get("task_id") or send.new_id()
        self.messages.append(send.compose(self._app, name, args, kwargs, {**options, "task_id": task_id}))
        result = self._app.AsyncResult(task_id, task_name=name)
        if among is None:
            self._task.add_trail(result)
            return
        if not among.members:
            self._task.add_trail(among)
        among.members.append(result)

    def canvas(self, signature: Mapping[str, Any], given: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Compose the messages that a canvas begins with."""
        composed = maybe_signature(signature, self._app)
        collect(composed.steps(given, {}, options), self.messages, self.chords, self._task.add_trail)


def follow(embed: Mapping[str, Any], request: Context, value: Any, follow_up: Follow) -> None:
    """Have the callbacks and the next step of the chain run with the value that the task returned."""
    family = {"parent_id": request.id, "root_id": request.root_id or request.id}
    callbacks = signatures(embed.get("callbacks"))
    siblings = Siblings() if len(callbacks) > 1 else None
    for callback in callbacks:
        _call(callback, (value,), family, follow_up, siblings)
    chain = signatures(embed.get("chain"))
    if chain:
        # The next step stands last, and takes the steps after it along.
        _call(chain[-1], (value,), {**family, "chain": chain[:-1]}, follow_up)


def announce_failure(
    app: App, embed: Mapping[str, Any], request: Context, error: BaseException, traceback: str, follow_up: Follow
) -> None:
    """Call the errbacks: inline those that take the exception, as tasks those that take the id of the failed one."""
    family = {"parent_id": request.id, "root_id": request.root_id or request.id}
    siblings = Siblings()
    for errback in signatures(embed.get("errbacks")):
        try:
            task = app.tasks.get(str(errback.get("task")))
            if task is not None and _takes_exception(task, errback):
                args, kwargs = _merged(errback, (request, error, traceback))
                task(*args, **kwargs)
            else:
                _call(errback, (request.id,), family, follow_up, siblings)
        except Exception:  # noqa: BLE001 - the user's code; it changes nothing about this task's failure
            journal.logger.exception("Errback %s of task %s[%s] raised.", errback.get("task"), request.task, request.id)


def _takes_exception(task: Any, errback: Mapping[str, Any]) -> bool:
    """Tell whether an errback can be called with (request, exception, traceback), and not just with an id."""
    if task.bind_self or errback.get("immutable"):
        return False
    args, kwargs = _merged(errback, (None, None, None))
    try:
        inspect.signature(task.run).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True


def _call(
    signature: Mapping[str, Any],
    given: tuple[Any, ...],
    options: dict[str, Any],
    follow_up: Follow,
    siblings: Siblings | None = None,
) -> None:
    if signature.get("subtask_type") in _COMPOSED:
        follow_up.canvas(signature, given, {key: value for key, value in options.items() if value not in (None, [])})
        return
    args, kwargs = _merged(signature, given)
    place = siblings.place() if siblings else {}
    own = dict(signature.get("options") or {})
    follow_up.task(signature["task"], args, kwargs, {**own, **options, **place}, siblings)


def _merged(signature: Mapping[str, Any], given: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a signature, what is given before its own unless it takes nothing."""
    own = tuple(signature.get("args") or ())
    return own if signature.get("immutable") else (*given, *own), dict(signature.get("kwargs") or {})


def signatures(value: Any) -> list[Mapping[str, Any]]:
    """Return signatures as a list: none, one, or several."""
    if not value:
        return []
    found: Iterable[Any] = [value] if isinstance(value, Mapping) else value
    return [signature for signature in found if isinstance(signature, Mapping)]
