"""Runs whose results are recorded: what a Celery worker stored and sent, to be held against what fastq would."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.compat.calls import TYPED, UNICODE
from tests.compat.shop import FAILURES, Shop

__all__ = ["EVENTS", "RUNS", "SETTINGS", "Run"]

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "extended": {"result_extended": True},
    "compressed": {"result_compression": "zlib"},
    "pickled": {"result_serializer": "pickle"},
    "packed": {"result_serializer": "msgpack"},
    "yaml": {"result_serializer": "yaml"},
    "brief": {"result_expires": None},
}
"""Settings of the worker, by name."""


class Run(NamedTuple):
    """A call that a worker serves."""

    name: str
    description: str
    send: Callable[[Shop], Any]
    state: str = "SUCCESS"
    """What is waited for."""
    value: Any = None
    """What the result is read as; of exceptions class and arguments, as fastq restores them."""
    settings: str = "plain"
    outside: bool = False
    """Whether its end is not the executor's doing: a limit, a death, a revoke, an expiry."""


def _failures(settings: str) -> list[Run]:
    return [
        Run(
            f"{settings}-failure-{how}",
            f"raises: {how}",
            lambda s, how=how: s.fail.delay(how),
            "FAILURE",
            settings=settings,
        )
        for how in FAILURES
    ]


