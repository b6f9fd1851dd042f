"""Producer: messages out, and what can be asked of a broker."""

from __future__ import annotations

import threading
import time

import pytest

from fastq import _core
from fastq._seam import QueueSpec, Route
from fastq.exceptions import ImproperlyConfigured

HEADERS = b'{"task":"shop.add","id":"1"}'
PROPERTIES = b'{"content_type":"application/json"}'
CELERY = Route("", "celery")


def depth(producer: _core.Producer, queue: str) -> tuple[int, int]:
    """Return how many messages of a queue are ready, and how many wait for their time."""
    for entry in producer.depths():
        if entry["queue"] == queue:
            return entry["ready"], entry["delayed"]
    return 0, 0


def test_a_published_message_waits_in_its_queue(url: str) -> None:
    producer = _core.Producer(url)

    producer.publish(CELERY, HEADERS, PROPERTIES, b"[]")

    assert producer.depths() == [{"queue": "celery", "ready": 1, "in_flight": 0, "delayed": 0, "dead": 0}]


def test_a_message_that_is_due_later_is_counted_as_delayed(url: str) -> None:
    producer = _core.Producer(url)

    producer.publish(Route("", "celery", None, time.time() + 3600), HEADERS, PROPERTIES, b"[]")

    assert depth(producer, "celery") == (0, 1)


@pytest.mark.parametrize("kind", [list, tuple])
def test_many_messages_are_published_at_once(url: str, kind: type) -> None:
    producer = _core.Producer(url)
    queues = ("celery", "celery", "other")

    producer.publish_many(kind((Route("", queue), HEADERS, PROPERTIES, b"[]") for queue in queues))

    assert (depth(producer, "celery"), depth(producer, "other")) == ((2, 0), (1, 0))


def test_one_bad_message_of_many_publishes_none(url: str) -> None:
    producer = _core.Producer(url)

    with pytest.raises(TypeError, match="field 3"):
        producer.publish_many([(CELERY, HEADERS, PROPERTIES, b"[]"), (CELERY, HEADERS, PROPERTIES, "[]")])  # type: ignore[list-item]

    assert depth(producer, "celery") == (0, 0)


@pytest.mark.parametrize(
    "route",
    [
        Route("", "celery", 256),
        Route("", "celery", -1),
        Route("", "celery", None, "now"),  # type: ignore[arg-type]
        ("celery",),
        "celery",
    ],
)
def test_a_route_of_the_wrong_shape_is_a_type_error(route: Route) -> None:
    with pytest.raises(TypeError, match="Route"):
        _core.Producer("memory://").publish(route, HEADERS, PROPERTIES, b"[]")


def test_purging_removes_what_waits_and_counts_it(url: str) -> None:
    producer = _core.Producer(url)
    producer.publish_many([(CELERY, HEADERS, PROPERTIES, b"[]")] * 3)

    assert producer.purge("celery") == 3
    assert depth(producer, "celery") == (0, 0)


def test_a_declared_queue_receives_what_its_exchange_is_sent(url: str) -> None:
    producer = _core.Producer(url)
    producer.declare([QueueSpec("mail", exchange="news", exchange_type="direct", routing_key="today")])

    producer.publish(Route("news", "today"), HEADERS, PROPERTIES, b"[]")

    assert depth(producer, "mail") == (1, 0)


def test_capabilities_are_named_as_in_the_stub(url: str) -> None:
    assert set(_core.Producer(url).capabilities()) == {
        *["durable", "shared", "transactional", "delay", "priority", "exchanges", "dead_letters", "leases"],
        *["limits", "revocations", "mailbox", "channels", "sees_workers", "native_store"],
    }


def test_nothing_is_dead_and_nobody_works_at_first(url: str) -> None:
    producer = _core.Producer(url)

    assert producer.dead_letters(None, 10) == []
    assert (producer.requeue_dead(None, []), producer.drop_dead("celery", ["1"])) == (0, 0)
    assert producer.workers() == []


def test_a_closed_producer_connects_again(shared_url: str) -> None:
    producer = _core.Producer(shared_url)
    producer.publish(CELERY, HEADERS, PROPERTIES, b"[]")

    producer.close()
    producer.publish(CELERY, HEADERS, PROPERTIES, b"[]")

    assert depth(producer, "celery") == (2, 0)


def test_threads_publish_through_one_producer(url: str) -> None:
    producer = _core.Producer(url)

    def publish() -> None:
        for _ in range(50):
            producer.publish(CELERY, HEADERS, PROPERTIES, b"[]")

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert depth(producer, "celery") == (400, 0)


def test_making_a_producer_opens_nothing() -> None:
    producer = _core.Producer("nowhere://at all")

    with pytest.raises(ImproperlyConfigured, match="nowhere"):
        producer.depths()
