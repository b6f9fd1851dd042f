"""Calls from coroutines: what is published, together or alone, and what an event loop sees of a broker that hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from fastq import FastQ, signals
from fastq.app import bulk, outbox
from fastq.exceptions import EncodeError, OperationalError, QueueNotFound
from tests.support.wait import wait_for
from tests.unit.app.conftest import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

LIMIT = 20.0


class Gate(Recorder):
    """A producer that publishes only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Event()
        self.refused: set[str] = set()
        """Queues that do not exist."""

    def publish_many(self, messages: Sequence[Any], timeout: float | None = None) -> None:
        self.arrived.set()
        assert self.gate.wait(LIMIT)
        for message in messages:
            if message[0].routing_key in self.refused:
                raise QueueNotFound(f"no queue {message[0].routing_key}")
        super().publish_many(messages)


def run(story: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(story, LIMIT))


async def until(event: threading.Event) -> None:
    """Wait for a fact of another thread while the loop goes on."""
    await asyncio.to_thread(event.wait, LIMIT)


@pytest.fixture
def recorder() -> Gate:
    return Gate()


@pytest.fixture
def app(app: FastQ, recorder: Gate) -> Iterator[FastQ]:
    yield app
    recorder.gate.set()
    app.close()


def without_id(sent: Any) -> list[bytes]:
    return [part.replace(sent.headers["id"].encode(), b"ID") for part in sent.raw[:2]] + [sent.raw[2]]


def test_the_messages_are_those_of_plain_calls(app: FastQ, add: Any, recorder: Gate) -> None:
    # Both from this thread: the thread that calls is part of what is sent.
    async def story() -> list[Any]:
        return [
            await add.adelay(1, y=2),
            await add.aapply_async([1], {"y": 2}, queue="slow", priority=3),
            await app.asend_task("shop.add", (1,), {"y": 2}),
            *await add.aapply_async_many([(1, 2)]),
            *await app.asend_task_many("far", [(1,)], queue="q"),
        ]

    results = run(story())
    add.delay(1, y=2)
    add.apply_async([1], {"y": 2}, queue="slow", priority=3)
    app.send_task("shop.add", (1,), {"y": 2})
    add.apply_async_many([(1, 2)])
    app.send_task_many("far", [(1,)], queue="q")

    awaited, plain = recorder.messages[:5], recorder.messages[5:]
    assert [without_id(sent) for sent in awaited] == [without_id(sent) for sent in plain]
    assert [sent.route for sent in awaited] == [sent.route for sent in plain]
    assert [result.id for result in results] == [sent.headers["id"] for sent in awaited]


def test_what_is_sent_at_once_goes_together(add: Any, recorder: Gate) -> None:
    async def story() -> list[Any]:
        recorder.gate.clear()
        first = asyncio.ensure_future(add.adelay(0))
        await until(recorder.arrived)
        others = [asyncio.ensure_future(add.adelay(number)) for number in range(1, 1000)]
        await asyncio.sleep(0)
        recorder.gate.set()
        return await asyncio.gather(first, *others)

    results = run(story())

    assert recorder.chunks == [1, bulk.CHUNK, 999 - bulk.CHUNK]
    assert [result.id for result in results] == [sent.headers["id"] for sent in recorder.messages]


def test_the_loop_goes_on_while_the_broker_hangs(add: Any, recorder: Gate) -> None:
    async def story() -> None:
        recorder.gate.clear()
        sending = asyncio.ensure_future(add.adelay(1))
        await until(recorder.arrived)
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not sending.done()
        recorder.gate.set()
        await sending

    run(story())


def test_a_call_ends_in_time_whether_it_had_its_turn_or_not(
    app: FastQ, add: Any, recorder: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "GRACE", 0.05)
    app.conf.broker_publish_timeout = 0.05

    async def story() -> None:
        recorder.gate.clear()
        taken = asyncio.ensure_future(add.adelay(1))
        await until(recorder.arrived)
        waiting = asyncio.ensure_future(add.adelay(2))
        with pytest.raises(OperationalError, match="it may yet"):
            await taken
        with pytest.raises(OperationalError, match="was not sent"):
            await waiting

    run(story())
    recorder.gate.set()
    wait_for(lambda: len(recorder.messages) == 1, "the message whose turn it was")
    app.close()
    assert [sent.body[0] for sent in recorder.messages] == [[1]]


