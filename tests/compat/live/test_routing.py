"""Exchanges: what a client of one library sends finds the queues that workers of the other have bound."""

from __future__ import annotations

import uuid

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import Way
from tests.compat.live.peers import CELERY, FASTQ, Town


def test_a_direct_exchange_goes_by_the_key(way: Way) -> None:
    told = way.client.do(scenes.ask, task="live.describe", exchange="shelves", routing_key=f"to-{way.runner}")

    info = told.value["delivery_info"]
    assert (info["exchange"], info["routing_key"]) == ("shelves", f"to-{way.runner}")


def test_a_topic_exchange_goes_by_a_pattern(way: Way) -> None:
    key = f"order.{way.runner}.item.7"
    told = way.client.do(scenes.ask, task="live.describe", queue=f"{way.runner}-order", routing_key=key)

    info = told.value["delivery_info"]
    assert (info["exchange"], info["routing_key"]) == ("orders", key)


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_a_topic_goes_to_everybody_whose_pattern_it_matches(town: Town, caller: str) -> None:
    name = uuid.uuid4().hex
    town.client(caller).do(
        scenes.send, task="live.note", args=(name,), queue="celery-order", routing_key="order.celery.new"
    )

    # To the orders of Celery, and to the news of both.
    assert sorted(town.noted(name, 3)) == [f"{CELERY} {name}", f"{CELERY} {name}", f"{FASTQ} {name}"]


def test_a_queue_that_both_take_from_is_bound_once(town: Town, version: str) -> None:
    # What `*` means kombu 5.6 writes otherwise than 5.7.
    queues = ["celery-order"] if version == "5.6" else ["celery-order", "celery-news"]
    for library in (CELERY, FASTQ):
        worker = town.start(library, ",".join(queues))
        worker.wait_until_ready()
        worker.kill()

    bound = [member.rpartition("\x16")[2] for member in town.redis("SMEMBERS", "_kombu.binding.orders")]
    assert [bound.count(queue) for queue in queues] == [1] * len(queues)


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_a_fanout_exchange_goes_to_everybody(town: Town, caller: str) -> None:
    name = uuid.uuid4().hex
    town.client(caller).do(scenes.send, task="live.note", args=(name,), queue="celery-bell")

    assert sorted(town.noted(name, 2)) == [f"{CELERY} {name}", f"{FASTQ} {name}"]


@pytest.mark.parametrize(
    "place", [{"queue": "{0}-shelf"}, {"queue": "{0}-order", "routing_key": "order.{0}.x"}], ids=str
)
def test_a_route_of_the_settings_is_taken(way: Way, place: dict[str, str]) -> None:
    route = {key: value.format(way.runner) for key, value in place.items()}
    told = way.client.do(scenes.ask, {"task_routes": {"live.who": route}}, task="live.who")

    assert told.value == [way.runner, None]


def test_a_queue_that_nobody_declared_waits_for_its_worker(way: Way) -> None:
    name = uuid.uuid4().hex
    task_id = way.client.do(scenes.send, task="live.who", args=(name,), queue=f"late-{way.runner}")
    worker = way.town.start(way.runner, f"late-{way.runner}")
    worker.wait_until_ready()
    told = way.client.do(scenes.ended, task_id=task_id)
    worker.kill()

    assert told.value == [way.runner, name]


def test_a_worker_is_reached_by_its_own_queue(way: Way) -> None:
    worker = way.town.start(way.runner, f"own-{uuid.uuid4().hex}", {"worker_direct": True})
    worker.wait_until_ready()
    node = f"{way.runner}{len(way.town.all_workers) - 1}@town"
    told = way.client.do(scenes.ask, task="live.describe", exchange="C.dq2", routing_key=node)
    worker.kill()

    info = told.value["delivery_info"]
    assert (info["exchange"], info["routing_key"]) == ("C.dq2", node)


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_a_retry_goes_where_its_first_try_came_from(town: Town, caller: str) -> None:
    """In fastq: of a worker of Celery's on Redis it is lost, because the child does not know the exchange's type."""
    told = town.client(caller).do(
        scenes.ask, task="live.again", args=(2,), queue="fastq-order", routing_key="order.fastq.again"
    )

    assert told.value == [FASTQ, 2]


def test_each_purges_the_queues_of_the_other(town: Town) -> None:
    for number, purger in enumerate((CELERY, FASTQ), start=3):
        for level in range(number):
            town.client(CELERY).do(scenes.send, task="live.who", queue="purged", priority=level)

        assert town.client(purger).do(scenes.purge, queue="purged") == number
        assert town.client(purger).do(scenes.purge, queue="purged") == 0
