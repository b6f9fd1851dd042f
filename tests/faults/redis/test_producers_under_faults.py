"""A producer whose broker is away hears so in time, never hangs, and goes on by itself when the broker is back."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastq.exceptions import OperationalError
from fastq.result import AsyncResult
from tests.faults.conftest import RECORD, Place
from tests.faults.redis.faults import OUTAGES, SILENCES, Fault, Scene, frozen, no_way
from tests.support.call import Call
from tests.support.proxy import Cut, Proxy
from tests.support.redis_server import RedisServer

FAULTS = [*OUTAGES, *SILENCES]


@pytest.fixture
def place(server: RedisServer, proxy: Proxy, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place, whose client goes by way of the proxy, and is connected."""
    place = Place(tmp_path, proxy.url, server.url)
    place.send(range(1))
    yield place
    place.close()


def queued(server: RedisServer) -> list[str]:
    """Return the ids of the messages in the queue."""
    return [json.loads(message)["headers"]["id"] for message in server.do("LRANGE", "celery", 0, -1)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_call_during_an_outage_raises_in_time_and_the_next_one_works(
    place: Place, server: RedisServer, scene: Scene, fault: Fault
) -> None:
    with fault(scene):
        calls = [Call(lambda: place.client.send_task(RECORD, (1,))) for _ in range(4)]
        ended = [call.end(limit=15) for call in calls]
    print(f"{fault.__name__}: raised after {max(call.seconds for call in ended):.2f} s: {ended[0].error}")
    assert all(isinstance(call.error, OperationalError) for call in ended)
    task_id = place.client.send_task(RECORD, (2,)).id
    assert queued(server).count(task_id) == 1


@pytest.mark.parametrize("how", list(Cut))
@pytest.mark.parametrize("replies", [True, False], ids=["reply", "request"])
def test_a_call_that_is_cut_at_any_byte_sends_its_message_once_or_twice(
    place: Place, server: RedisServer, proxy: Proxy, replies: bool, how: Cut
) -> None:
    for byte in range(1, 5) if replies else range(1, 600, 50):
        proxy.cut_after(byte, how, replies=replies)
        task_id = place.client.send_task(RECORD, (byte,)).id
        assert proxy.has_cut(), "the cut was made within the call"
        assert queued(server).count(task_id) in ((1, 2) if replies else (1,))


def test_a_call_that_meets_one_outage_after_another_ends_in_time(place: Place, proxy: Proxy) -> None:
    with proxy.stalled():
        with proxy.closed():
            call = Call(lambda: place.client.send_task(RECORD, (1,)))
            threading.Event().wait(0.1)
        call.end(limit=15)
    print(f"refused, then silent: raised after {call.seconds:.2f} s")
    assert isinstance(call.error, OperationalError)


@pytest.mark.parametrize("fault", [no_way, frozen], ids=lambda fault: fault.__name__)
def test_coroutines_that_send_during_an_outage_raise_in_time_and_leave_the_loop_alone(
    place: Place, server: RedisServer, scene: Scene, fault: Fault
) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    async def send(count: int) -> list[object]:
        turning = asyncio.ensure_future(turn())
        try:
            calls = [place.client.asend_task(RECORD, (number,)) for number in range(count)]
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            turning.cancel()

    with fault(scene):
        call = Call(lambda: asyncio.run(send(4))).end(limit=15)
    assert isinstance(call.value, list), call.error
    assert [type(error) for error in call.value] == [OperationalError] * 4
    assert turns > 10
    (result,) = asyncio.run(send(1))
    assert isinstance(result, AsyncResult), result
    assert queued(server).count(result.id) == 1


def test_many_calls_at_once_during_an_outage_raise_in_time(place: Place, server: RedisServer, scene: Scene) -> None:
    rows = [(number,) for number in range(1_000)]
    with frozen(scene):
        call = Call(lambda: place.client.send_task_many(RECORD, rows)).end(limit=15)
    assert isinstance(call.error, OperationalError)
    results = place.client.send_task_many(RECORD, rows)
    assert set(queued(server)) >= {result.id for result in results}


def test_calls_before_during_and_after_a_restart_need_no_new_process(place: Place, server: RedisServer) -> None:
    ids = place.send(range(1, 11))
    server.kill()
    with pytest.raises(OperationalError):
        place.client.send_task(RECORD, (0,))
    server.start()
    ids |= place.send(range(11, 21))
    place.worker()
    assert place.results(ids) == {number: number for number in ids}
    assert place.ledger.repeated() == []
