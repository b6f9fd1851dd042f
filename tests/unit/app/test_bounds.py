"""Keys of calls: what makes two calls the same, and what becomes of one that is not sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, Task
from fastq.app import bounds
from fastq.exceptions import TaskAlreadyQueued

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.unit.app.conftest import Recorder

UNIQUE, LASTS, RATE, CONCURRENCY = (
    bounds.UNIQUE_KEY, bounds.UNIQUE_FOR, bounds.RATE_KEY, bounds.CONCURRENCY_KEY,
)  # fmt: skip


def declared(app: FastQ, **options: Any) -> Any:
    @app.task(name="shop.bill", **options)
    def bill(order: Any, tenant: str = "acme", *parts: Any, **more: Any) -> None:
        """Take an order, and whatever else."""

    return bill


def key(recorder: Recorder, header: str) -> Any:
    return recorder.last.headers.get(header)


def test_a_task_without_bounds_has_no_headers_of_them(app: FastQ, recorder: Recorder) -> None:
    bill = declared(app)
    bill.delay(1)
    bill.apply_async((1,), countdown=1)
    assert not any(name.startswith("x-fastq") for sent in recorder.messages for name in sent.headers)


def test_calls_are_the_same_by_their_arguments_however_they_are_written(app: FastQ, recorder: Recorder) -> None:
    bill = declared(app, unique_for=60)
    keys = []
    for args, kwargs in [((1,), {}), ((), {"order": 1}), ((1, "acme"), {}), ((1,), {"tenant": "acme"})]:
        bill.apply_async(args, kwargs)
        keys.append(key(recorder, UNIQUE))
    assert len(set(keys)) == 1
    assert (keys[0].startswith("shop.bill:"), key(recorder, LASTS)) == (True, 60.0)
    bill.delay({"b": 1, "a": 2})
    one = key(recorder, UNIQUE)
    bill.delay({"a": 2, "b": 1})
    assert key(recorder, UNIQUE) == one, "mappings have no order"
    for other in [(2,), (1, "bolt"), ("1",), (1, "acme", 3)]:
        bill.apply_async(other)
        assert key(recorder, UNIQUE) not in keys, other
    bill.delay(1, color="red")
    assert key(recorder, UNIQUE) not in keys


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("{order[id]}-{tenant}", "shop.bill:7-acme"),
        ("all", "shop.bill:all"),
        (lambda order, *_, **__: order["id"], "shop.bill:7"),
        (lambda *_, **__: None, None),
        ("x" * 300, bounds._short("shop.bill:" + "x" * 300)),
    ],
)
def test_a_key_is_a_text_a_format_of_the_arguments_or_a_function(
    app: FastQ, recorder: Recorder, given: Any, made: str | None
) -> None:
    bill = declared(app, unique_key=given, concurrency_key=given, rate_limit_key=given, max_concurrency=1)
    bill.delay({"id": 7})
    assert (key(recorder, UNIQUE), key(recorder, CONCURRENCY), key(recorder, RATE)) == (made, made, made)
    assert key(recorder, LASTS) == (None if made is None else 86400.0)


def test_a_key_that_begins_with_a_slash_is_several_tasks(app: FastQ, recorder: Recorder) -> None:
    bill = declared(app, concurrency_key="/database", rate_limit_key="/api/{tenant}", unique_key="/no")
    bill.delay(1)
    assert (key(recorder, CONCURRENCY), key(recorder, RATE)) == ("/database", "/api/acme")
    assert key(recorder, UNIQUE) == "shop.bill:/no", "calls of different tasks are never the same"
    bill.apply_async((1,), concurrency_key="{tenant}", kwargs={"tenant": "/database"})
    assert key(recorder, CONCURRENCY) == "shop.bill:/database", "what an argument holds makes no key shared"


def test_a_call_says_otherwise_than_its_task(app: FastQ, recorder: Recorder) -> None:
    bill = declared(app, unique_for=60)
    bill.apply_async((1,), unique_for=0)
    assert key(recorder, UNIQUE) is None
    bill.apply_async((1,), unique_for=5, unique_key="mine")
    assert (key(recorder, UNIQUE), key(recorder, LASTS)) == ("shop.bill:mine", 5.0)
    app.send_task("shop.bill", (1,))
    by_name = key(recorder, UNIQUE)
    bill.delay(1)
    assert by_name == key(recorder, UNIQUE), "a task that is known here has its options by name, too"
    app.send_task("elsewhere.task", (1,), {"a": 2}, unique_key="{0}-{a}")
    assert key(recorder, UNIQUE) == "elsewhere.task:1-2"
    assert not any(name in recorder.last.properties for name in bounds.OPTIONS)


def test_a_method_of_a_task_class_makes_its_key(app: FastQ, recorder: Recorder) -> None:
    class Bill(Task[..., None]):
        name = "shop.class"
        max_concurrency = 2

        def concurrency_key(self, order: int) -> str:  # type: ignore[override]
            return f"{self.name}/{order % 2}"

        def run(self, order: int) -> None:
            """Do nothing."""

    app.register_task(Bill()).delay(7)
    assert key(recorder, CONCURRENCY) == "shop.class:shop.class/1"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"unique_for": -1}, "unique_for"),
        ({"unique_key": 7}, "unique_key"),
        ({"on_duplicate": "drop"}, "'return' or 'raise'"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_concurrency": "two"}, "max_concurrency"),
        ({"rate_limit_scope": "all"}, "'worker' or 'global'"),
    ],
)
def test_options_that_cannot_work_are_refused_where_they_are_written(
    app: FastQ, options: dict[str, Any], named: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        declared(app, **options)


def test_arguments_of_which_no_key_can_be_made_are_an_error_that_names_the_option(app: FastQ) -> None:
    bill = declared(app, unique_key="{order.number}")
    with pytest.raises(ValueError, match=r"shop\.bill: unique_key is '\{order\.number\}'"):
        bill.delay(7)
    with pytest.raises(ValueError, match="give unique_key"):
        declared(FastQ("other", set_as_current=False), unique_for=5).delay(object())


# --------------------------------------------------------------- what is not sent


class Holding:
    """A producer for which some keys are held by others."""

    def __init__(self, recorder: Recorder, held: dict[str, str]) -> None:
        self.recorder = recorder
        self.held = held

    def _holder(self, message: Sequence[Any]) -> str | None:
        import orjson

        return self.held.get(orjson.loads(message[1]).get(UNIQUE))

    def publish(self, *message: Any, timeout: float | None = None) -> str | None:
        holder = self._holder(message)
        if holder is None:
            self.recorder.publish(*message)
        return holder

    def publish_many(
        self, messages: Sequence[Any], timeout: float | None = None, together: bool = True
    ) -> list[tuple[int, str]]:
        holders = [(place, self._holder(message)) for place, message in enumerate(messages)]
        duplicates = [(place, holder) for place, holder in holders if holder is not None]
        if not (together and duplicates):
            places = {place for place, _ in duplicates}
            self.recorder.publish_many([one for place, one in enumerate(messages) if place not in places])
        return duplicates

    def declare(self, queues: Any) -> None:
        self.recorder.declare(queues)

    def flush(self, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def bill(app: FastQ, recorder: Recorder) -> Iterator[Any]:
    app.producer = Holding(recorder, {"shop.bill:1": "first", "shop.bill:3": "third"})
    yield declared(app, unique_key="{order}")
    app.close()


def test_the_result_of_the_one_under_way_is_returned_or_the_call_is_an_error(bill: Any, recorder: Recorder) -> None:
    result = bill.delay(1)
    assert (result.id, result.duplicate, len(recorder.messages)) == ("first", True, 0)
    other = bill.delay(2)
    assert (other.duplicate, len(recorder.messages)) == (False, 1)
    with pytest.raises(TaskAlreadyQueued, match="is under way already, as first") as caught:
        bill.apply_async((1,), on_duplicate="raise")
    assert (caught.value.task_id, caught.value.key) == ("first", "shop.bill:1")


def test_of_many_calls_those_that_may_are_sent(bill: Any, recorder: Recorder) -> None:
    results = bill.apply_async_many([(number,) for number in range(5)])
    assert [result.duplicate for result in results] == [False, True, False, True, False]
    assert (results[1].id, results[3].id, len(recorder.messages)) == ("first", "third", 3)


def test_of_many_calls_none_are_sent_when_one_is_an_error(bill: Any, recorder: Recorder) -> None:
    with pytest.raises(TaskAlreadyQueued) as caught:
        bill.apply_async_many([(0,), (1,), (2,)], on_duplicate="raise")
    assert (caught.value.sent, len(recorder.messages)) == ([], 0)
    mixed = [bill.s(0).set(on_duplicate="raise"), bill.s(1), bill.s(2).set(on_duplicate="raise")]
    results = bill.apply_async_many(mixed)
    assert [result.duplicate for result in results] == [False, True, False], "the duplicate is no error of its own"


def test_coroutines_hear_the_same(bill: Any, recorder: Recorder) -> None:
    async def story() -> None:
        results = await asyncio.gather(*(bill.adelay(number) for number in range(5)))
        assert [result.duplicate for result in results] == [False, True, False, True, False]
        assert results[1].id == "first"
        with pytest.raises(TaskAlreadyQueued):
            await bill.aapply_async((3,), on_duplicate="raise")
        before = len(recorder.messages)
        with pytest.raises(TaskAlreadyQueued):
            await bill.aapply_async_many([(6,), (3,)], on_duplicate="raise")
        assert len(recorder.messages) == before
        results = await bill.aapply_async_many([(6,), (3,)])
        assert [result.duplicate for result in results] == [False, True]

    asyncio.run(story())


def test_the_next_try_has_the_keys_of_the_first(app: FastQ, recorder: Recorder) -> None:
    from fastq.app.send import compose

    declared(app, unique_for=60, concurrency_key="{tenant}")
    message = compose(app, "shop.bill", (2, "bolt"), {}, {"headers": {UNIQUE: "shop.bill:old", CONCURRENCY: "old"}})
    import orjson

    headers = orjson.loads(message.headers)
    assert (headers[UNIQUE], headers[CONCURRENCY]) == ("shop.bill:old", "old")
