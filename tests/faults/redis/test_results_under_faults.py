"""Who waits for a result while the broker is away gets it, or hears in time that it did not come."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastq.exceptions import OperationalError, TimeoutError  # noqa: A004 - it is the built-in too
from fastq.result import AsyncResult
from tests.faults.conftest import HOLD, Place
from tests.faults.redis.faults import Fault, Scene, cut, frozen, no_way, restart, silence
from tests.support.call import Call
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for

OUTAGES = (no_way, restart, silence, frozen)
NAMED = {"ids": lambda fault: fault.__name__}


@pytest.fixture
def place(server: RedisServer, proxy: Proxy, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place, whose client goes by way of the proxy."""
    place = Place(tmp_path, proxy.url, server.url)
    yield place
    place.close()


def held(place: Place, count: int) -> list[AsyncResult[str]]:
    """Return the results of tasks that run until the file `open` is there."""
    gate = str(place.folder / "open")
    results = [place.client.send_task(HOLD, (f"held-{number}", gate)) for number in range(count)]
    wait_for(lambda: len(place.ledger.runs()) == count, "their starts")
    return results


def is_listened_for(server: RedisServer, result: AsyncResult[str]) -> bool:
    """Whether somebody waits for a result."""
    return bool(server.do("PUBSUB", "CHANNELS", f"celery-task-meta-{result.id}"))


@pytest.mark.parametrize("fault", [cut, *OUTAGES], **NAMED)
def test_results_that_come_after_an_outage_reach_all_who_waited(
    place: Place, server: RedisServer, scene: Scene, fault: Fault
) -> None:
    place.worker(("-c", "4"))
    results = held(place, 4)
    calls = [Call(lambda result=result: result.get(timeout=30)) for result in results]  # type: ignore[misc]
    wait_for(lambda: all(is_listened_for(server, result) for result in results), "those who wait")
    with fault(scene):
        threading.Event().wait(0.7)
    (place.folder / "open").touch()
    assert [(call.end(limit=60).value, call.error) for call in calls] == [(f"held-{n}", None) for n in range(4)]


@pytest.mark.parametrize("fault", [cut, *OUTAGES], **NAMED)
def test_a_result_that_came_during_an_outage_reaches_who_waited(
    place: Place, server: RedisServer, scene: Scene, fault: Fault
) -> None:
    place.worker(("-c", "1"))
    (result,) = held(place, 1)
    call = Call(lambda: result.get(timeout=30))
    wait_for(lambda: is_listened_for(server, result), "one who waits")
    with fault(scene):
        (place.folder / "open").touch()
        wait_for(lambda: place.ledger.runs()["held-0"][0].ended, "its end")
        threading.Event().wait(0.7)
    assert (call.end(limit=60).value, call.error) == ("held-0", None)


@pytest.mark.parametrize("fault", [no_way, silence, frozen], **NAMED)
def test_a_wait_that_begins_in_an_outage_outlives_it(place: Place, scene: Scene, fault: Fault) -> None:
    place.worker(("-c", "1"))
    (result,) = held(place, 1)
    with fault(scene):
        call = Call(lambda: result.get(timeout=30))
        threading.Event().wait(0.7)
    (place.folder / "open").touch()
    assert (call.end(limit=60).value, call.error) == ("held-0", None)


@pytest.mark.parametrize("begins", ["before", "during"])
@pytest.mark.parametrize("fault", [no_way, silence, frozen], **NAMED)
def test_a_wait_that_an_outage_outlives_ends_in_time(
    place: Place, server: RedisServer, scene: Scene, fault: Fault, begins: str
) -> None:
    result = place.client.AsyncResult("nobody-runs-this")
    if begins == "before":
        call = Call(lambda: result.get(timeout=1))
        wait_for(lambda: is_listened_for(server, result), "one who waits")
    with fault(scene):
        if begins == "during":
            call = Call(lambda: result.get(timeout=1))
        call.end(limit=10)
    assert isinstance(call.error, (TimeoutError, OperationalError))
    print(f"{fault.__name__}, begun {begins}: get(timeout=1) ended after {call.seconds:.2f} s: {call.error}")
