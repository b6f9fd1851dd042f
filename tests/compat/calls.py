"""Calls whose messages are recorded: made with Celery by `recording`, made again with fastq by the tests."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from tests.compat.shop import Shop

__all__ = ["CALLS", "TYPED", "WORKFLOWS", "Call"]


class Call(NamedTuple):
    """A call, sent to a queue that nobody serves."""

    name: str
    description: str
    send: Callable[[Shop], Any]


MOMENT = dt.datetime(2037, 5, 6, 7, 8, 9, 123456, tzinfo=dt.timezone.utc)
ELSEWHERE = dt.datetime(2037, 5, 6, 7, 8, 9, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30)))
TYPED: dict[str, Any] = {
    "datetime": MOMENT,
    "elsewhere": ELSEWHERE,
    "naive": dt.datetime(2037, 5, 6, 7, 8),  # noqa: DTZ001 - a time without a zone is one of the cases
    "date": dt.date(2037, 5, 6),
    "time": dt.time(7, 8, 9, 5),
    "decimal": Decimal("12.340"),
    "uuid": uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    "text bytes": "grün".encode(),
    "other bytes": b"\xff\x00\xfe",
    "no bytes": b"",
    "tuple": (1, (2, 3)),
}
"""Values that JSON lacks. Keys of several words, so that none is taken for an envelope's."""

UNICODE = ["grün 🛒", "\u2028", "\x00\x1f\x7f", '"\\/', "‮", "日本"]
NUMBERS = [2**63 - 1, 2**63, -(2**63), 2**64, 10**40, -1, 0.1, 1e300, 1e-7, 1.0, -0.0, 123456789.123456789, 1e16, 1e22]
NESTED = {"a": {"b": {"c": {"d": {"e": 1}}}}, "list": [[[[[1]]]]], "empty": [{}, [], ()]}

