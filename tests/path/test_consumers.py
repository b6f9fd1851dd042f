"""A worker that takes from more or fewer queues while it runs, on every kind of broker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fastq import Broadcast, Exchange, FastQ, Queue
from fastq.contrib.testing import start_worker
from fastq.utils.nodenames import worker_direct
from fastq.worker import Worker
from tests.support.rabbitmq_server import rabbitmq_vhost
from tests.support.wait import wait_for


@pytest.fixture(params=["sqlite", "redis", "rabbitmq"])
def urls(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[tuple[str, str]]:
    """Return the URLs of broker and results; nothing is there."""
    store = f"sqlite:///{tmp_path}/queue.db"
    if request.param == "rabbitmq":
        with rabbitmq_vhost() as (node, vhost):
            yield node.url_of(vhost), store
    elif request.param == "redis":
        server = request.getfixturevalue("redis_server")
        server.do("FLUSHALL")
        yield server.url, server.url
    else:
        yield store, store


@pytest.fixture
def app(urls: tuple[str, str]) -> Iterator[FastQ]:
    """Return an app with one task, which returns what it is given."""
    made = FastQ("shop", broker=urls[0], backend=urls[1], set_as_current=False)
    made.task(name="shop.echo")(echo)
    yield made
    made.close()


def echo(value: str) -> str:
    return value


@pytest.fixture
def worker(app: FastQ) -> Iterator[Worker]:
    """Return a worker that runs in this process."""
    app.conf.worker_direct = True
    with start_worker(app, hostname="w@h") as running:
        assert running._running is not None
        yield running._running[0]


def ask(app: FastQ, **options: Any) -> str:
    return str(app.send_task("shop.echo", ("done",), **options).get(timeout=20))


def ready(app: FastQ, queue: str) -> int:
    producer: Any = app.producer
    return int(next((depth["ready"] for depth in producer.depths() if depth["queue"] == queue), 0))


def test_a_queue_that_is_added_is_taken_from(app: FastQ, worker: Worker) -> None:
    waiting = app.send_task("shop.echo", ("waited",), queue="late")
    worker.add_consumer("late")

    assert waiting.get(timeout=20) == "waited"
    assert ask(app, queue="late") == "done"


def test_a_queue_behind_an_exchange_is_bound_when_it_is_added(app: FastQ, worker: Worker) -> None:
    worker.add_consumer(Queue("orders", Exchange("shop", "topic"), "order.#"))

    assert ask(app, queue="orders", routing_key="order.new.7") == "done"


def test_nothing_more_is_taken_from_a_queue_that_is_given_up(app: FastQ, worker: Worker) -> None:
    worker.add_consumer("late")
    assert ask(app, queue="late") == "done"
    worker.cancel_consumer("late")
    assert ask(app) == "done"  # orders are carried out in order, so by now it was told
    wait_for(lambda: "late" not in worker.consumed, "the queue to be given up")
    left = app.send_task("shop.echo", ("left",), queue="late")
    assert ask(app) == "done"
    wait_for(lambda: ready(app, "late") == 1, "the message to stay in its queue")

    worker.add_consumer("late")
    assert left.get(timeout=20) == "left"


def test_a_worker_has_a_queue_of_its_own(app: FastQ, worker: Worker) -> None:
    assert worker_direct("w@h").name in worker.consumed
    assert ask(app, queue=worker_direct("w@h")) == "done"
    assert ask(app, exchange="C.dq2", routing_key="w@h") == "done"


def test_a_broadcast_is_heard_once_it_is_taken_from(app: FastQ, worker: Worker) -> None:
    app.queues.add(Broadcast("news"))
    app.send_task("shop.echo", ("nobody listens",), queue="news")  # no error, and no queue that it stays in
    worker.add_consumer("news")

    def heard() -> bool:
        try:
            return app.send_task("shop.echo", ("done",), queue="news").get(timeout=0.5) == "done"
        except TimeoutError:
            return False

    wait_for(heard, "the broadcast to be heard")
