"""Tasks that are coroutine functions."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from fastq._seam import DONE, FAILED
from fastq.app.task import AsyncTask
from fastq.exceptions import SoftTimeLimitExceeded
from fastq.execute import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.execute.conftest import Bench


@pytest.fixture(autouse=True)
def signal_kept() -> Iterator[None]:
    before = signal.getsignal(limits.SIGNAL)
    yield
    limits.guard.disarm()
    signal.signal(limits.SIGNAL, before)


def test_a_coroutine_is_run_to_its_end(bench: Bench) -> None:
    @bench.app.task(bind=True)
    async def work(self: Any, x: int) -> list[Any]:
        await asyncio.sleep(0)
        return [x, self.request.id]

    assert bench.meta(bench.run(work, 7))["result"] == [7, "id-1"]


def test_a_call_method_that_calls_the_one_above_runs_in_the_request_of_the_run(bench: Bench) -> None:
    class Wrapped(AsyncTask[..., Any]):
        async def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return [self.request.id, *await super().__call__(*args, **kwargs)]

    @bench.app.task(base=Wrapped, bind=True)
    async def work(self: Any, x: int) -> list[Any]:
        return [x, self.request.id]

    assert bench.meta(bench.run(work, 7))["result"] == ["id-1", 7, "id-1"]


def test_one_loop_is_kept_for_all_runs(bench: Bench) -> None:
    loops = []

    @bench.app.task
    async def work() -> None:
        loops.append(asyncio.get_running_loop())

    bench.run(work)
    bench.run(work)
    assert loops[0] is loops[1]
    bench.executor.close()
    assert loops[0].is_closed()


def test_what_a_coroutine_raises_is_the_failure_of_the_task(bench: Bench) -> None:
    @bench.app.task
    async def work(how: str) -> None:
        await asyncio.sleep(0)
        raise {"value": ValueError, "exit": SystemExit, "cancelled": asyncio.CancelledError}[how]

    for how, name in (("value", "ValueError"), ("exit", "SystemExit"), ("cancelled", "CancelledError")):
        outcome = bench.run(work, how)
        meta = bench.meta(outcome)
        assert (outcome.ending, type(meta["result"]).__name__) == (FAILED, name)
        assert meta["traceback"].count("File") == 1, "it begins and ends with the user's code"


@pytest.mark.parametrize("waits", [True, False])
def test_the_soft_limit_reaches_a_coroutine_wherever_it_is(bench: Bench, waits: bool) -> None:
    seen = []

    @bench.app.task
    async def work() -> str:
        loop = asyncio.get_running_loop()
        try:
            if waits:
                loop.call_later(0.01, os.kill, os.getpid(), limits.SIGNAL)
                await asyncio.sleep(30)
            else:
                await asyncio.sleep(0.01)
                os.kill(os.getpid(), limits.SIGNAL)
        except SoftTimeLimitExceeded as error:
            seen.append(error)
            await asyncio.sleep(0)
            return "cleaned up"
        return "not interrupted"

    outcome = bench.run(work, time_limits=(None, 0.01))
    assert bench.meta(outcome)["result"] == "cleaned up"
    assert bench.run(work, time_limits=(None, 0.01)).ending == DONE, "the loop is still usable"
    assert len(seen) == 2


def test_an_uncaught_soft_limit_is_a_failure(bench: Bench) -> None:
    @bench.app.task
    async def work() -> None:
        asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), limits.SIGNAL)
        await asyncio.gather(asyncio.sleep(30), asyncio.sleep(30))

    outcome = bench.run(work, time_limits=(None, 0.01))
    assert isinstance(bench.meta(outcome)["result"], SoftTimeLimitExceeded)


def test_what_runs_in_the_background_is_ended_with_the_executor(bench: Bench) -> None:
    ended = []

    async def background() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    @bench.app.task
    async def work() -> None:
        work.kept = asyncio.ensure_future(background())
        await asyncio.sleep(0)

    assert bench.run(work).ending == DONE
    assert ended == []
    bench.executor.close()
    assert ended == [True]


def test_a_coroutine_task_can_be_applied_inside_a_running_loop(bench: Bench) -> None:
    @bench.app.task
    async def work(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    async def caller() -> int:
        return work.apply((1,)).get()

    assert asyncio.run(caller()) == 2
    assert work.apply((2,)).get() == 3
