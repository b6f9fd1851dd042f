"""Half Celery, half fastq: workers of both on one queue."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest

from tests.compat.live import scenes
from tests.compat.live.peers import CELERY, FASTQ, Town
from tests.compat.live.told import Link

BOTH = "both"


@pytest.mark.parametrize("caller", [CELERY, FASTQ])
def test_every_task_runs_once_whoever_takes_it(town: Town, caller: str) -> None:
    name, count = uuid.uuid4().hex, 200
    told = town.client(caller).do(
        scenes.ask_many, task="live.note", calls=[(number, name) for number in range(count)], queue=BOTH
    )

    assert [one.state for one in told] == ["SUCCESS"] * count
    ran = Counter(line.partition(" ")[2] for line in town.noted(name, count))
    assert ran == {f"{number} {name}": 1 for number in range(count)}


@pytest.mark.parametrize("busy", [CELERY, FASTQ])
def test_what_one_is_too_busy_for_the_other_runs(town: Town, busy: str) -> None:
    name = uuid.uuid4().hex
    client, other = town.client(CELERY), {CELERY: FASTQ, FASTQ: CELERY}[busy]
    client.do(scenes.send, task="live.hold", args=(name,), queue=busy)
    assert town.held(name) == busy

    told = client.do(scenes.ask_many, task="live.who", calls=[(number,) for number in range(20)], queue=BOTH)
    town.release(name)

    assert [one.value for one in told] == [[other, number] for number in range(20)]


def test_both_take_their_part(town: Town) -> None:
    names = [uuid.uuid4().hex for _ in range(2)]
    client = town.client(FASTQ)
    ids = [client.do(scenes.send, task="live.hold", args=(name,), queue=BOTH) for name in names]

    assert {town.held(name) for name in names} == {CELERY, FASTQ}
    for name in names:
        town.release(name)
    assert {client.do(scenes.ended, task_id=task_id).value for task_id in ids} == {CELERY, FASTQ}


def test_tries_callbacks_and_chains_run_wherever_there_is_room(town: Town) -> None:
    name = uuid.uuid4().hex
    client = town.client(CELERY)
    tries = [client.do(scenes.send, task="live.again", args=(3,), queue=BOTH) for _ in range(10)]
    steps = [Link("shop.add", (1, 1), {"queue": BOTH}), *[Link("shop.add", (1,), {"queue": BOTH})] * 8]
    link = Link("live.note", (name,), {"queue": BOTH})

    assert client.do(scenes.chain, steps=steps)[0].value == 10
    assert client.do(scenes.ask_linked, task="shop.add", args=(1, 2), queue=BOTH, links=[link]).value == 3
    # Their results are not asked for: Celery stores RETRY after it has sent the next try, and may so overwrite its end.
    for task_id in tries:
        assert [line.partition(" ")[2] for line in town.noted(f"of {task_id}", 4)] == [
            f"try {number} of {task_id}" for number in range(4)
        ]
    assert [line.partition(" ")[2] for line in town.noted(name)] == [f"3 {name}"]
