from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from fastq import FastQ
from fastq.exceptions import ImproperlyConfigured, NotSupported
from fastq.names import host_name
from fastq.pool.base import PoolSettings
from fastq.pool.solo import SoloPool
from fastq.worker import Worker, checks
from fastq.worker.options import WorkerOptions

NODE = "fastq@here"


class Producer:
    """A broker that knows some workers."""

    def __init__(self, *workers: dict[str, Any]) -> None:
        self._workers = list(workers)

    def workers(self) -> list[dict[str, Any]]:
        return self._workers

    def capabilities(self) -> dict[str, bool]:
        return {"limits": False}


NEVER = 2.0**40
"""When a lease ends that outlasts any run of these tests, whose parameters are made when they are collected."""


def worker(**changed: Any) -> dict[str, Any]:
    return {"node": NODE, "pid": 1, "host": host_name(), "lease_until": NEVER, **changed}


@pytest.fixture
def app() -> FastQ:
    return FastQ("shop", set_as_current=False)


def solo(app: FastQ) -> SoloPool:
    return SoloPool(app, PoolSettings(node=NODE, concurrency=1))


class Limitless(SoloPool):
    """A pool of a user's that enforces nothing."""

    name = "limitless"
    has_limits = False


def limitless(app: FastQ) -> SoloPool:
    return Limitless(app, PoolSettings(node=NODE, concurrency=1))


@pytest.mark.parametrize("name", ["a@b@c", '""', "a b@c", "a/b@c"])
def test_a_node_name_that_cannot_be_is_refused(app: FastQ, name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"The node name .* cannot be used"):
        Worker(app, hostname=name)


def test_a_module_that_is_not_there_is_named_with_its_option(app: FastQ) -> None:
    options = WorkerOptions.of({"include": "os,no_such_module"})
    options.apply(app)
    with pytest.raises(ImproperlyConfigured, match=r"^-I no_such_module: the module cannot be imported: No module"):
        checks.import_modules(app, options)


def test_a_module_of_the_settings_is_named_with_its_setting() -> None:
    app = FastQ("shop", set_as_current=False, imports=["no_such_module"])
    with pytest.raises(ImproperlyConfigured, match=r"^imports no_such_module: "):
        checks.import_modules(app, WorkerOptions())


@pytest.mark.parametrize("option", ["time_limit", "soft_time_limit"])
def test_a_limit_that_nothing_could_enforce_is_refused(app: FastQ, option: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="has no effect with -P limitless"):
        checks.refuse_limits_without_children(WorkerOptions.of({option: 1.0}), limitless(app))
    checks.refuse_limits_without_children(WorkerOptions(), limitless(app))
    checks.refuse_limits_without_children(WorkerOptions.of({option: 1.0}), solo(app))


def test_tasks_whose_limits_nothing_enforces_are_named(app: FastQ, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(7):
        app.task(name=f"shop.t{number}", time_limit=1)(lambda: None)
    app.task(name="shop.free")(lambda: None)
    checks.warn_of_limits(app, limitless(app))
    (line,) = caplog.messages
    assert line == (
        "The limitless pool enforces no time limits: "
        "shop.t0, shop.t1, shop.t2, shop.t3, shop.t4 and 2 more run without."
    )


def test_a_negative_limit_is_refused_with_its_setting_and_where_it_was_set(app: FastQ) -> None:
    app.conf.task_soft_time_limit = -4
    with pytest.raises(ImproperlyConfigured, match=r"task_soft_time_limit must be .* not -4 \(from the program\)"):
        checks.refuse_negative_limits(app)


@pytest.mark.parametrize(
    ("other", "count"),
    [
        (worker(host="elsewhere"), 1),
        (worker(), 1),
        (worker(node="another@here"), 0),
        (worker(pid=os.getpid()), 0),
        (worker(lease_until=0.0), 0),
        (worker(pid=2**22 + 1), 0),
    ],
)
def test_another_live_worker_of_the_same_name_is_warned_of(
    app: FastQ, other: dict[str, Any], count: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    app.producer = Producer(other)  # type: ignore[assignment]
    checks.warn_of_namesake(app, NODE, os.getpid())
    assert caplog.text.count("Another worker is named fastq@here too") == count


@pytest.mark.parametrize(
    "options",
    [{"max_concurrency": 2}, {"rate_limit": "10/s", "rate_limit_scope": "global"}],
    ids=lambda one: "-".join(one),
)
def test_limits_that_the_broker_cannot_count_are_refused_with_the_task_and_the_option(
    app: FastQ, options: dict[str, Any]
) -> None:
    app.task(name="shop.free")(lambda: None)
    app.task(name="shop.local", rate_limit="10/s")(lambda: None)
    app.producer = Producer()
    checks.refuse_limits_without_server(app)
    app.task(name="shop.limited", **options)(lambda: None)
    with pytest.raises(NotSupported, match=r"Task shop\.limited has (max_concurrency|rate_limit_scope='global'),"):
        checks.refuse_limits_without_server(app)
    app.producer = None
    app.conf.broker_url = "memory://"
    checks.refuse_limits_without_server(app)