def test_one_message_that_cannot_be_sent_is_no_harm_to_the_others(add: Any, recorder: Gate) -> None:
    recorder.refused = {"missing"}

    async def story() -> list[Any]:
        queues = ["a", "missing", "b", "missing", "c"]
        calls = (add.aapply_async((1,), queue=queue) for queue in queues)
        return await asyncio.gather(*calls, return_exceptions=True)

    outcomes = run(story())

    assert [isinstance(outcome, QueueNotFound) for outcome in outcomes] == [False, True, False, True, False]
    assert [sent.route.routing_key for sent in recorder.messages] == ["a", "b", "c"]


def test_each_caller_gets_an_error_of_its_own(add: Any, recorder: Gate) -> None:
    async def story() -> list[Any]:
        recorder.gate.clear()
        calls = [asyncio.ensure_future(add.aapply_async((number,), retry=False)) for number in range(3)]
        await asyncio.sleep(0)
        recorder.failures = [OperationalError("gone")] * 3
        recorder.gate.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    errors = run(story())

    assert [str(error) for error in errors] == ["gone"] * 3
    assert len({id(error) for error in errors}) == 3


def test_what_failed_for_now_is_sent_again_as_the_call_says(add: Any, recorder: Gate) -> None:
    recorder.failures = [OperationalError("gone")]
    run(add.adelay(1))
    assert len(recorder.messages) == 1

    recorder.failures = [OperationalError("gone")]
    with pytest.raises(OperationalError):
        run(add.aapply_async((1,), retry=False))


def test_calls_that_are_sent_in_different_manners_do_not_go_together(add: Any, recorder: Gate) -> None:
    async def story() -> None:
        recorder.gate.clear()
        calls = [asyncio.ensure_future(add.adelay(0))]
        await until(recorder.arrived)
        manners: list[dict[str, Any]] = [{}, {}, {"retry": False}, {"retry": False}, {}]
        calls += [asyncio.ensure_future(add.aapply_async((1,), **manner)) for manner in manners]
        await asyncio.sleep(0)
        recorder.gate.set()
        await asyncio.gather(*calls)

    run(story())

    assert recorder.chunks == [1, 2, 2, 1]