CALLS: list[Call] = [
    Call("plain", "delay() with positional arguments", lambda s: s.add.delay(1, 2)),
    Call("arguments-none", "delay() without arguments", lambda s: s.keep.delay()),
    Call("arguments-keyword", "delay() with keyword arguments", lambda s: s.keep.delay(1, colour="red", size=None)),
    Call("arguments-long", "representations are cut", lambda s: s.keep.delay("x" * 3000, text="y" * 3000)),
    Call("arguments-many", "representations of many items are cut", lambda s: s.keep.delay(list(range(1000)))),
    Call("arguments-nested", "representations have a depth", lambda s: s.keep.delay(NESTED, nested=NESTED)),
    Call("arguments-unicode", "text beyond ASCII, controls, separators", lambda s: s.keep.delay(*UNICODE, ü="ü")),
    Call("arguments-numbers", "integers beyond 64 bits, floats at the edges", lambda s: s.keep.delay(*NUMBERS)),
    Call("arguments-nan", "NaN and infinities", lambda s: s.keep.delay(float("nan"), [float("inf"), -float("inf")])),
    Call("arguments-typed", "values that JSON lacks", lambda s: s.keep.delay(list(TYPED.values()), **TYPED)),
    Call("arguments-keys", "keys that are no text", lambda s: s.keep.delay({7: "a", None: "b", True: "c", 2.5: "d"})),
    Call("arguments-shown", "representations given by the caller", lambda s: s.keep.apply_async(
        (1,), {"secret": 2}, argsrepr="(hidden)", kwargsrepr="{hidden}")),
    Call("by-name", "send_task(): whether the result is ignored is left open", lambda s: s.app.send_task(
        "elsewhere.unknown", (1,), {"a": 2})),
    Call("by-name-known", "send_task() of a task that is registered", lambda s: s.app.send_task("shop.quiet", (1,))),
    Call("task-id", "an id of the caller's", lambda s: s.add.apply_async(
        (1, 2), task_id="3f1a9f0e-9d2b-4d24-8f1e-000000000001")),
    Call("task-id-free", "an id that is no UUID", lambda s: s.add.apply_async((1, 2), task_id="order-17")),
    Call("countdown", "countdown=", lambda s: s.add.apply_async((1, 2), countdown=600)),
    Call("eta", "eta= with a zone", lambda s: s.add.apply_async((1, 2), eta=MOMENT)),
    Call("eta-elsewhere", "eta= in another zone", lambda s: s.add.apply_async((1, 2), eta=ELSEWHERE)),
    Call("expires", "expires= in seconds", lambda s: s.add.apply_async((1, 2), expires=200)),
    Call("expires-moment", "expires= as a time", lambda s: s.add.apply_async((1, 2), expires=MOMENT)),
    Call("expires-of-task", "a task that expires", lambda s: s.flaky.delay(0)),
    *(
        Call(f"priority-{level}", f"priority={level}", lambda s, level=level: s.add.apply_async((1, 2), priority=level))
        for level in (0, 2, 3, 9)
    ),
    Call("headers", "headers= are merged flat", lambda s: s.add.apply_async(
        (1, 2), headers={"tenant": "acme", "depth": {"a": [1, None]}, "x-death": []})),
    Call("headers-standard", "headers= win over standard ones", lambda s: s.add.apply_async(
        (1, 2), headers={"origin": "elsewhere"})),
    Call("shadow", "shadow=", lambda s: s.add.apply_async((1, 2), shadow="add for acme")),
    Call("time-limits", "both time limits of a call", lambda s: s.add.apply_async(
        (1, 2), time_limit=20, soft_time_limit=10.5)),
    Call("time-limits-of-task", "time limits of a task", lambda s: s.limited.delay()),
    Call("ignore-result", "ignore_result=True of a call", lambda s: s.add.apply_async((1, 2), ignore_result=True)),
    Call("ignore-result-of-task", "a task that has no result", lambda s: s.quiet.delay(1)),
    Call("queue", "queue=", lambda s: s.add.apply_async((1, 2), queue="slow")),
    Call("transient", "delivery_mode=", lambda s: s.add.apply_async((1, 2), delivery_mode="transient")),
    Call("reply-to", "reply_to=", lambda s: s.add.apply_async((1, 2), reply_to="answers")),
    Call("property", "an unknown option becomes a property", lambda s: s.add.apply_async((1, 2), app_id="shop")),
    Call("family", "root, parent and group given by the caller", lambda s: s.add.apply_async(
        (1, 2), root_id="r", parent_id="p", group_id="g", group_index=3)),
    Call("stamped-options", "stamps given as options", lambda s: s.add.apply_async(
        (1, 2), stamped_headers=["order", "batch"], order=["o-1"], batch="b")),
    Call("link", "link= with a partial signature", lambda s: s.add.apply_async((1, 2), link=s.add.s(10))),
    Call("link-many", "several links, one immutable, one with options", lambda s: s.add.apply_async(
        (1, 2), link=[s.add.s(10), s.echo.si("done").set(queue="slow", countdown=5)])),
    Call("link-error", "link_error=", lambda s: s.add.apply_async((1, 2), link_error=s.keep.s("failed"))),
    Call("link-nested", "a link with a link", lambda s: s.add.apply_async(
        (1, 2), link=s.add.s(10, y=3).set(link=s.echo.s()))),
    *(
        Call(f"compression-{name}", f"compression={name!r}", lambda s, name=name: s.echo.apply_async(
            ("x" * 500,), compression=name))
        for name in ("zlib", "bzip2", "lzma", "zstd", "brotli")
    ),
    *(
        Call(f"serializer-{name}", f"serializer={name!r}", lambda s, name=name: s.keep.apply_async(
            (1, "grün", [1.5, None, True]), {"map": {"a": -1}}, serializer=name))
        for name in ("json", "msgpack", "yaml", "pickle")
    ),
    Call("serializer-msgpack-bytes", "msgpack keeps bytes and text apart", lambda s: s.keep.apply_async(
        (b"\xff\x00", "text", {"k": b""}), serializer="msgpack")),
    Call("serializer-pickle-types", "pickle keeps every type", lambda s: s.keep.apply_async(
        (MOMENT, Decimal("1.5"), {1, 2}, (3,)), serializer="pickle")),
    Call("serializer-yaml-types", "yaml has times and dates", lambda s: s.keep.apply_async(
        (dt.date(2037, 5, 6), MOMENT), serializer="yaml")),
    Call("compressed-msgpack", "both at once", lambda s: s.echo.apply_async(
        ("x" * 500,), serializer="msgpack", compression="zlib")),
    Call("signature", "a signature with options of its own", lambda s: s.add.s(1).set(
        priority=5, queue="slow", expires=300).apply_async((2,))),
    Call("signature-frozen", "a signature that got its id before", lambda s: _frozen(s.add.s(1, 2)).apply_async()),
]  # fmt: skip

