"""Results in coroutines: one thread waits for all of them, and no event loop stands still."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fastq import FastQ, states
from fastq.app import current
from fastq.backends.memory import MemoryBackend
from fastq.exceptions import BackendGetMetaError, ConnectionClosed, OperationalError
from fastq.exceptions import TimeoutError as OutOfTime
from fastq.result import AsyncResult, EagerResult, RemoteTraceback, watcher
from fastq.result import wait as waiting
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastq._seam import Record

T = TypeVar("T")

LIMIT = 20.0


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(story, LIMIT))


@pytest.fixture
def app() -> Iterator[FastQ]:
    process = (current._Process.current, current._Process.default)
    made = FastQ("shop", broker="memory://", backend=f"memory://{uuid.uuid4().hex}")
    yield made
    made.close()
    current._Process.current, current._Process.default = process
    current._current.set(None)


def end(result: AsyncResult[Any], value: Any = 5, state: str = states.SUCCESS, **options: Any) -> None:
    result.backend.store_result(result.id, value, state, **options)


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "fastq-results"]


async def begun(*awaited: asyncio.Future[Any]) -> None:
    """Let coroutines come to where they wait."""
    await asyncio.sleep(0)
    await asyncio.to_thread(wait_for, threads, "the thread that waits")
    assert not any(one.done() for one in awaited)


def test_what_has_ended_before_and_what_ends_later(app: FastQ) -> None:
    async def story() -> list[Any]:
        before, later = app.AsyncResult("before"), app.AsyncResult("later")
        end(before, 1)
        assert await before.aget() == 1
        awaited = asyncio.ensure_future(later.aget())
        await begun(awaited)
        end(later, None, states.STARTED)
        end(later, 2)
        return [await awaited, await later.aget(), later.get()]

    assert run(story()) == [2, 2, 2]


def test_any_number_of_coroutines_wait_over_one_thread(app: FastQ) -> None:
    async def story() -> list[int]:
        results = [app.AsyncResult(str(number)) for number in range(200)]
        awaited = [asyncio.ensure_future(result.aget()) for result in results]
        twice = asyncio.ensure_future(app.AsyncResult("7").aget())
        await begun(*awaited)
        assert len(threads()) == 1
        for number, result in reversed(list(enumerate(results))):
            end(result, number)
        assert await twice == 7
        return await asyncio.gather(*awaited)

    assert run(story()) == list(range(200))


def test_loops_in_several_threads_wait_over_one_thread(app: FastQ) -> None:
    found: list[int] = []

    def thread(number: int) -> None:
        found.append(run(app.AsyncResult(str(number)).aget()))

    loops = [threading.Thread(target=thread, args=(number,)) for number in range(8)]
    for loop in loops:
        loop.start()
    wait_for(threads, "the thread that waits")
    assert len(threads()) == 1
    for number in range(8):
        end(app.AsyncResult(str(number)), number)
    for loop in loops:
        loop.join(LIMIT)

    assert sorted(found) == list(range(8))


def test_a_task_that_raised_raises_here(app: FastQ) -> None:
    result = app.AsyncResult("id")
    end(result, KeyError("k"), states.FAILURE, traceback="Traceback: there")

    with pytest.raises(KeyError) as caught:
        run(result.aget())
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert isinstance(run(app.AsyncResult("id").aget(propagate=False)), KeyError)


def test_time_runs_out(app: FastQ) -> None:
    with pytest.raises(OutOfTime, match=r"id has not ended within 0\.02 s"):
        run(app.AsyncResult("id").aget(timeout=0.02))
    with pytest.raises(TypeError, match="timeout must be a number"):
        run(app.AsyncResult("id").aget(timeout="soon"))  # type: ignore[arg-type]


def test_the_value_is_called_back_with(app: FastQ) -> None:
    result, told = app.AsyncResult("id"), []
    end(result)

    run(result.aget(callback=lambda *what: told.append(what)))

    assert told == [("id", 5)]


def test_nothing_is_waited_for_where_nothing_will_come(app: FastQ) -> None:
    ignored = app.AsyncResult("id")
    ignored.ignored = True

    assert run(ignored.aget()) is None
    assert run(EagerResult("id", 5, states.SUCCESS).aget()) == 5
    assert threads() == []


def test_the_failure_of_a_task_before_it_ends_the_wait(app: FastQ) -> None:
    async def story() -> None:
        parent = app.AsyncResult("parent")
        awaited = asyncio.ensure_future(AsyncResult("child", app=app, parent=parent).aget())
        await begun(awaited)
        end(parent, KeyError("k"), states.FAILURE)
        with pytest.raises(KeyError):
            await awaited

    run(story())


def test_the_success_of_a_task_before_it_does_not(app: FastQ) -> None:
    async def story() -> int:
        parent = app.AsyncResult("parent")
        child: AsyncResult[int] = AsyncResult("child", app=app, parent=parent)
        awaited = asyncio.ensure_future(child.aget())
        end(parent)
        await begun(awaited)
        end(child, 6)
        return await awaited

    assert run(story()) == 6


def test_a_wait_that_is_cancelled_is_forgotten(app: FastQ) -> None:
    async def story() -> None:
        cancelled, other = (asyncio.ensure_future(app.AsyncResult("id").aget()) for _ in range(2))
        await begun(cancelled, other)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        end(app.AsyncResult("id"))
        assert await other == 5
        assert watcher.watcher_of(app.backend)._waiters == {}

    run(story())


def test_the_thread_ends_when_nobody_waits_and_begins_again(app: FastQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LINGER", 0.01)
    for number in range(3):
        with pytest.raises(OutOfTime):
            run(app.AsyncResult("never").aget(timeout=0.01))
        result = app.AsyncResult(str(number))
        end(result)
        assert run(result.aget()) == 5
        wait_for(lambda: not threads(), "the thread's end")


def test_closing_the_app_ends_every_wait(app: FastQ) -> None:
    async def story() -> None:
        awaited = asyncio.ensure_future(app.AsyncResult("id").aget())
        await begun(awaited)
        await app.aclose()
        with pytest.raises(ConnectionClosed):
            await awaited
        assert threads() == []
        end(app.AsyncResult("id"))
        assert await app.AsyncResult("id").aget() == 5

    run(story())


def test_waiting_inside_a_task_is_refused(app: FastQ) -> None:
    before = waiting._Guard.running
    waiting.deny_joins_while(lambda: True)
    try:
        with pytest.raises(RuntimeError, match="Never wait"):
            run(app.AsyncResult("id").aget())
        end(app.AsyncResult("id"))
        assert run(app.AsyncResult("id").aget(disable_sync_subtasks=False)) == 5
    finally:
        waiting._Guard.running = before


class Failing(MemoryBackend):
    """A backend that fails as often as it is told to."""

    failures: list[Exception]

    def load(self, task_ids: Sequence[str]) -> list[Record | None]:
        if self.failures:
            raise self.failures.pop(0)
        return super().load(task_ids)


def test_a_store_that_fails_when_it_is_asked_first_fails_the_call(app: FastQ) -> None:
    app.backend = backend = Failing(app, "cache+memory://")
    backend.failures = [OperationalError("gone")]
    with pytest.raises(OperationalError, match="gone"):
        run(app.AsyncResult("id").aget())

    end(app.AsyncResult("id"))
    assert run(app.AsyncResult("id").aget()) == 5
    backend.forget(["id"])


def test_a_store_that_fails_later_fails_everybody_who_waits(app: FastQ) -> None:
    app.backend = backend = Failing(app, "cache+memory://")
    backend.failures = []

    async def story() -> list[Any]:
        awaited = [asyncio.ensure_future(app.AsyncResult(one).aget()) for one in ("a", "b")]
        await begun(*awaited)
        backend.failures = [BackendGetMetaError("broken")] * 2
        return await asyncio.gather(*awaited, return_exceptions=True)

    assert [type(error) for error in run(story())] == [BackendGetMetaError] * 2
