"""Producers that die, and many at once on one queue."""

from __future__ import annotations

from tests.faults.conftest import Place
from tests.faults.producers import start_producer
from tests.support.processes import kill
from tests.support.wait import wait_for


def test_what_was_confirmed_to_a_killed_producer_runs(place: Place) -> None:
    producer = start_producer(place, 0, 1_000_000)
    wait_for(lambda: len(producer.confirmed()) > 300, "confirmed tasks")

    kill(producer.process.pid)
    producer.process.wait()
    confirmed = producer.confirmed()
    place.worker()
    results = place.results(confirmed)

    assert results == {number: number for number in confirmed}
    wait_for(lambda: place.left() == 0, "an empty queue")
    sent = {int(key) for key in place.ledger.runs()}
    assert sent - set(confirmed) <= {max(confirmed) + 1}, "only the task in flight may have got through unconfirmed"


def test_two_workers_and_four_producers_share_one_queue(place: Place) -> None:
    first, second = place.worker(), place.worker(("-c", "2", "-n", "second@%h"))

    producers = [start_producer(place, 1000 * index, 250) for index in range(4)]
    codes = [producer.process.wait(60) for producer in producers]
    ids = {number: task_id for producer in producers for number, task_id in producer.confirmed().items()}
    results = place.results(ids)

    assert codes == [0, 0, 0, 0]
    assert len(ids) == 1000
    assert results == {number: number for number in ids}
    assert place.ledger.repeated() == []
    assert (first.stop(), second.stop()) == (0, 0)
    assert place.left() == 0