RUNS: list[Run] = [
    Run("success", "returns a number", lambda s: s.add.delay(1, 2), value=3),
    Run("success-none", "returns nothing", lambda s: s.keep.delay(), value=None),
    Run("success-unicode", "returns text", lambda s: s.echo.delay(UNICODE), value=UNICODE),
    Run("success-typed", "returns values that JSON lacks", lambda s: s.echo.delay(TYPED), value={
        **TYPED, "tuple": [1, [2, 3]]}),
    Run("success-big", "returns an integer beyond 64 bits", lambda s: s.echo.delay(10**30), value=10**30),
    Run("success-not-a-number", "returns an infinity", lambda s: s.echo.delay(float("inf")), value=float("inf")),
    Run("tracked", "STARTED is stored first", lambda s: s.tracked.delay(5), value=5),
    Run("progress", "a state of its own", lambda s: s.progress.delay(), value="done"),
    Run("group-member", "in a group, with a parent", lambda s: s.add.apply_async(
        (1, 2), group_id="g-1", parent_id="p-1", root_id="r-1"), value=3),
    Run("children", "sends another task", lambda s: s.send.delay(), value="sent"),
    Run("returns-result", "returns the result object of another task", lambda s: s.hand_over.delay(), value=...),
    Run("retry", "asks for another try", lambda s: s.flaky.delay(), "RETRY"),
    Run("retry-everything", "a retry of a call with everything", lambda s: s.flaky.apply_async(
        (1,), shadow="f", priority=4, headers={"tenant": "acme", "x-death": []}, time_limit=100, soft_time_limit=50,
        link=s.echo.s(), link_error=s.keep.s(), group_id="g", group_index=1, root_id="r", parent_id="p",
        reply_to="answers", expires=900, stamped_headers=["order"], order=["o-1"]), "RETRY"),
    Run("retry-elsewhere", "a retry into another queue", lambda s: s.flaky.delay(1, queue="elsewhere"), "RETRY"),
    *_failures("plain"),
    Run("gives-up", "has no tries left", lambda s: s.hopeless.delay(), "FAILURE"),
    Run("wrong-arguments", "is called with too many arguments", lambda s: s.app.send_task("shop.add", (1, 2, 3, 4)),
        "FAILURE"),
    Run("link-many", "several callbacks follow", lambda s: s.add.apply_async((1, 2), link=[
        s.echo.s().set(queue="elsewhere"), s.add.s(5).set(queue="elsewhere")]), value=3),
    Run("unknown", "a task that is not registered", lambda s: s.app.send_task("shop.unknown", (1,)), "FAILURE",
        outside=True),
    Run("link", "a callback follows", lambda s: s.add.apply_async((1, 2), link=s.echo.s().set(queue="elsewhere")),
        value=3),
    Run("link-error", "an errback follows", lambda s: s.fail.apply_async(
        ("key",), link_error=s.app.signature("shop.alarm", ("red",), queue="elsewhere")), "FAILURE"),
    Run("chain", "the next step follows", lambda s: s.add.apply_async((1, 2), chain=[
        _step(s.add.s(10), "c-3"), _step(s.add.s(20), "c-2")]), value=3),
    Run("chain-broken", "the steps that will not run fail as well", lambda s: s.fail.apply_async(
        ("key",), chain=[_step(s.add.s(10), "b-3"), _step(s.add.s(20), "b-2")]), "FAILURE"),
    Run("expired", "is too old", lambda s: s.add.apply_async(
        (1, 2), expires=dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)), "REVOKED", outside=True),
    Run("soft-limit", "raises at its soft limit", lambda s: s.wait.apply_async((60,), soft_time_limit=1), "FAILURE",
        outside=True),
    Run("hard-limit", "is ended at its hard limit", lambda s: s.wait.apply_async((60,), time_limit=1), "FAILURE",
        outside=True),
    Run("lost", "its process dies", lambda s: s.die.delay(), "FAILURE", outside=True),
    Run("extended-success", "result_extended", lambda s: s.keep.delay(1, colour="red"), settings="extended"),
    Run("extended-stamped", "result_extended with stamps", lambda s: s.add.apply_async(
        (1, 2), stamped_headers=["order"], order=["o-1"]), value=3, settings="extended"),
    Run("extended-retry", "result_extended", lambda s: s.flaky.delay(), "RETRY", settings="extended"),
    Run("extended-failure", "result_extended", lambda s: s.fail.delay("own"), "FAILURE", settings="extended"),
    Run("compressed-success", "result_compression", lambda s: s.echo.delay("x" * 300), value="x" * 300,
        settings="compressed"),
    Run("pickled-success", "result_serializer pickle", lambda s: s.echo.apply_async(
        ([1, (2,), {3}],), serializer="pickle"), value=[1, (2,), {3}], settings="pickled"),
    *_failures("pickled"),
    Run("pickled-expired", "is too old", lambda s: s.add.apply_async(
        (1, 2), expires=dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)), "REVOKED", settings="pickled", outside=True),
    Run("pickled-hard-limit", "is ended at its hard limit", lambda s: s.wait.apply_async((60,), time_limit=1),
        "FAILURE", settings="pickled", outside=True),
    Run("pickled-gives-up", "has no tries left", lambda s: s.hopeless.delay(), "FAILURE", settings="pickled"),
    Run("packed-success", "result_serializer msgpack", lambda s: s.echo.delay(["grün", 1.5]), value=["grün", 1.5],
        settings="packed"),
    Run("packed-failure", "result_serializer msgpack", lambda s: s.fail.delay("own"), "FAILURE", settings="packed"),
    Run("yaml-success", "result_serializer yaml", lambda s: s.echo.delay(["grün", 1.5]), value=["grün", 1.5],
        settings="yaml"),
    Run("yaml-failure", "result_serializer yaml", lambda s: s.fail.delay("builtin"), "FAILURE", settings="yaml"),
    Run("kept", "result_expires off: no time to live", lambda s: s.add.delay(1, 2), value=3, settings="brief"),
]  # fmt: skip

EVENTS: list[Run] = [
    Run("succeeded", "sent, received, started, succeeded", lambda s: s.add.delay(1, 2)),
    Run("failed", "sent, received, started, failed", lambda s: s.fail.delay("builtin"), "FAILURE"),
    Run("retried", "sent, received, started, retried", lambda s: s.flaky.delay(), "RETRY"),
    Run("expired", "sent, received, revoked", lambda s: s.add.apply_async(
        (1, 2), expires=dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)), "REVOKED"),
    Run("eta", "received with a time to wait for", lambda s: s.add.apply_async((1, 2), countdown=1)),
]  # fmt: skip


def _step(signature: Any, task_id: str) -> Any:
    return dict(signature.set(task_id=task_id, queue="elsewhere"))
