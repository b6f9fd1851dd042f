"""The short cut of a call that asks for nothing special: `task.delay(1, 2)`.

Everything that depends on the task and the settings alone is worked out once, down to the bytes of the headers; what
is left per call is an id, two representations, the body and the publish. The plan is dropped when an attribute of the
task or a setting changes, and every case it does not cover takes the long way through `send.call`. Both ways make the
same message, which a test compares byte for byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import dumps as dump_text

from fastq._seam import OutgoingMessage, Route
from fastq.app import checks, send
from fastq.app.attributes import Attributes
from fastq.app.current import current_frame
from fastq.app.message import REPR_LIMIT, build
from fastq.app.options import merge
from fastq.serialization import json, registry
from fastq.signals import after_task_publish, before_task_publish
from fastq.text import saferepr
from fastq.time import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastq.app.context import Context
    from fastq.app.message import Draft
    from fastq.conf.settings import Settings
    from fastq.result import AsyncResult

__all__ = ["Plan", "make_plan"]

_EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

# What stands in the template where a call's own values go: texts that JSON writes as they are and no setting contains.
_ID, _ROOT, _PARENT, _ARGS, _KWARGS, _ORIGIN, _REPLY = (f"fastq-slot-{n}-7f3a" for n in range(7))


class Plan(NamedTuple):
    """How calls of one task are sent."""

    revision: int
    settings: Settings
    check: Callable[..., Any] | None
    """Raises TypeError for arguments the task does not take."""
    quick: Callable[[Any, Any], AsyncResult[Any]] | None
    """Sends a call that has arguments only; None when every call must take the long way."""


def make_plan(task: Any) -> Plan:
    """Return the plan for the task as it and the settings are now."""
    app = task.app
    app.finalize(auto=True)
    conf = app.conf
    revision = conf.revision
    check = task.__header__ if task.typing else None
    return Plan(revision, conf, check, _quick(task) if _is_plain(task) else None)


def _is_plain(task: Any) -> bool:
    """Tell whether calls differ in nothing but their arguments and the run they are sent from."""
    conf = task.app.conf
    return (
        not conf.task_always_eager
        and not conf.task_inherit_parent_priority
        and task.app.router.fixed
        and not task.compression
        and task.expires is None
        and type(task).shadow_name is Attributes.shadow_name
    )


def _template(task: Any) -> Draft:
    """Return the draft of a call of the task, with marks where a call's own values go."""
    app = task.app
    own = {"task_id": _ID, "root_id": _ROOT, "parent_id": _PARENT, "argsrepr": _ARGS, "kwargsrepr": _KWARGS}
    merged = merge(task, own)
    checks.check_options(merged, own, task)
    options = app.router.route(merged, task.name, (), {}, task)
    checks.check_options({**options, "task_id": _ID}, options)
    return build(app, task.name, (), {}, options, now=now(), origin=_ORIGIN, reply_to=_REPLY)


def _quick(task: Any) -> Callable[[Any, Any], AsyncResult[Any]] | None:
    draft = _template(task)
    if draft.declare or draft.due is not None:
        return None
    content_type, content_encoding, _ = registry.dumps(draft.body, draft.serializer)
    properties = {**draft.properties, "content_type": content_type, "content_encoding": content_encoding}
    head = _format(json.dumps(draft.headers), (_ID, _ROOT, _PARENT, _ARGS, _KWARGS, _ORIGIN))
    tail = _format(json.dumps(properties), (_ID, _REPLY))
    if head is None or tail is None:
        return None
    return _sender(task, Route(draft.exchange, draft.routing_key, draft.priority), head, tail)


def _format(text: bytes, marks: Sequence[str]) -> bytes | None:
    """Return a `%` format with a place for each mark; None if they do not stand there once each, in this order."""
    made = text.replace(b"%", b"%%")
    at = -1
    for mark in marks:
        quoted = f'"{mark}"'.encode()
        if made.count(quoted) != 1 or made.index(quoted) < at:
            return None
        at = made.index(quoted)
        made = made.replace(quoted, b"%b")
    return made


def _sender(task: Any, route: Route, head: bytes, tail: bytes) -> Callable[[Any, Any], AsyncResult[Any]]:
    """Return the function that sends a call; everything it uses is a local of this one."""
    app = task.app
    levels = app.conf.task_repr_maxlevels
    serializer = task.serializer
    ignored = bool(task.ignore_result)
    make_result, new_id, identity, encode = task.AsyncResult, send.new_id, send.identity, registry.dumps

    def quick(args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> AsyncResult[Any]:
        args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
        frame = current_frame()
        while frame is not None and frame.request.called_directly:
            frame = frame.below
        if (
            before_task_publish
            or after_task_publish
            or (type(args) is not tuple and type(args) is not list)
            or type(kwargs) is not dict
            or (frame is not None and frame.request.stamped_headers)
        ):
            return send.call(task, args, kwargs, {})
        task_id = new_id()
        quoted = b'"%b"' % task_id.encode()
        root, parent = (quoted, b"null") if frame is None else _family(frame.request)
        sender = identity()
        _, _, body = encode([args, kwargs, _EMBED], serializer)
        shown = _text(saferepr(tuple(args), REPR_LIMIT, levels)), _text(saferepr(kwargs, REPR_LIMIT, levels))
        headers = head % (quoted, root, parent, *shown, sender.origin_text)
        properties = tail % (quoted, sender.reply_to_text)
        send.publish_one(app, app.producer, OutgoingMessage(route, headers, properties, body))
        result: AsyncResult[Any] = make_result(task_id)
        result.ignored = ignored
        if frame is not None:
            frame.task.add_trail(result)
        return result

    return quick


def _family(request: Context) -> tuple[bytes, bytes]:
    """Return the root and the parent of what a run sends."""
    return dump_text(request.root_id or request.id), dump_text(request.id)


def _text(value: str) -> bytes:
    """Return a text as JSON; half a surrogate pair, which a user's `__repr__` may return, becomes a question mark."""
    try:
        return dump_text(value)
    except TypeError:
        return dump_text(value.encode("utf-8", "replace").decode())
