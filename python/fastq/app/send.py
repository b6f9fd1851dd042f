"""Sending: a call becomes a message, and the message goes to the broker (protocol.md §4).

`call` is what `apply_async` does when anything special is asked; `app/plan.py` is the short cut for calls that ask for
nothing. `compose` makes a message without sending it, for runs, whose messages travel in their outcome.
"""

from __future__ import annotations

import os
import threading
import time as clock
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import orjson

from fastq import signals
from fastq._core import Producer, new_id, url_info
from fastq._seam import OutgoingMessage
from fastq.app import checks, current
from fastq.app.message import Draft, build, encode
from fastq.app.options import execution_options, merge
from fastq.app.queues import Queue
from fastq.app.routes import Router
from fastq.exceptions import AlwaysEagerIgnored, ImproperlyConfigured, NotSupported, OperationalError
from fastq.names import anonymous_node
from fastq.serialization import registry
from fastq.text import hide_password

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq.app.protocol import App, Publisher
    from fastq.result import AsyncResult

__all__ = [
    "Sender",
    "call",
    "compose",
    "declare",
    "identity",
    "make_producer",
    "new_id",
    "publish",
    "publish_one",
    "send_task",
]


def make_producer(app: App) -> Publisher:
    """Return a new producer for the broker of the settings; it connects on first use.

    Raises:
        ImproperlyConfigured: the URL cannot be read; names the setting.
        NotSupported: it names a broker that this version does not have; names the setting.
    """
    conf = app.conf
    options = dict(conf.broker_transport_options or {})
    if conf.is_set("broker_publish_timeout"):  # the core has the same default, and not every broker has the option
        options["publish_timeout"] = conf.broker_publish_timeout
    setting = "broker_write_url" if conf.is_set("broker_write_url") and conf.broker_write_url else "broker_url"
    url = conf[setting]
    try:
        known = url_info(url)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"{setting} is {hide_password(url)!r}, which cannot be used: {error}") from None
    if not known["supported"]:
        raise NotSupported(
            f"{setting} is {hide_password(url)!r}, but this version has no {known['scheme']} broker. "
            "Use sqlite:///path/to/file.db."
        )
    return Producer(url, orjson.dumps(options, default=str).decode())


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
    origin, reply_to = anonymous_node(), new_id()
    made = Sender(process, origin, reply_to, orjson.dumps(origin), orjson.dumps(reply_to))
    _senders.known = made
    return made