WORKFLOWS: list[Call] = [
    Call("chain", "three steps; the rest travels in reverse", lambda s: s.canvas.chain(
        s.add.s(1, 2), s.add.s(3), s.add.si(4, 5)).apply_async()),
    Call("chain-of-one-link", "a chain with a callback and an errback", lambda s: s.canvas.chain(
        s.add.s(1, 2), s.add.s(3)).apply_async(link=s.echo.s(), link_error=s.keep.s("failed"))),
    Call("group", "three members", lambda s: s.canvas.group(s.add.s(i, i) for i in range(3)).apply_async()),
    Call("group-of-one", "one member", lambda s: s.canvas.group([s.add.s(1, 1)]).apply_async()),
    Call("group-countdown", "options for every member", lambda s: s.canvas.group(
        s.add.s(i, i) for i in range(2)).apply_async(countdown=60, queue="slow")),
    Call("chord", "two header tasks and a body", lambda s: s.canvas.chord(
        [s.add.s(1, 1), s.add.s(2, 2)], s.total.s()).apply_async()),
    Call("chord-in-chain", "a group followed by a task becomes a chord", lambda s: s.canvas.chain(
        s.add.s(1, 2), s.canvas.group(s.add.s(3), s.add.s(4)), s.total.s()).apply_async()),
    Call("chord-of-chains", "header members with several steps", lambda s: s.canvas.chord(
        [s.canvas.chain(s.add.s(1, 1), s.add.s(2)), s.add.s(5, 5)], s.total.s()).apply_async()),
    Call("group-of-groups", "nested groups are flattened", lambda s: s.canvas.group(
        s.canvas.group(s.add.s(1, 1), s.add.s(2, 2)), s.add.s(3, 3)).apply_async()),
    Call("group-in-chain", "a chain that ends in a group", lambda s: s.canvas.chain(
        s.add.s(1, 2), s.canvas.group(s.add.s(3), s.add.s(4))).apply_async()),
    Call("chord-of-chords", "a chord as a member, a group as the body", lambda s: s.canvas.chord(
        [s.canvas.chord([s.add.s(1, 1)], s.total.s()), s.add.s(2, 2)], s.canvas.group(s.total.s(), s.echo.s())
        ).apply_async()),
    Call("chord-chain-body", "a body that is a chain, in a chain", lambda s: s.canvas.chain(
        s.add.s(1, 2), s.canvas.chord([s.add.s(3)], s.canvas.chain(s.total.s(), s.add.s(4))),
        s.add.s(5)).apply_async()),
    Call("chord-options", "a chord with options, whose body has a callback", lambda s: s.canvas.chord(
        [s.add.s(1, 1)], s.total.s().set(link=s.echo.s())).apply_async(priority=3, queue="slow")),
    Call("chain-links", "links of a step, and of a group's members", lambda s: s.canvas.chain(
        s.add.s(1, 2).set(link=s.echo.s()), s.canvas.group(s.add.s(3).on_error(s.keep.s("failed")), s.add.s(4))
        ).apply_async()),
    Call("map", "map()", lambda s: s.canvas.xmap(s.echo.s(), [1, 2, 3]).apply_async()),
    Call("starmap", "starmap()", lambda s: s.canvas.xstarmap(s.add.s(), [(1, 2), (3, 4)]).apply_async()),
    Call("chunks", "chunks()", lambda s: s.add.chunks([(1, 2), (3, 4), (5, 6)], 2).apply_async()),
    Call("stamped", "stamp() on one signature", lambda s: s.add.s(1, 2).stamp(order="o-1").apply_async()),
    Call("stamped-chain", "stamp() on a chain", lambda s: _stamped(s.canvas.chain(
        s.add.s(1, 2), s.add.s(3))).apply_async()),
    Call("stamped-group", "stamp() on a group", lambda s: _stamped(s.canvas.group(
        s.add.s(1, 2), s.add.s(3, 4))).apply_async()),
    Call("stamped-chord", "stamp() on a chord", lambda s: _stamped(s.canvas.chord(
        [s.add.s(1, 2)], s.total.s())).apply_async()),
]  # fmt: skip


def _frozen(signature: Any) -> Any:
    signature.freeze()
    return signature


def _stamped(signature: Any) -> Any:
    signature.stamp(order="o-1")
    return signature