def test_a_call_that_is_cancelled_before_its_turn_is_not_sent(add: Any, recorder: Gate) -> None:
    async def story() -> None:
        recorder.gate.clear()
        taken = asyncio.ensure_future(add.adelay("taken"))
        await until(recorder.arrived)
        cancelled, kept = asyncio.ensure_future(add.adelay("cancelled")), asyncio.ensure_future(add.adelay("kept"))
        await asyncio.sleep(0)
        taken.cancel()
        cancelled.cancel()
        outcomes = await asyncio.gather(taken, cancelled, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        recorder.gate.set()
        await kept

    run(story())

    assert [sent.body[0] for sent in recorder.messages] == [["taken"], ["kept"]]


def test_loops_in_several_threads_share_the_outbox(add: Any, recorder: Gate) -> None:
    found: list[Any] = []

    def thread(number: int) -> None:
        async def story() -> Any:
            return await asyncio.gather(*(add.adelay(number) for _ in range(20)))

        found.extend(run(story()))

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(LIMIT)

    assert sorted(result.id for result in found) == sorted(sent.headers["id"] for sent in recorder.messages)
    assert len(found) == 160


def test_a_loop_that_has_ended_is_no_harm_to_the_others(add: Any, recorder: Gate) -> None:
    async def leave() -> None:
        recorder.gate.clear()
        asyncio.ensure_future(add.adelay("left")).add_done_callback(lambda one: one.cancelled())
        await until(recorder.arrived)

    run(leave())
    recorder.gate.set()

    run(add.adelay("later"))

    assert [sent.body[0] for sent in recorder.messages] == [["left"], ["later"]]


def test_the_thread_ends_when_nothing_comes_and_begins_again(
    add: Any, recorder: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LINGER", 0.01)
    for _ in range(3):
        run(add.adelay(1))
        wait_for(lambda: not [one for one in threading.enumerate() if one.name == "fastq-outbox"], "the thread's end")

    assert len(recorder.messages) == 3


def test_closing_publishes_what_is_there_and_ends_the_thread(app: FastQ, add: Any, recorder: Gate) -> None:
    async def story() -> None:
        recorder.gate.clear()
        calls = [asyncio.ensure_future(add.adelay(number)) for number in range(5)]
        await until(recorder.arrived)
        closing = asyncio.ensure_future(app.aclose())
        await asyncio.sleep(0)
        recorder.gate.set()
        await asyncio.gather(closing, *calls)
        assert not [one for one in threading.enumerate() if one.name == "fastq-outbox"]

    run(story())
    assert len(recorder.messages) == 5

    app.producer = recorder
    run(add.adelay(6))
    assert len(recorder.messages) == 6


def test_the_app_is_closed_at_the_end_of_an_async_with(recorder: Gate) -> None:
    async def story() -> None:
        async with FastQ("shop", broker="memory://", set_as_current=False) as app:
            app.producer = recorder
            await app.asend_task("x")
        assert app.closed

    run(story())


def test_arguments_are_checked_before_anything_is_sent(add: Any, recorder: Gate) -> None:
    with pytest.raises(TypeError, match=r"shop\.add"):
        run(add.adelay())
    with pytest.raises(EncodeError):
        run(add.adelay(object()))
    with pytest.raises(ValueError, match="priority"):
        run(add.aapply_async((1,), priority=300))
    assert recorder.chunks == []


def test_many_calls_say_what_was_sent_before_an_error(add: Any, recorder: Gate) -> None:
    def calls() -> Iterator[tuple[int]]:
        for number in range(bulk.CHUNK + 1):
            yield (number,)
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught:
        run(add.aapply_async_many(calls()))

    assert [result.id for result in caught.value.sent] == [  # type: ignore[attr-defined]
        sent.headers["id"] for sent in recorder.messages
    ]
    assert len(recorder.messages) == bulk.CHUNK


def test_handlers_hear_of_the_message_on_the_loops_own_thread(add: Any, recorder: Gate) -> None:
    heard: list[tuple[str, int, int]] = []

    def before(headers: dict[str, Any], **_: Any) -> None:
        headers["x-seen"] = True
        heard.append(("before", threading.get_ident(), len(recorder.messages)))

    def after(**_: Any) -> None:
        heard.append(("after", threading.get_ident(), len(recorder.messages)))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    try:
        run(add.adelay(1))
    finally:
        signals.before_task_publish.disconnect(before)
        signals.after_task_publish.disconnect(after)

    here = threading.get_ident()
    assert heard == [("before", here, 0), ("after", here, 1)]
    assert recorder.last.headers["x-seen"] is True


def test_what_a_run_sends_belongs_to_it(add: Any, recorder: Gate) -> None:
    async def story() -> tuple[list[Any], list[Any]]:
        add.push_request(id="parent", root_id="root", called_directly=False)
        sent = [await add.adelay(1), await add.aapply_async((1,), task_id="own"), *await add.aapply_async_many([(1,)])]
        return sent, add.request.children

    sent, children = run(story())

    assert {(one.headers["root_id"], one.headers["parent_id"]) for one in recorder.messages} == {("root", "parent")}
    assert children == sent


def test_queues_with_more_than_a_name_are_declared_by_the_thread(add: Any, recorder: Gate) -> None:
    run(add.aapply_async((1,), exchange="news", exchange_type="topic", routing_key="a"))
    run(add.aapply_async((1,), exchange="news", exchange_type="topic", routing_key="b"))

    assert len(recorder.declared) == len({spec.name for spec in recorder.declared})
    assert len(recorder.messages) == 2


def test_eager_calls_run_in_a_thread_and_the_loop_goes_on(app: FastQ, recorder: Gate) -> None:
    begun, done = threading.Event(), threading.Event()

    @app.task
    def wait() -> str:
        begun.set()
        assert done.wait(LIMIT)
        return "done"

    app.conf.task_always_eager = True

    async def story() -> list[str]:
        call = asyncio.ensure_future(wait.adelay())
        await until(begun)
        done.set()
        results = [await call, *await wait.aapply_async_many([()])]
        return [await result.aget() for result in results]

    assert run(story()) == ["done", "done"]
    assert recorder.chunks == []