def call(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> AsyncResult[Any]:
    """Send a task that is known here, or run it at once when the settings say `task_always_eager`."""
    app: App = task.app
    if app.conf.task_always_eager:
        checks.check_options(options, options)
        return cast("AsyncResult[Any]", _call_eagerly(task, args, kwargs, options))
    merged = merge(task, options)
    if merged.get("shadow") is None:
        merged["shadow"] = task.shadow_name(args or (), kwargs or {}, merged)
    return _send(app, task, task.name, args, kwargs, merged, options)


def send_task(app: App, name: str, args: Any, kwargs: Any, options: dict[str, Any]) -> AsyncResult[Any]:
    """Send a task by name. Where it is registered here too, its attributes are defaults of the call."""
    if app.conf.task_always_eager:
        warnings.warn(AlwaysEagerIgnored("send_task ignores task_always_eager: use the task itself."), stacklevel=3)
    task = app.registry.get(name)
    merged = options if task is None else {**execution_options(task), **options}
    return _send(app, task, name, args, kwargs, merged, options)


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


def publish(app: App, messages: OutgoingMessage | Sequence[OutgoingMessage], producer: Publisher | None = None) -> None:
    """Send composed messages, in order.

    Raises:
        OperationalError: the broker could not be reached in time.
    """
    producer = producer or app.producer
    if isinstance(messages, OutgoingMessage):
        messages = (messages,)
    if len(messages) == 1:
        publish_one(app, producer, messages[0])
    elif messages:
        producer.publish_many(messages)


def _send(
    app: App, task: Any, name: str, args: Any, kwargs: Any, merged: dict[str, Any], given: Mapping[str, Any]
) -> AsyncResult[Any]:
    if merged.get("connection") is not None:
        raise NotSupported("The option 'connection' is not supported: give a producer, or set broker_url.")
    draft, merged = _draft(app, task, name, args, kwargs, merged, given)
    producer = merged.get("producer") or merged.get("publisher") or app.producer
    message = encode(draft)
    declare(app, producer, draft.declare)
    publish_one(app, producer, message, merged)
    if signals.after_task_publish:
        signals.after_task_publish.send(
            name, body=draft.body, headers=draft.headers, exchange=draft.exchange, routing_key=draft.routing_key
        )
    return _result(app, task, name, merged)


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
    if request.stamped_headers:
        own = list(merged.get("stamped_headers") or ())
        for stamp in request.stamped_headers:
            if stamp not in own:
                own.append(stamp)
                merged.setdefault(stamp, (request.stamps or {}).get(stamp))
        merged["stamped_headers"] = own
    return merged


def declare(app: App, producer: Publisher, queues: Sequence[Any]) -> None:
    """Declare queues that have more than a name, each once for the app's own producer."""
    known = app.declared if producer is app.producer else set()
    fresh = [queue for queue in map(Queue.of, queues) if queue.name not in known] if queues else []
    if fresh:
        producer.declare([spec for queue in fresh if not queue.no_declare for spec in queue.specs()])
        known.update(queue.name for queue in fresh)


def publish_one(
    app: App, producer: Publisher, message: OutgoingMessage, options: Mapping[str, Any] | None = None
) -> None:
    """Publish; while the broker is out of reach, repeat as the retry policy says, but never past the deadline.

    The deadline (`broker_publish_timeout`, or the option `timeout`) is what keeps a web request from hanging.

    Raises:
        OperationalError: the broker could not be reached in time.
    """
    begun = clock.monotonic()
    try:
        producer.publish(*message)
    except OperationalError as error:
        retry = (options or {}).get("retry")
        if not (app.conf.task_publish_retry if retry is None else retry):
            raise
        _publish_again(app, producer, message, options or {}, begun, error)


def _publish_again(
    app: App,
    producer: Publisher,
    message: OutgoingMessage,
    options: Mapping[str, Any],
    begun: float,
    failure: OperationalError,
) -> None:
    policy = retry_policy(app, options)
    within = options.get("timeout") or app.conf.broker_publish_timeout
    tries = policy.get("max_retries", 3)
    pause = float(policy.get("interval_start") or 0)
    tried = 0
    while tries is None or tried < tries:
        if within is not None and clock.monotonic() + pause > begun + within:
            break
        clock.sleep(pause)  # noqa: TID251 - the pause is the point: there is no fact to wait for
        try:
            producer.publish(*message)
        except OperationalError as error:
            failure = error
        else:
            return
        tried += 1
        pause = min(pause + float(policy.get("interval_step") or 0), float(policy.get("interval_max") or 1))
    raise failure


def retry_policy(app: App, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a failed publish of this call is repeated: the call's own policy over that of the settings."""
    return {**(app.conf.task_publish_retry_policy or {}), **(options.get("retry_policy") or {})}


def _result(app: App, task: Any, name: str, merged: Mapping[str, Any]) -> AsyncResult[Any]:
    """Return the result of what was sent, remembered by the run that sent it."""
    task_id = merged["task_id"]
    make = merged.get("result_cls")
    if make is not None:
        result: AsyncResult[Any] = make(task_id)
    elif task is not None:
        result = task.AsyncResult(task_id)
    else:
        result = app.AsyncResult(task_id, task_name=name)
    result.ignored = bool(merged.get("ignore_result"))
    if merged.get("add_to_parent", True):
        parent = current.get_current_worker_task()
        if parent is not None:
            parent.add_trail(result)
    return result


def _call_eagerly(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
    """Run a task here, its arguments having been through the serializer: what would not survive it fails here too."""
    serializer = options.pop("serializer", None) or task.serializer
    content_type, content_encoding, body = registry.dumps([args or (), kwargs or {}], serializer)
    args, kwargs = registry.loads(body, content_type, content_encoding, {content_type})
    for name in ("producer", "publisher", "result_cls", "add_to_parent"):
        options.pop(name, None)
    options.setdefault("task_id", new_id())
    return task.apply(args, kwargs, **options)
