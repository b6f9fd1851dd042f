"""What is RabbitMQ's own: priorities, delays, dead workers, a broadcast, and answers as messages."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown, Way
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.support.wait import wait_for

BARE = {
    "task_create_missing_queue_type": "quorum",
    "task_create_missing_queue_exchange_type": "topic",
    "task_queue_max_priority": None,
}


@pytest.fixture(scope="module")
def bare(open_town: OpenTown) -> Iterator[Town]:
    """Return a town without workers, where unknown queues are replicated and reached by a topic."""
    with open_town(BARE, workers=False) as town:
        yield town


@pytest.fixture(scope="module")
def answering(open_town: OpenTown) -> Iterator[Town]:
    """Return a town in which results are messages to whoever has asked."""
    with open_town({"result_backend": "rpc://"}) as town:
        yield town


def begin(town: Town, library: str, queue: str, settings: dict[str, Any] | None = None) -> Any:
    worker = town.start(library, queue, settings)
    worker.wait_until_ready()
    return worker


def test_the_highest_priority_goes_first(pair: tuple[str, str], bare: Town) -> None:
    caller, runner = pair
    name, levels, settings = uuid.uuid4().hex, (1, 9, 5, 3), {"task_queue_max_priority": 9}
    settings |= {"task_create_missing_queue_type": "classic"}  # replicated queues know two priorities only
    queue = f"levels-{name}"
    worker = begin(bare, runner, queue, settings)
    client = bare.client(caller)
    client.do(scenes.send, settings, task="live.hold", args=(name,), queue=queue)
    assert bare.held(name) == runner
    # What a worker has taken already it runs first: Celery takes one more, fastq what is quick.
    client.do(scenes.send, settings, task="live.note", args=("taken", "before"), queue=queue, priority=9)
    for level in levels:
        client.do(scenes.send, settings, task="live.note", args=(level, name), queue=queue, priority=level)
    bare.release(name)

    order = bare.noted(name, 5)[1:]
    worker.kill()
    assert order == [f"{runner} {level} {name}" for level in (9, 5, 3, 1)]


def test_what_a_killed_worker_held_is_run_by_the_other(pair: tuple[str, str], bare: Town) -> None:
    first, second = pair
    queue, name = f"deadly-{uuid.uuid4().hex}", uuid.uuid4().hex
    worker = begin(bare, first, queue)
    client = bare.client(CELERY)
    task_id = client.do(scenes.send, task="live.hold", args=(name,), queue=queue)
    assert bare.held(name) == first
    other = begin(bare, second, queue)
    worker.kill()
    wait_for(lambda: len(bare.noted(f"holds {name}")) == 2, "the other worker to begin")
    bare.release(name)

    assert client.do(scenes.ended, task_id=task_id).value == second
    other.kill()


def test_a_delay_of_the_broker_ends_in_the_queue(pair: tuple[str, str], bare: Town) -> None:
    """The queue is reached by a topic and replicated, so both send what is for later to the queues of delays."""
    caller, runner = pair
    queue = f"delays-{uuid.uuid4().hex}"
    worker = begin(bare, runner, queue)
    due, told = bare.client(caller).do(scenes.ask_later, task="live.moment", queue=queue, seconds=3)
    worker.kill()

    assert told.value >= due - 0.002


def test_what_is_due_in_an_hour_is_held_by_no_worker(bare: Town) -> None:
    queue = f"hours-{uuid.uuid4().hex}"
    worker = begin(bare, FASTQ, queue)
    for caller in (CELERY, FASTQ):
        bare.client(caller).do(scenes.send, task="live.who", queue=queue, countdown=3600)

    wait_for(lambda: bare.lengths().get("celery_delayed_11") == 2, "both to lie in the longest delay")
    assert bare.lengths()[queue] == 0
    worker.kill()


def test_retries_with_a_countdown_come_back(pair: tuple[str, str], bare: Town) -> None:
    caller, runner = pair
    queue = f"tries-{uuid.uuid4().hex}"
    worker = begin(bare, runner, queue)
    told = bare.client(caller).do(scenes.ask, task="live.again", args=(2, (), 1.2), queue=queue)
    worker.kill()

    assert told.value == [runner, 2]


def test_an_answer_comes_as_a_message(pair: tuple[str, str], answering: Town) -> None:
    way = Way(answering, *pair)
    told = way.client.do(scenes.ask, task="live.who", args=("grün",), queue=way.queue)
    failed = way.client.do(scenes.ask, task="shop.fail", args=("own",), queue=way.queue)

    assert (told.state, told.value) == ("SUCCESS", [way.runner, "grün"])
    assert (failed.state, failed.raised.name) == ("FAILURE", "OwnError")


def test_answers_of_many_calls_find_their_callers(pair: tuple[str, str], answering: Town) -> None:
    way = Way(answering, *pair)
    told = way.client.do(scenes.ask_many, task="live.who", calls=[(n,) for n in range(50)], queue=way.queue)

    assert [one.value for one in told] == [[way.runner, n] for n in range(50)]


@pytest.mark.parametrize("runner", [CELERY, FASTQ])
def test_a_state_on_the_way_is_told(runner: str, answering: Town) -> None:
    """Celery's own client, asked for state and result one after the other, does not find both."""
    way, name = Way(answering, FASTQ, runner), uuid.uuid4().hex
    task_id = way.client.do(scenes.send, task="live.hold", args=(name, {"done": 1}), queue=way.queue)
    assert way.town.held(name) == way.runner

    wait_for(
        lambda: way.client.do(scenes.look, task_id=task_id, fields=("state", "result")) == ["PROGRESS", {"done": 1}],
        "the state of its own",
    )
    way.town.release(name)
    assert way.client.do(scenes.ended, task_id=task_id).value == way.runner
