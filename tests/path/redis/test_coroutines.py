"""Calls and results in coroutines, on a server: few round trips, and a loop that never stands still."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fastq import FastQ
from fastq.exceptions import OperationalError
from fastq.exceptions import TimeoutError as OutOfTime
from tests.path.conftest import SHOP
from tests.path.redis.conftest import Watched
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from tests.support.worker import RunningWorker

T = TypeVar("T")

LIMIT = 30.0


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(story, LIMIT))


async def ticks_until(done: asyncio.Future[Any]) -> int:
    """Return how often the loop came round before that."""
    ticks = 0
    while not done.done():
        await asyncio.sleep(0.001)
        ticks += 1
    return ticks


def test_a_thousand_calls_at_once_are_a_few_round_trips(server: Watched, add: Any) -> None:
    async def story() -> list[Any]:
        await add.adelay(0)
        return await asyncio.gather(*(add.adelay(number) for number in range(1000)))

    results = run(story())

    assert server.do("LLEN", "celery") == 1001
    assert server.calls("lpush") < 100
    assert len({result.id for result in results}) == 1000
    assert len(server.clients()) == 1


def test_the_loop_goes_on_while_the_server_hangs_and_calls_end_in_time(server: Watched, app: FastQ, add: Any) -> None:
    app.conf.broker_publish_timeout = 0.3

    async def story() -> tuple[int, list[Any]]:
        await add.adelay(0)
        with server.frozen():
            calls = asyncio.gather(*(add.adelay(number) for number in range(50)), return_exceptions=True)
            ticks = await ticks_until(calls)
        return ticks, await calls

    ticks, outcomes = run(story())

    assert ticks > 50
    assert all(isinstance(outcome, OperationalError) for outcome in outcomes)


def test_the_loop_goes_on_while_results_of_a_hanging_server_are_awaited(server: Watched, app: FastQ) -> None:
    async def story() -> tuple[int, Any]:
        app.backend.store_result("known", 1, "SUCCESS")
        with server.frozen():
            awaited = asyncio.ensure_future(app.AsyncResult("known").aget(timeout=0.3))
            ticks = await ticks_until(awaited)
            with pytest.raises(OutOfTime):
                await awaited
        return ticks, await app.AsyncResult("known").aget(timeout=LIMIT)

    ticks, value = run(story())

    assert ticks > 50
    assert value == 1


def test_a_server_that_is_away_is_said_so(server: Watched, app: FastQ, add: Any) -> None:
    server.kill()
    app.conf.broker_publish_timeout = 0.3

    with pytest.raises(OperationalError, match="no Redis server listens"):
        run(add.adelay(1))
    with pytest.raises(OperationalError, match="no Redis server listens"):
        run(app.AsyncResult("id").aget())


def test_many_coroutines_wait_over_one_connection_even_when_it_breaks(server: Watched, app: FastQ) -> None:
    async def story() -> list[Any]:
        awaited = [asyncio.ensure_future(app.AsyncResult(str(number)).aget()) for number in range(200)]
        await asyncio.to_thread(wait_for, lambda: len(server.do("PUBSUB", "CHANNELS")) == 200, "all to listen")
        assert (len(server.clients("pubsub")), len(server.clients())) == (1, 1)
        await asyncio.to_thread(server.do, "CLIENT", "KILL", "TYPE", "pubsub")
        for number in range(200):
            app.backend.store_result(str(number), number, "SUCCESS")
        return await asyncio.gather(*awaited)

    assert run(story()) == list(range(200))
    wait_for(lambda: not server.do("PUBSUB", "CHANNELS"), "nothing to be listened for")
    app.close()
    wait_for(lambda: not server.clients() and not server.clients("pubsub"), "the end of all connections")


def test_what_is_awaited_comes_also_over_a_restart_of_the_server(server: Watched, app: FastQ) -> None:
    async def story() -> Any:
        awaited = asyncio.ensure_future(app.AsyncResult("id").aget())
        await asyncio.to_thread(wait_for, lambda: server.do("PUBSUB", "CHANNELS"), "it to listen")
        server.kill()
        await asyncio.to_thread(server.start)
        app.backend.store_result("id", 5, "SUCCESS")
        return await awaited

    assert run(story()) == 5


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_sends_and_awaits_with_threads_of_its_own(server: Watched, app: FastQ, add: Any) -> None:
    run(add.adelay(1))

    def in_child() -> None:
        async def story() -> int:
            await add.adelay(2)
            app.backend.store_result("id", 5, "SUCCESS")
            return await app.AsyncResult("id").aget()

        assert run(story()) == 5

    pid = os.fork()
    if pid == 0:
        try:
            in_child()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    run(add.adelay(3))

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert server.do("LLEN", "celery") == 3


def test_from_call_to_result_through_a_worker(
    server: Watched, app: FastQ, start_worker: Callable[..., RunningWorker]
) -> None:
    start_worker(SHOP)

    async def story() -> list[int]:
        sent = await asyncio.gather(*(app.asend_task("shop.add", (number, 1)) for number in range(20)))
        sent += await app.asend_task_many("shop.add", ((number, 1) for number in range(20, 40)))
        return await asyncio.gather(*(result.aget(timeout=LIMIT) for result in sent))

    assert run(story()) == list(range(1, 41))
