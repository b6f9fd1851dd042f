"""Sending: a call becomes a message, and the message goes to the broker (protocol.md §4).

`call` is what `apply_async` does when anything special is asked; `app/plan.py` is the short cut for calls that ask for
nothing. `compose` makes a message without sending it, for runs, whose messages travel in their outcome.
"""

from __future__ import annotations

import os
import threading
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson

from fastq import signals
from fastq._core import new_id
from fastq.app import bounds, checks, current
from fastq.app.message import Draft, build, encode
from fastq.app.options import execution_options, merge
from fastq.app.publish import declare, producer_of, publish_one, retry_policy, with_queues
from fastq.app.routes import Router
from fastq.backends.amqp_options import reply_queue
from fastq.exceptions import AlwaysEagerIgnored, NotSupported
from fastq.names import anonymous_node
from fastq.serialization import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastq._seam import OutgoingMessage
    from fastq.app.context import Context
    from fastq.app.protocol import App, Publisher
    from fastq.result import AsyncResult

__all__ = [
    "Prepared",
    "Sender",
    "call",
    "call_eagerly",
    "compose",
    "identity",
    "inherit_stamps",
    "merge_named",
    "new_id",
    "prepare_named",
    "prepare_task",
    "send_task",
]


class Sender(NamedTuple):
    """Who sends, as text and as JSON."""

    process: int
    origin: str
    reply_to: str
    origin_text: bytes
    reply_to_text: bytes


_senders: Final = threading.local()


def identity() -> Sender:
    """Return who sends from this thread: `gen1234@host`, and the name of the queue where it awaits answers.

    Asked for with every message, so it is kept until the process id is another one: after a fork.
    """
    process = os.getpid()
    known: Sender | None = getattr(_senders, "known", None)
    if known is not None and known.process == process:
        return known
    origin, reply_to = anonymous_node(), reply_queue()
    made = Sender(process, origin, reply_to, orjson.dumps(origin), orjson.dumps(reply_to))
    _senders.known = made
    return made


class Prepared(NamedTuple):
    """A call that is ready to be sent."""

    app: App
    task: Any
    name: str
    draft: Draft
    options: Mapping[str, Any]
    """All of them: of the call, its task, its route and the run that sends it."""
    message: OutgoingMessage

    @property
    def producer(self) -> Publisher:
        """What is to send it."""
        return producer_of(self.app, self.options)

    @property
    def is_unique(self) -> bool:
        """Whether it may not be sent, because another call is under way."""
        return bounds.UNIQUE_KEY in self.draft.headers

    def sent(self) -> AsyncResult[Any]:
        """Tell those who want to know that it was sent, and return its result, which the run that sent it remembers."""
        draft = self.draft
        if signals.after_task_publish:
            signals.after_task_publish.send(
                self.name,
                body=draft.body,
                headers=draft.headers,
                exchange=draft.exchange,
                routing_key=draft.routing_key,
            )
        return self._result(self.options["task_id"])

    def not_sent(self, holder: str) -> AsyncResult[Any]:
        """Return the result of the call that is under way in place of this one.

        Args:
            holder: its id.

        Raises:
            TaskAlreadyQueued: the option `on_duplicate` says so.
        """
        if bounds.raises(self.options):
            raise bounds.already_queued(self.name, self.draft.headers[bounds.UNIQUE_KEY], holder)
        result = self._result(holder)
        result.duplicate = True
        return result

    def _result(self, task_id: str) -> AsyncResult[Any]:
        options = self.options
        make = options.get("result_cls")
        if make is not None:
            result: AsyncResult[Any] = make(task_id)
        elif self.task is not None:
            result = self.task.AsyncResult(task_id)
        else:
            result = self.app.AsyncResult(task_id, task_name=self.name)
        result.ignored = bool(options.get("ignore_result"))
        if options.get("add_to_parent", True):
            parent = current.get_current_worker_task()
            if parent is not None:
                parent.add_trail(result)
        return result


