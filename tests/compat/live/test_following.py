"""What follows a run: callbacks, errbacks, steps, other tries, and tasks that it sends itself."""

from __future__ import annotations

import uuid

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import Way
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.compat.live.told import Link

OTHER = {CELERY: FASTQ, FASTQ: CELERY}


def test_a_callback_gets_the_result(way: Way) -> None:
    name = uuid.uuid4().hex
    told = way.client.do(
        scenes.ask_linked, task="shop.add", args=(1, 2), queue=way.queue, links=[_note(way.queue, name)]
    )

    assert told.value == 3
    assert way.town.noted(name) == [f"{way.runner} 3 {name}"]


def test_callbacks_may_be_run_by_the_other_library(way: Way) -> None:
    name, other = uuid.uuid4().hex, OTHER[way.runner]
    links = [_note(other, name), _note(other, "alone", name, immutable=True), _note(way.queue, "here", name)]
    way.client.do(scenes.ask_linked, task="shop.add", args=(1, 2), queue=way.queue, links=links)

    expected = {f"{other} 3 {name}", f"{other} alone {name}", f"{way.runner} 3 here {name}"}
    assert set(way.town.noted(name, 3)) == expected


def test_a_callback_of_a_callback_is_run(way: Way) -> None:
    name = uuid.uuid4().hex
    inner = {"task": "live.note", "args": [name], "kwargs": {}, "options": {"queue": way.queue}}
    link = Link(
        "shop.add", (10,), {"queue": OTHER[way.runner], "link": [{**inner, "subtask_type": None, "immutable": False}]}
    )
    way.client.do(scenes.ask_linked, task="shop.add", args=(1, 2), queue=way.queue, links=[link])

    assert way.town.noted(name) == [f"{way.runner} 13 {name}"]


def test_an_errback_is_given_the_id_of_what_failed(way: Way) -> None:
    name, other = uuid.uuid4().hex, OTHER[way.runner]
    errlinks = [Link("live.alarm", (name,), {"queue": queue}) for queue in (way.queue, other)]
    told = way.client.do(
        scenes.ask_linked,
        task="shop.fail",
        args=("key",),
        queue=way.queue,
        links=[_note(other, "never", name)],
        errlinks=errlinks,
    )

    assert told.raised.name == "KeyError"
    notes = way.town.noted(f"{told.id} {name}", 2)
    assert sorted(notes) == sorted(f"{who} {told.id} {name}" for who in (way.runner, other))
    assert not any("never" in line for line in way.town.notes)


def test_an_errback_that_takes_an_exception_gets_it(way: Way) -> None:
    name = uuid.uuid4().hex
    errlinks = [Link("live.confess", (name,), {"queue": way.queue})]
    told = way.client.do(
        scenes.ask_linked, task="shop.fail", args=("key",), queue=way.queue, links=[], errlinks=errlinks
    )

    assert way.town.noted(name) == [f"{way.runner} {told.id} KeyError('sku-9') Traceback {name}"]


def test_a_task_is_tried_again_by_the_same_library(way: Way) -> None:
    task_id = way.client.do(scenes.send, task="live.again", args=(2,), queue=way.queue)
    told = way.client.do(scenes.ended, task_id=task_id)

    assert (told.state, told.value) == ("SUCCESS", [way.runner, 2])
    tries = [line for line in way.town.notes if task_id in line]
    assert tries == [f"{way.runner} try {number} of {task_id}" for number in range(3)]


def test_each_try_may_be_made_by_another_library(way: Way) -> None:
    other = OTHER[way.runner]
    queues = (other, way.queue, other)
    task_id = way.client.do(scenes.send, task="live.again", args=(3,), kwargs={"queues": queues}, queue=way.queue)

    # The result is not asked for: Celery stores RETRY after it has sent the next try, and may so overwrite its end.
    runners = [line.partition(" ")[0] for line in way.town.noted(f"of {task_id}", 4)]
    assert runners == [way.runner, other, way.runner, other]


def test_another_try_comes_after_its_countdown(way: Way) -> None:
    told = way.client.do(scenes.ask, task="live.again", args=(1,), kwargs={"countdown": 0.3}, queue=way.queue)

    assert told.value == [way.runner, 1]


def test_the_state_of_a_task_that_is_tried_again_says_why(way: Way) -> None:
    task_id = way.client.do(scenes.send, task="shop.flaky", queue=way.queue)
    told = way.client.do(scenes.state_reached, task_id=task_id, state="RETRY")

    assert (told.name, told.args) == ("OwnError", ("not yet",))


def test_the_last_try_fails_with_what_it_raised(way: Way) -> None:
    told = way.client.do(scenes.ask, task="live.again", args=(9,), queue=way.queue)

    assert (told.state, told.raised.name, told.raised.args) == ("FAILURE", "ValueError", ("not yet", 3))


def test_a_task_without_a_reason_gives_up_by_name(way: Way) -> None:
    told = way.client.do(scenes.ask, task="shop.hopeless", queue=way.queue)

    assert (told.raised.module, told.raised.name) == (f"{way.caller}.exceptions", "MaxRetriesExceededError")
    assert told.raised.text == f"Can't retry shop.hopeless[{told.id}] args:() kwargs:{{}}"


@pytest.mark.parametrize("child_is_elsewhere", [False, True], ids=["here", "elsewhere"])
def test_what_a_task_sends_are_its_children(way: Way, child_is_elsewhere: bool) -> None:
    queue = OTHER[way.runner] if child_is_elsewhere else way.queue
    told = way.client.do(scenes.ask, task="live.relay", args=("passed on", queue), queue=way.queue)
    (child,) = way.client.do(scenes.children, task_id=told.id)

    assert (child.id, child.value) == (told.value, [queue, "passed on"])


@pytest.mark.parametrize(
    "queues", [(FASTQ, FASTQ, FASTQ), (CELERY, FASTQ, CELERY), (FASTQ, CELERY, FASTQ)], ids="-".join
)
def test_the_steps_of_a_chain_follow_each_other_from_library_to_library(town: Town, queues: tuple[str, ...]) -> None:
    steps = [Link("shop.add", (1, 2), {"queue": queues[0]})]
    steps += [Link("shop.add", (10,), {"queue": queue}) for queue in queues[1:]]
    told = town.client(CELERY).do(scenes.chain, steps=steps)

    assert [step.value for step in told] == [23, 13, 3]


@pytest.mark.parametrize("queues", [(FASTQ, FASTQ), (CELERY, FASTQ), (FASTQ, CELERY)], ids="-".join)
def test_a_chain_that_breaks_fails_as_a_whole(town: Town, queues: tuple[str, ...]) -> None:
    first, second = queues
    steps = [Link("shop.fail", ("key",), {"queue": first}), Link("shop.add", (10,), {"queue": second})]
    told = town.client(CELERY).do(scenes.chain, steps=steps)

    assert [(step.state, step.raised.name) for step in told] == [("FAILURE", "KeyError")] * 2


def test_a_group_of_both_libraries_gives_its_values_in_order(town: Town) -> None:
    members = [Link("live.who", (number,), {"queue": (CELERY, FASTQ)[number % 2]}) for number in range(6)]

    assert town.client(CELERY).do(scenes.group, members=members) == [
        [(CELERY, FASTQ)[number % 2], number] for number in range(6)
    ]


def _note(queue: str, *words: str, immutable: bool = False) -> Link:
    return Link("live.note", words, {"queue": queue}, immutable)
