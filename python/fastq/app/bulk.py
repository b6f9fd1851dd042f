"""Many calls at once: their messages go to the broker in chunks, each one pipeline or transaction.

A chunk is sent all or none where the broker can do that (SQLite, Redis). When one fails, those before it stand, and the
error says in `sent` which they were. Of the chunk itself nothing was sent, unless the connection broke before the
broker's answer came: then it is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq.app import bounds, send
from fastq.app.current import get_current_worker_task
from fastq.app.options import merge
from fastq.app.publish import producer_of, publish_many, with_queues
from fastq.app.template import family, make_template
from fastq.canvas.signature import Signature
from fastq.signals import after_task_publish, before_task_publish

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.app.template import Family, Parts, Template
    from fastq.result import AsyncResult

__all__ = ["CHUNK", "CHUNK_BYTES", "Arguments", "Keywords", "Target", "chunks", "send_many"]

CHUNK: Final = 500
"""Messages that are sent together."""
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Bodies that are sent together, unless one alone is larger."""

Arguments = Iterable["Sequence[Any] | Signature[Any]"]
"""Positional arguments of each call; or the call as a signature, with options of its own."""
Keywords = Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""Keyword arguments of all calls; or those of each."""


class Target(NamedTuple):
    """What is called: a task, or the name of one."""

    app: App
    task: Any
    """None when only its name is known here."""
    name: str
    by_name: bool
    """Whether it is called as by `send_task`."""

    def merged(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a call and the task."""
        return send.merge_named(self.app, self.name, options) if self.by_name else merge(self.task, options)

    def prepare(self, args: Any, kwargs: Any, options: Mapping[str, Any]) -> send.Prepared:
        """Return a call ready to be sent, by the long way."""
        if self.by_name:
            return send.prepare_named(self.app, self.name, args, kwargs, options)
        return send.prepare_task(self.task, args, kwargs, options)

    def result(self, task_id: str) -> AsyncResult[Any]:
        """Return the result of a call."""
        if self.task is not None:
            found: AsyncResult[Any] = self.task.AsyncResult(task_id)
            return found
        return self.app.AsyncResult(task_id, task_name=self.name)

    @property
    def check(self) -> Callable[..., Any] | None:
        """What raises TypeError for arguments the task does not take."""
        if self.by_name or not self.task.typing:
            return None
        check: Callable[..., Any] | None = self.task.__header__
        return check

    @property
    def eager(self) -> bool:
        """Whether its calls are run at once, here."""
        return not self.by_name and bool(self.app.conf.task_always_eager)


def named(app: App, name: str) -> Target:
    """Return a task to be called by its name."""
    return Target(app, app.registry.get(name), name, by_name=True)


class Call(NamedTuple):
    """One call: arguments, keyword arguments, and the options that only it has."""

    args: Any
    kwargs: Any
    options: Mapping[str, Any] | None


class Chunk(NamedTuple):
    """Calls that are sent together."""

    messages: list[Parts]
    calls: list[str | send.Prepared]
    """Of each the id, or everything where it took the long way."""
    declare: list[Any]
    """Queues that must exist."""
    finish: Callable[[str], AsyncResult[Any]]
    """Returns the result of a call that was sent, given its id."""

    @property
    def together(self) -> bool:
        """Whether a call that may not go, because another one of its key is under way, keeps all from going."""
        prepared = [call for call in self.calls if isinstance(call, send.Prepared) and call.is_unique]
        return not prepared or any(bounds.raises(call.options) for call in prepared)

    def may_go(self, duplicates: Sequence[tuple[int, str]]) -> bool:
        """Tell whether the others are to be sent without those that may not go."""
        prepared = [self.calls[place] for place, _ in duplicates]
        return bool(duplicates) and not any(
            bounds.raises(call.options) for call in prepared if isinstance(call, send.Prepared)
        )

    def sent(self, duplicates: Sequence[tuple[int, str]] = ()) -> list[AsyncResult[Any]]:
        """Tell those who want to know that the calls were sent, and return their results.

        Args:
            duplicates: place and holder's id of those that were not.

        Raises:
            TaskAlreadyQueued: one of these is an error; none of the chunk was sent.
        """
        finish = self.finish
        if not duplicates:
            return [finish(call) if type(call) is str else call.sent() for call in self.calls]  # type: ignore[union-attr]
        holders = dict(duplicates)
        for place, holder in duplicates:
            call = self.calls[place]
            if isinstance(call, send.Prepared) and bounds.raises(call.options):
                call.not_sent(holder)
        results = []
        for place, call in enumerate(self.calls):
            if isinstance(call, str):
                results.append(finish(call))
            else:
                results.append(call.not_sent(holders[place]) if place in holders else call.sent())
        return results


