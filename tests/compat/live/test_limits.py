"""Runs that are ended from outside: by a time limit, or because their process died."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import OpenTown, Way
from tests.compat.live.peers import CELERY, FASTQ, Town


@pytest.fixture(scope="module")
def town(open_town: OpenTown) -> Iterator[Town]:
    """Return a town whose workers have processes to spare: Celery may take five seconds to replace one."""
    with open_town(workers=False) as town:
        workers = [town.start(library, library, None, "-c", "4") for library in (CELERY, FASTQ)]
        for worker in workers:
            worker.wait_until_ready()
        yield town


@pytest.fixture(params=[(CELERY, FASTQ), (FASTQ, CELERY)], ids="-to-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return who calls and who runs it: only across, for it takes its time."""
    return tuple(request.param)


def test_a_soft_time_limit_is_raised(way: Way) -> None:
    told = way.client.do(scenes.ask, task="shop.wait", args=(30,), queue=way.queue, soft_time_limit=0.3)

    assert (told.state, told.raised.name) == ("FAILURE", "SoftTimeLimitExceeded")
    assert f"{way.caller}.exceptions.SoftTimeLimitExceeded" in _known_as(way, told.raised.bases)


def test_a_hard_time_limit_is_raised(way: Way) -> None:
    told = way.client.do(scenes.ask, task="shop.wait", args=(30,), queue=way.queue, time_limit=1)

    assert (told.state, told.raised.name, told.raised.args) == ("FAILURE", "TimeLimitExceeded", (1,))
    assert f"{way.caller}.exceptions.TimeLimitExceeded" in _known_as(way, told.raised.bases)
    assert way.client.do(scenes.ask, task="live.who", queue=way.queue).value == [way.runner, None]


def test_a_process_that_dies_is_told_of(way: Way) -> None:
    told = way.client.do(scenes.ask, task="shop.die", queue=way.queue)

    assert (told.state, told.raised.name) == ("FAILURE", "WorkerLostError")
    assert f"{way.caller}.exceptions.WorkerLostError" in _known_as(way, told.raised.bases)
    assert way.client.do(scenes.ask, task="live.who", queue=way.queue).value == [way.runner, None]


def _known_as(way: Way, bases: tuple[str, ...]) -> list[str]:
    """Return the names of classes as a program of the caller's library would write them."""
    if way.caller == FASTQ:
        return list(bases)
    return [base.replace("billiard.exceptions", "celery.exceptions") for base in bases]
