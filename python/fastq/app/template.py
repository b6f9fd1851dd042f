"""What many calls have in common, worked out once, down to the bytes of their headers.

Calls of one task with the same options differ in an id, who sends them, two representations and the body. Everything
else is written once, with a place for each of these, and a message is made by filling the places. The long way through
`send.prepare` makes the same bytes, which a test compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orjson import dumps as dump_text

from fastq._seam import Route
from fastq.app import bounds, checks
from fastq.app.attributes import Attributes
from fastq.app.message import REPR_LIMIT, build
from fastq.serialization import json, registry
from fastq.text import saferepr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq.app.protocol import App
    from fastq.app.send import Sender

__all__ = ["Family", "Parts", "Template", "family", "make_template"]

Parts = tuple[Route, bytes, bytes, bytes]
"""A message as it crosses the seam: route, headers, properties, body."""

Family = tuple[bytes, bytes]
"""Ids of root and parent, as JSON."""

# What stands in the template where a call's own values go: texts that JSON writes as they are and no setting contains.
_ID, _ROOT, _PARENT, _ARGS, _KWARGS, _ORIGIN, _REPLY, _INDEX = (f"fastq-slot-{n}-7f3a" for n in range(8))

_OF_ONE_CALL: Final = frozenset(
    {
        "task_id", "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "reply_to", "compression", "router",
        "task_type", "result_cls", "stamped_headers", "connection",
    }
)  # fmt: skip
"""Options with which a call takes the long way."""

_NO_KEYWORDS: Final = b'"{}"'


class Template(NamedTuple):
    """Calls of one task with the same options, but for what differs from call to call."""

    route: Route
    head: bytes
    """The headers, a format with places for id, root, parent, two representations and origin."""
    tail: bytes
    """The properties, a format with places for id and the queue for answers."""
    embed: dict[str, Any]
    """What the body says besides arguments."""
    embed_text: bytes
    """The same as JSON, written once; empty where it says nothing, or the body is in another format."""
    serializer: str | None
    levels: int
    declare: list[Any]
    """Queues that must exist."""
    ignored: bool
    """Whether the calls say that their result does not matter."""
    indexed: bool = False
    """Whether the calls are members of a group: the headers have a place for each one's number in it, behind the id."""

    def message(
        self, task_id: str, args: Any, kwargs: Any, above: Family | None, sender: Sender, index: int = 0
    ) -> Parts:
        """Return the message of one call.

        Args:
            task_id: its id.
            args: positional arguments: a tuple or list.
            kwargs: keyword arguments: a dictionary.
            above: of the run that sends it; None: nobody's.
            sender: who sends.
            index: place in the group.

        Raises:
            EncodeError: the arguments cannot be written in the format of the serializer.
        """
        route, head, tail, embed, embed_text, serializer, levels, _, _, indexed = self
        quoted = b'"%b"' % task_id.encode()
        root, parent = above or (quoted, b"null")
        if embed_text:
            # Members of a chord say all the same, which is longer than their arguments.
            body = b"%b,%b]" % (json.dumps([args, kwargs])[:-1], embed_text)
        else:
            _, _, body = registry.dumps([args, kwargs, embed], serializer)
        shown = _text(saferepr(tuple(args), REPR_LIMIT, levels))
        named = _text(saferepr(kwargs, REPR_LIMIT, levels)) if kwargs else _NO_KEYWORDS
        own = (quoted, b"%d" % index) if indexed else (quoted,)
        headers = head % (*own, root, parent, shown, named, sender.origin_text)
        return route, headers, tail % (quoted, sender.reply_to_text), body


def make_template(
    app: App, task: Any, name: str, merged: Mapping[str, Any], given: Mapping[str, Any], indexed: bool = False
) -> Template | None:
    """Return the template of calls with these options; None when every call must take the long way.

    Args:
        app: gives settings, routes and queues.
        task: the task, None when only its name is known here.
        name: of the task.
        merged: options of the calls and the task. Times that count from now count from this moment.
        given: those of the calls alone.
        indexed: whether the calls are members of a group, each with a place of its own.

    Raises:
        TypeError, ValueError: an option that cannot work.
    """
    if not _is_plain(app, task) or not _OF_ONE_CALL.isdisjoint(given):
        return None
    marks = {"task_id": _ID, "root_id": _ROOT, "parent_id": _PARENT, "argsrepr": _ARGS, "kwargsrepr": _KWARGS}
    if bounds.are_wanted(merged):
        return None  # the keys are made of each call's arguments
    merged = {**merged, **marks, **({"group_index": _INDEX} if indexed else {})}
    checks.check_options(merged, {**given, **marks}, task)
    if merged.get("serializer") is None:
        checks.check_settings(app.conf, "task_serializer")
    options = app.router.route(merged, merged.get("route_name") or name, (), {}, task)
    checks.check_options({key: value for key, value in options.items() if value is not merged.get(key)}, options)
    draft = build(app, name, (), {}, options, now=app.now(), origin=_ORIGIN, reply_to=_REPLY)
    if draft.compression:
        return None
    content_type, content_encoding, _ = registry.dumps(draft.body, draft.serializer)
    properties = {**draft.properties, "content_type": content_type, "content_encoding": content_encoding}
    own = (_ID, _INDEX) if indexed else (_ID,)
    head = _format(json.dumps(draft.headers), (*own, _ROOT, _PARENT, _ARGS, _KWARGS, _ORIGIN))
    tail = _format(json.dumps(properties), (_ID, _REPLY))
    if head is None or tail is None:
        return None
    return Template(
        route=Route(draft.exchange, draft.routing_key, draft.priority, draft.due),
        head=head,
        tail=tail,
        embed=draft.body[2],
        embed_text=_written_once(draft.body[2]) if content_type == registry.JSON else b"",
        serializer=draft.serializer,
        levels=app.conf.task_repr_maxlevels,
        declare=draft.declare,
        ignored=bool(merged.get("ignore_result")),
        indexed=indexed,
    )


def _written_once(embed: dict[str, Any]) -> bytes:
    """Return what bodies say besides arguments; nothing where that is short, or written otherwise in some bodies."""
    return json.dumps(embed) if any(embed.values()) and json.is_plain(embed) else b""


def _is_plain(app: App, task: Any) -> bool:
    """Tell whether calls differ in nothing but their arguments and the run they are sent from."""
    return (
        not app.conf.task_inherit_parent_priority
        and app.router.fixed
        and (task is None or type(task).shadow_name is Attributes.shadow_name)
    )


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


def family(request: Any) -> Family:
    """Return root and parent of what a run sends."""
    return dump_text(request.root_id or request.id), dump_text(request.id)


def _text(value: str) -> bytes:
    """Return a text as JSON; half a surrogate pair, which a user's `__repr__` may return, becomes a question mark."""
    try:
        return dump_text(value)
    except TypeError:
        return dump_text(value.encode("utf-8", "replace").decode())
