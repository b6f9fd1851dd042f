"""Which queues a worker takes from, at its start and while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fastq import Broadcast, Exchange, FastQ, Queue
from fastq._seam import QueueSpec
from fastq.exceptions import ImproperlyConfigured
from fastq.worker.queues import select
from fastq.worker.worker import Worker


class Core:
    """What the worker tells its core."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def consume(self, queues: Sequence[QueueSpec]) -> None:
        self.said.append([(spec.name, spec.exchange, spec.exchange_type, spec.routing_key) for spec in queues])

    def cancel(self, queue: str) -> None:
        self.said.append(queue)


@pytest.fixture
def worker() -> Worker:
    app = FastQ("shop", broker="memory://", set_as_current=False)
    app.conf.task_queues = [Queue("a"), Queue("b", Exchange("x", "topic"), "k.#", alias="bee"), Broadcast("news")]
    made = Worker(app, hostname="w@h")
    made._core = Core()  # type: ignore[assignment]
    return made


def said(worker: Worker) -> list[Any]:
    return worker._core.said  # type: ignore[union-attr]


def test_a_worker_may_have_a_queue_of_its_own(worker: Worker) -> None:
    worker.app.conf.worker_direct = True
    select(worker.app, "w@h", ["bee"], [])
    assert worker.consumed == ["b", "w@h.dq2"]


def test_a_queue_is_excluded_by_its_alias_too(worker: Worker) -> None:
    select(worker.app, "w@h", [], ["bee", "news"])
    assert worker.consumed == ["a"]


def test_a_known_queue_is_taken_from_as_it_is(worker: Worker) -> None:
    select(worker.app, "w@h", ["a"], [])
    assert worker.add_consumer("bee").name == "b"
    assert said(worker) == [[("b", "x", "topic", "k.#")]]
    assert worker.consumed == ["a", "b"]


def test_a_new_queue_is_as_the_call_says(worker: Worker) -> None:
    worker.add_consumer("c")
    worker.add_consumer("d", exchange="y", exchange_type="topic", routing_key="d.*", max_priority=3)
    worker.add_consumer(Queue("e", Exchange("z"), "k"))
    assert said(worker) == [[("c", "c", "direct", "c")], [("d", "y", "topic", "d.*")], [("e", "z", "direct", "k")]]
    assert worker.app.queues["d"].arguments == {"x-max-priority": 3}
    with pytest.raises(ImproperlyConfigured, match="colour"):
        worker.add_consumer("f", colour="red")


def test_a_queue_that_was_given_up_can_be_taken_from_again(worker: Worker) -> None:
    worker.cancel_consumer("bee")
    assert worker.consumed == ["a", worker.app.queues["news"].name]
    worker.add_consumer("b")
    assert said(worker) == ["b", [("b", "x", "topic", "k.#")]]
    assert "b" in worker.consumed


def test_before_its_start_a_worker_only_takes_note() -> None:
    worker = Worker(FastQ("shop", broker="memory://", set_as_current=False), hostname="w@h")
    worker.add_consumer("c")
    worker.cancel_consumer("celery")
    assert worker.consumed == ["c"]