def call(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> AsyncResult[Any]:
    """Send a task that is known here, or run it at once when the settings say `task_always_eager`."""
    if task.app.conf.task_always_eager:
        return call_eagerly(task, args, kwargs, options)
    return _send(prepare_task(task, args, kwargs, options))


def send_task(app: App, name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> AsyncResult[Any]:
    """Send a task by name. Where it is registered here too, its attributes are defaults of the call."""
    return _send(prepare_named(app, name, args, kwargs, options))


def _send(prepared: Prepared) -> AsyncResult[Any]:
    app, producer = prepared.app, prepared.producer
    publish = partial(publish_one, app, producer, prepared.message, prepared.options)
    holder = with_queues(app, producer, prepared.draft.declare, publish)
    return prepared.sent() if holder is None else prepared.not_sent(holder)


def prepare_task(task: Any, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Prepared:
    """Return a call of a task that is known here, ready to be sent."""
    merged = merge(task, options)
    if merged.get("shadow") is None:
        merged["shadow"] = task.shadow_name(args or (), kwargs or {}, merged)
    return _prepare(task.app, task, task.name, args, kwargs, merged, options)


def prepare_named(app: App, name: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Prepared:
    """Return a call of a task by its name, ready to be sent."""
    return _prepare(app, app.registry.get(name), name, args, kwargs, merge_named(app, name, options), options)


def merge_named(app: App, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call by name, over those of the task where it is registered here too."""
    if app.conf.task_always_eager:
        warnings.warn(AlwaysEagerIgnored("send_task ignores task_always_eager: use the task itself."), stacklevel=4)
    task = app.registry.get(name)
    return dict(options) if task is None else {**execution_options(task), **options}


def compose(
    app: App, name: str, args: Any = None, kwargs: Any = None, options: Mapping[str, Any] | None = None
) -> OutgoingMessage:
    """Return the message of a call without sending it.

    Handlers of `before_task_publish` are called when there are any, for they may change what is sent; a queue that has
    more than a name is declared, for whoever publishes the message does not know of it.

    Args:
        app: gives settings, routes and queues.
        name: of the task.
        args: positional arguments.
        kwargs: keyword arguments.
        options: calling options (`fastq.app.options.CallOptions`); the task's own are added if it is registered.
    """
    task = app.registry.get(name)
    merged = merge(task, options or {})
    draft, _ = _draft(app, task, name, args, kwargs, merged, options or {})
    if draft.declare:
        declare(app, app.producer, draft.declare)
    return encode(draft)


def _prepare(
    app: App, task: Any, name: str, args: Any, kwargs: Any, merged: dict[str, Any], given: Mapping[str, Any]
) -> Prepared:
    if merged.get("connection") is not None:
        raise NotSupported("The option 'connection' is not supported: give a producer, or set broker_url.")
    draft, merged = _draft(app, task, name, args, kwargs, merged, given)
    return Prepared(app, task, name, draft, merged, encode(draft))


def _draft(
    app: App, task: Any, name: str, args: Any, kwargs: Any, merged: dict[str, Any], given: Mapping[str, Any]
) -> tuple[Draft, dict[str, Any]]:
    """Return the draft of a call, and the call's options with everything that was added to them.

    Args:
        app: gives settings, routes and queues.
        task: the task, None when only its name is known here.
        name: of the task.
        args: positional arguments.
        kwargs: keyword arguments.
        merged: the options of call and task.
        given: those of the call alone.
    """
    merged = _inherit(app, merged)
    checks.check_options(merged, given, task)
    if merged.get("serializer") is None:
        checks.check_settings(app.conf, "task_serializer")
    if not merged.get("task_id"):
        merged["task_id"] = new_id()
    router = merged.get("router")
    router = app.router if router is None else Router(router, app.queues, app.conf.task_default_queue)
    routed = router.route(merged, merged.get("route_name") or name, args or (), kwargs, merged.get("task_type") or task)
    checks.check_options({key: value for key, value in routed.items() if value is not merged.get(key)}, routed)
    merged = routed
    given_headers = merged.get("headers") or {}
    # The next try has the keys of the first, whatever its arguments are now.
    if bounds.are_wanted(merged) and not bounds.are_made(given_headers):
        made = bounds.headers(name, task, args or (), kwargs or {}, merged)
        merged["headers"] = {**made, **given_headers}
    sender = identity()
    draft = build(app, name, args, kwargs, merged, now=app.now(), origin=sender.origin, reply_to=sender.reply_to)
    if signals.before_task_publish:
        merged["retry_policy"] = retry_policy(app, merged)
        signals.before_task_publish.send(
            name,
            body=draft.body,
            exchange=draft.exchange,
            routing_key=draft.routing_key,
            headers=draft.headers,
            properties=draft.properties,
            declare=draft.declare,
            retry_policy=merged["retry_policy"],
        )
    return draft, merged


def _inherit(app: App, merged: dict[str, Any]) -> dict[str, Any]:
    """Return the options with what the run that sends this task hands on: root, parent, priority, stamps."""
    merged = dict(merged)
    task = current.get_current_worker_task()
    if task is None:
        return merged
    request = task.request
    if merged.get("root_id") is None:
        merged["root_id"] = request.root_id or request.id
    if merged.get("parent_id") is None:
        merged["parent_id"] = request.id
    if merged.get("priority") is None and app.conf.task_inherit_parent_priority:
        merged["priority"] = (request.delivery_info or {}).get("priority")
    inherit_stamps(request, merged)
    return merged


def inherit_stamps(request: Context, options: dict[str, Any]) -> None:
    """Add the stamps of a run to the options of what it sends; those that these have already stay."""
    if not request.stamped_headers:
        return
    own = list(options.get("stamped_headers") or ())
    for stamp in request.stamped_headers:
        if stamp not in own:
            own.append(stamp)
            options.setdefault(stamp, (request.stamps or {}).get(stamp))
    options["stamped_headers"] = own


def call_eagerly(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> AsyncResult[Any]:
    """Run a task here, its arguments having been through the serializer: what would not survive it fails here too."""
    checks.check_options(options, options)
    serializer = options.pop("serializer", None) or task.serializer
    content_type, content_encoding, body = registry.dumps([args or (), kwargs or {}], serializer)
    args, kwargs = registry.loads(body, content_type, content_encoding, {content_type})
    for name in ("producer", "publisher", "result_cls", "add_to_parent", *bounds.OPTIONS):
        options.pop(name, None)
    options.setdefault("task_id", new_id())
    return cast("AsyncResult[Any]", task.apply(args, kwargs, **options))
