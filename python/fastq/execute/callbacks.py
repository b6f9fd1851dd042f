"""What follows a run: callbacks, errbacks, and the next step of a chain (celery-inventory §5.3, protocol.md §1.3).

Nothing is sent from here. The messages travel in the Outcome, and the core publishes them in the Commit that stores the
result and acknowledges the job: a crash can neither lose nor double the next step.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from fastq.app import send
from fastq.app.context import Context
from fastq.exceptions import NotSupported
from fastq.execute import journal

if TYPE_CHECKING:
    from fastq._seam import OutgoingMessage
    from fastq.app.protocol import App

__all__ = ["Follow", "Siblings", "announce_failure", "check", "composing", "follow", "rest_of_chain"]


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


Follow = Callable[[str, tuple[Any, ...], dict[str, Any], dict[str, Any], Siblings | None], None]
"""Has a task run next: name, arguments, keyword arguments, options, and those with which it does."""

_COMPOSED: Final = frozenset({"chain", "group", "chord"})


def composing(app: App, task: Any, messages: list[OutgoingMessage]) -> Follow:
    """Return the way of a worker: the message joins `messages`, which leave with the Outcome, and counts as a child."""

    def follow_up(
        name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any], siblings: Siblings | None
    ) -> None:
        task_id = options.get("task_id") or send.new_id()
        messages.append(send.compose(app, name, args, kwargs, {**options, "task_id": task_id}))
        result = app.AsyncResult(task_id, task_name=name)
        if siblings is None:
            task.add_trail(result)
            return
        if not siblings.members:
            task.add_trail(siblings)
        siblings.members.append(result)

    return follow_up


def check(embed: Mapping[str, Any]) -> None:
    """Refuse to begin what could not be finished.

    Raises:
        NotSupported: a workflow that this version cannot carry on hangs on the message.
    """
    if embed.get("chord"):
        raise NotSupported(
            "This task is part of a chord, and chords are not supported by this version of fastq: it was not run, "
            "because the chord's body would never be called. Let a Celery worker take it."
        )
    for key in ("callbacks", "errbacks", "chain"):
        for signature in _signatures(embed.get(key)):
            kind = signature.get("subtask_type")
            if kind in _COMPOSED:
                raise NotSupported(
                    f"A {kind} is to follow this task (as one of its {key}), which is not supported by this version of "
                    "fastq: it was not run, because its workflow would stop here. Let a Celery worker take it."
                )


def follow(embed: Mapping[str, Any], request: Context, value: Any, follow_up: Follow) -> None:
    """Have the callbacks and the next step of the chain run with the value that the task returned."""
    family = {"parent_id": request.id, "root_id": request.root_id or request.id}
    callbacks = _signatures(embed.get("callbacks"))
    siblings = Siblings() if len(callbacks) > 1 else None
    for callback in callbacks:
        _call(callback, (value,), {**_options(callback), **family}, follow_up, siblings)
    chain = _signatures(embed.get("chain"))
    if chain:
        # The next step stands last, and takes the steps after it along.
        step, rest = chain[-1], chain[:-1]
        _call(step, (value,), {**_options(step), **family, "chain": rest}, follow_up)


def announce_failure(
    app: App, embed: Mapping[str, Any], request: Context, error: BaseException, traceback: str, follow_up: Follow
) -> None:
    """Call the errbacks: inline those that take the exception, as tasks those that take the id of the failed one."""
    family = {"parent_id": request.id, "root_id": request.root_id or request.id}
    siblings = Siblings()
    for errback in _signatures(embed.get("errbacks")):
        try:
            task = app.tasks.get(str(errback.get("task")))
            if task is not None and _takes_exception(task, errback):
                args, kwargs = _merged(errback, (request, error, traceback))
                task(*args, **kwargs)
            else:
                _call(errback, (request.id,), {**_options(errback), **family}, follow_up, siblings)
        except Exception:  # noqa: BLE001 - the user's code; it changes nothing about this task's failure
            journal.logger.exception("Errback %s of task %s[%s] raised.", errback.get("task"), request.task, request.id)


def rest_of_chain(embed: Mapping[str, Any]) -> list[tuple[str, Context]]:
    """Return ids and requests of the steps that will never run because this one has failed."""
    found = []
    for step in _signatures(embed.get("chain")):
        options = _options(step)
        task_id = options.get("task_id")
        if isinstance(task_id, str) and task_id:
            request = Context(options, id=task_id, task=step.get("task"), group=options.get("group_id"))
            request.update(args=step.get("args"), kwargs=step.get("kwargs"))
            found.append((task_id, request))
    return found


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
    args, kwargs = _merged(signature, given)
    follow_up(signature["task"], args, kwargs, {**options, **(siblings.place() if siblings else {})}, siblings)


def _merged(signature: Mapping[str, Any], given: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a signature, what is given before its own unless it takes nothing."""
    own = tuple(signature.get("args") or ())
    return own if signature.get("immutable") else (*given, *own), dict(signature.get("kwargs") or {})


def _options(signature: Mapping[str, Any]) -> dict[str, Any]:
    return dict(signature.get("options") or {})


def _signatures(value: Any) -> list[Mapping[str, Any]]:
    """Return signatures as a list: none, one, or several."""
    if not value:
        return []
    found: Iterable[Any] = [value] if isinstance(value, Mapping) else value
    return [signature for signature in found if isinstance(signature, Mapping)]
