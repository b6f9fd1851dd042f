"""`app.amqp`: what programs written for Celery ask it for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastq import Exchange, FastQ, Queue
from fastq._seam import Route

if TYPE_CHECKING:
    from tests.unit.app.conftest import Recorder


def test_it_has_the_queues_and_the_router_of_the_app(app: FastQ) -> None:
    assert app.amqp.queues is app.queues
    assert app.amqp.router is app.router
    assert app.amqp is app.amqp
    assert (app.amqp.default_queue.name, app.amqp.default_exchange) == ("celery", Exchange("celery"))


def test_a_route_that_was_changed_in_place_counts_when_routes_are_flushed(app: FastQ, recorder: Recorder) -> None:
    routes = {"job": "a"}
    app.conf.task_routes = routes

    @app.task(name="job")
    def job() -> None: ...

    job.delay()
    routes["job"] = "b"
    app.amqp.flush_routes()
    job.delay()
    assert [sent.route for sent in recorder.messages] == [Route("", "a"), Route("", "b")]
    assert len(app.amqp.routes) == 1


def test_queues_can_be_added_and_chosen(app: FastQ) -> None:
    app.amqp.queues.add(Queue("extra", Exchange("x"), "k"))
    app.amqp.queues.select(["celery"])
    app.amqp.queues.select_add("late", exchange="late", routing_key="late")
    assert list(app.queues.consume_from) == ["celery", "late"]
    app.amqp.queues.deselect("late")
    assert list(app.queues.consume_from) == ["celery"]