def send_many(
    target: Target, args: Arguments | None, kwargs: Keywords | None, options: dict[str, Any]
) -> list[AsyncResult[Any]]:
    """Send calls in chunks and return their results in order.

    Args:
        target: what is called.
        args: positional arguments of each call, or signatures.
        kwargs: keyword arguments of all calls, or of each.
        options: of all calls; a signature's own win.

    Raises:
        TypeError: nothing says how many calls there are, or arguments do not fit.
        ValueError: `args` and `kwargs` are not of the same length, or a signature is one of another task.
        OperationalError: the broker could not be reached in time. As with every error that leaves from here, the
            attribute `sent` has the results of those that were sent before.
        TaskAlreadyQueued: a unique call is under way already, and is to be an error; of its chunk nothing was sent.
    """
    done: list[AsyncResult[Any]] = []
    producer = producer_of(target.app, options)
    try:
        if target.eager:
            for call in _calls(target, args, kwargs):
                done.append(_run(target, call, options))
            return done
        for chunk in chunks(target, args, kwargs, options):
            together = chunk.together
            publish = partial(publish_many, target.app, producer, chunk.messages, options, together)
            duplicates = with_queues(target.app, producer, chunk.declare, publish)
            if together and chunk.may_go(duplicates):
                duplicates = publish_many(target.app, producer, chunk.messages, options, together=False)
            done += chunk.sent(duplicates)
    except Exception as error:
        error.sent = done  # type: ignore[attr-defined]  # FastQError has it, errors of a caller's generator have not
        raise
    return done


def _run(target: Target, call: Call, options: dict[str, Any]) -> AsyncResult[Any]:
    if target.check is not None:
        target.check(*call.args, **call.kwargs)
    return send.call_eagerly(target.task, call.args, call.kwargs, {**options, **(call.options or {})})


def chunks(target: Target, args: Arguments | None, kwargs: Keywords | None, options: dict[str, Any]) -> Iterator[Chunk]:
    """Yield the calls in chunks; the next one is composed when it is asked for. Raises as `send_many`."""
    calls = _calls(target, args, kwargs)
    target.app.finalize(auto=True)
    while True:
        chunk = _gather(target, calls, options)
        if not chunk.messages:
            return
        yield chunk


def _gather(target: Target, calls: Iterator[Call], options: dict[str, Any]) -> Chunk:
    """Compose calls until there are enough for a chunk."""
    template, above, finish = _short_way(target, options)
    chunk = Chunk([], [], [] if template is None else list(template.declare), finish)
    messages, entries, check, new_id, sender = chunk.messages, chunk.calls, target.check, send.new_id, send.identity()
    size = 0
    for args, kwargs, own in calls:
        if check is not None:
            check(*args, **kwargs)
        if template is not None and own is None:
            task_id = new_id()
            message = template.message(task_id, args, kwargs, above, sender)
            entries.append(task_id)
        else:
            prepared = target.prepare(args, kwargs, {**options, **(own or {})})
            chunk.declare.extend(prepared.draft.declare)
            message = prepared.message
            entries.append(prepared)
        messages.append(message)
        size += len(message[3])
        if len(messages) >= CHUNK or size >= CHUNK_BYTES:
            break
    return chunk


def _short_way(
    target: Target, options: dict[str, Any]
) -> tuple[Template | None, Family | None, Callable[[str], AsyncResult[Any]]]:
    """Return the template of a chunk's calls, None when they must take the long way; above whom they are; their end."""
    parent = get_current_worker_task()
    stamped = parent is not None and parent.request.stamped_headers
    template = None
    if not (before_task_publish or after_task_publish or stamped):
        template = make_template(target.app, target.task, target.name, target.merged(options), options)
    ignored = template is not None and template.ignored
    tells_parent = parent is not None and options.get("add_to_parent", True)

    def finish(task_id: str) -> AsyncResult[Any]:
        result = target.result(task_id)
        result.ignored = ignored
        if tells_parent and parent is not None:
            parent.add_trail(result)
        return result

    return template, None if parent is None else family(parent.request), finish


def _calls(target: Target, args: Arguments | None, kwargs: Keywords | None) -> Iterator[Call]:
    """Yield the calls that arguments and keyword arguments make."""
    if kwargs is None or isinstance(kwargs, Mapping):
        if args is None:
            raise TypeError("Nothing says how many calls there are: give the arguments of each.")
        same = dict(kwargs or {})
        pairs: Iterable[tuple[Any, Mapping[str, Any]]] = ((item, same) for item in args)
    else:
        pairs = (((), item) for item in kwargs) if args is None else zip(args, kwargs, strict=True)
    for item, keywords in pairs:
        yield _call(target, item, keywords)


def _call(target: Target, item: Any, keywords: Mapping[str, Any]) -> Call:
    if type(keywords) is not dict:
        if not isinstance(keywords, Mapping):
            raise TypeError(f"The keyword arguments of a call must be a mapping, not {type(keywords).__name__}.")
        keywords = dict(keywords)
    if type(item) is tuple or isinstance(item, list | tuple):
        return Call(item, keywords, None)
    if not isinstance(item, Signature):
        raise TypeError(
            f"The arguments of a call must be a list or tuple, or a signature, not {type(item).__name__}. "
            "For tasks of one argument there is delay_map()."
        )
    if item.task != target.name:
        raise ValueError(f"Calls of {target.name} cannot be sent together with one of {item.task}.")
    return Call(item.args, item.kwargs if item.immutable else {**item.kwargs, **keywords}, item.options or None)
