"""Which queue a call goes to."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest

from fastq import Broadcast, Exchange, FastQ, Queue
from fastq._seam import Route
from fastq.app.queues import Queues
from fastq.app.routes import Router
from fastq.exceptions import QueueNotFound
from fastq.utils.nodenames import worker_direct

if TYPE_CHECKING:
    from tests.unit.app.conftest import Recorder


def by_function(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> Any:
    return "function" if name == "f" else None


class ByMethod:
    def route_for_task(self, name: str, args: Any = None, kwargs: Any = None) -> Any:
        return {"queue": "method", "priority": 2} if name == "m" else None


@pytest.mark.parametrize(
    ("routes", "name", "queue"),
    [
        (None, "a", "celery"),
        ({"a": "exact"}, "a", "exact"),
        ({"a": {"queue": "exact"}}, "a", "exact"),
        ({"a.*": "glob", "a.b": "exact"}, "a.b", "exact"),
        ({"a.*": "glob", "a.b": "exact"}, "a.c", "glob"),
        ({re.compile(r"(a|b)\..*"): "regex"}, "b.x", "regex"),
        ([("a.*", "first"), ("a.b*", "second")], "a.bc", "first"),
        ([("x", "no"), {"a": "map"}, by_function], "a", "map"),
        ([{"x": "no"}, by_function], "f", "function"),
        (by_function, "f", "function"),
        (f"{__name__}.by_function", "f", "function"),
        ([f"{__name__}:ByMethod"], "m", "method"),
        (ByMethod(), "m", "method"),
        ([("a", {"queue": "pair"})], "a", "pair"),
        ((("a", "pair"),), "a", "pair"),
    ],
)
def test_a_route_names_the_queue(routes: Any, name: str, queue: str) -> None:
    router = Router(routes, Queues([Queue("celery")]), "celery")
    assert router.route({}, name)["queue"].name == queue


def test_what_the_call_says_wins_over_its_route() -> None:
    router = Router({"a": {"queue": "routed", "priority": 5, "exchange": "x"}}, Queues(), "celery")
    options = router.route({"queue": "called", "priority": None}, "a")
    assert (options["queue"].name, options["priority"]) == ("called", 5)
    assert "exchange" not in options
    assert router.route({"priority": 1}, "a")["priority"] == 1


def test_a_call_that_names_a_key_alone_goes_to_the_exchange_of_its_route() -> None:
    queues = Queues([Queue("celery"), Queue("news", Exchange("feeds", "topic"), "news.#")])
    options = Router({"a": {"queue": "news", "routing_key": "news.all"}}, queues, "celery").route(
        {"routing_key": "news.sport"}, "a"
    )
    assert (options["queue"].name, options["routing_key"]) == ("news", "news.sport")


def test_only_maps_are_fixed() -> None:
    assert Router({"a": "b"}, Queues(), "celery").fixed
    assert not Router([by_function], Queues(), "celery").fixed


def test_a_function_sees_the_call(app: FastQ, recorder: Recorder) -> None:
    def by_argument(name: str, args: Any, kwargs: Any, options: Any, task: Any = None, **_: Any) -> str:
        return f"q{args[0]}-{task.name}"

    app.conf.task_routes = [by_argument]

    @app.task(name="job")
    def job(x: int) -> None: ...

    job.delay(7)
    assert recorder.last.route.routing_key == "q7-job"


@pytest.mark.parametrize(
    ("options", "route"),
    [
        ({}, Route("", "celery")),
        ({"queue": "plain"}, Route("", "plain")),
        ({"queue": "news"}, Route("feeds", "news.#")),
        ({"queue": "news", "routing_key": "news.sport"}, Route("feeds", "news.sport")),
        ({"exchange": "feeds", "routing_key": "news.art"}, Route("feeds", "news.art")),
        ({"exchange": Exchange("feeds", "topic"), "routing_key": "k"}, Route("feeds", "k")),
        ({"routing_key": "k"}, Route("celery", "k")),
        ({"queue": Queue("given", Exchange("e", "fanout"), "k")}, Route("e", "k")),
        ({"queue": "short"}, Route("", "celery")),
    ],
)
def test_a_message_goes_to_the_queue_itself_or_to_an_exchange(
    app: FastQ, recorder: Recorder, options: Any, route: Route
) -> None:
    app.conf.task_queues = [
        Queue("celery", alias="short"),
        Queue("news", Exchange("feeds", "topic"), "news.#"),
    ]
    app.send_task("job", **options)
    assert recorder.last.route == route


def test_queues_with_more_than_a_name_are_declared_once(app: FastQ, recorder: Recorder) -> None:
    app.conf.task_queues = [Queue("celery"), Queue("news", Exchange("feeds", "topic"), "news.#", max_priority=5)]
    app.send_task("job")
    assert recorder.declared == []
    for _ in range(2):
        app.send_task("job", exchange="feeds", routing_key="news.art")
    assert [(spec.name, spec.exchange, spec.exchange_type, spec.routing_key) for spec in recorder.declared] == [
        ("news", "feeds", "topic", "news.#")
    ]
    assert recorder.declared[0].arguments == '{"x-max-priority":5}'


def test_the_short_way_declares_a_queue_once_and_again_with_a_new_producer(app: FastQ, recorder: Recorder) -> None:
    app.conf.task_queues = [Queue("celery", max_priority=5)]

    @app.task(name="job")
    def job() -> None: ...

    for _ in range(2):
        job.delay()
    assert [spec.name for spec in recorder.declared] == ["celery"]
    app.producer = recorder
    job.delay()
    assert [spec.name for spec in recorder.declared] == ["celery", "celery"]


def test_a_coroutine_declares_what_it_sends_to(app: FastQ, recorder: Recorder) -> None:
    app.conf.task_queues = [Queue("celery", max_priority=5)]

    @app.task(name="job")
    def job() -> None: ...

    async def send_twice() -> None:
        await job.aapply_async()
        await job.aapply_async()

    asyncio.run(send_twice())
    assert [spec.name for spec in recorder.declared] == ["celery"]
    assert len(recorder.messages) == 2


@pytest.mark.parametrize("call", ["delay", "apply_async", "delay_map"])
def test_what_somebody_has_deleted_is_declared_again(app: FastQ, recorder: Recorder, call: str) -> None:
    app.conf.task_queues = [Queue("celery", Exchange("x", "topic"), "k")]

    @app.task(name="job")
    def job(*_: object) -> None: ...

    job.delay()
    recorder.failures = [QueueNotFound("no queue is bound to this exchange")]
    getattr(job, call)([1])
    assert [spec.name for spec in recorder.declared] == ["celery", "celery"]
    assert len(recorder.messages) == 2
    recorder.failures = [QueueNotFound("no queue") for _ in range(2)]
    with pytest.raises(QueueNotFound):
        job.delay()


def test_a_broadcast_is_sent_to_its_exchange_which_the_sender_declares(app: FastQ, recorder: Recorder) -> None:
    app.conf.task_queues = [Queue("celery"), Broadcast("news")]
    app.send_task("job", queue="news")
    assert recorder.last.route == Route("news", "celery")
    assert [(spec.name, spec.exchange) for spec in recorder.declared] == [("", "news")]


def test_the_queue_of_one_worker_can_be_named(app: FastQ, recorder: Recorder) -> None:
    app.send_task("job", queue=worker_direct("w@h"))
    app.send_task("job", exchange="C.dq2", routing_key="w@h")
    assert [sent.route for sent in recorder.messages] == [Route("", "w@h.dq2"), Route("C.dq2", "w@h")]


def test_the_default_queue_has_the_name_of_the_setting(app: FastQ, recorder: Recorder) -> None:
    app.conf.task_default_queue = "main"
    app.send_task("job")
    assert recorder.last.route == Route("", "main")


def test_a_changed_route_counts_from_the_next_call(app: FastQ, recorder: Recorder) -> None:
    app.send_task("job")
    app.conf.task_routes = {"job": "elsewhere"}
    app.send_task("job")
    assert [sent.route.routing_key for sent in recorder.messages] == ["celery", "elsewhere"]
