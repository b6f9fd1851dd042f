"""Many calls at once: the same messages as one by one, in chunks; what is sent when something fails."""

from __future__ import annotations

from functools import partial
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, Signature, signals
from fastq._seam import Route
from fastq.app import bulk
from fastq.exceptions import EncodeError, OperationalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.app.conftest import Recorder


def alike(one: Any, other: Any) -> bool:
    """Tell whether two messages differ in nothing but their ids."""
    parts = [b"|".join(sent.raw).replace(sent.headers["id"].encode(), b"ID") for sent in (one, other)]
    return parts[0] == parts[1] and one.route == other.route


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "slow", "priority": 3},
        {"time_limit": 9, "soft_time_limit": 8, "ignore_result": True},
        {"headers": {"x": "100%"}, "shadow": "other", "app_id": "a"},
        {"link": [Signature("next", (1,))]},
        {"serializer": "pickle"},
        {"compression": "gzip"},
        {"root_id": "r", "parent_id": "p"},
        {"exchange": "news", "exchange_type": "topic", "routing_key": "a.b"},
        {"eta": "2030-01-01T00:00:00+00:00"},
    ],
    ids=lambda options: "-".join(options) or "none",
)
@pytest.mark.parametrize("by_name", [False, True])
def test_many_calls_make_the_messages_that_single_ones_make(
    app: FastQ, add: Any, recorder: Recorder, options: dict[str, Any], by_name: bool
) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = [((1,), {"y": 2}), (["ü%b"], {"y": None}), ((), {"x": [1] * 3000})]
    for args, kwargs in calls:
        if by_name:
            app.send_task("shop.add", args, kwargs, **options)
        else:
            add.apply_async(args, kwargs, **options)

    lists = [args for args, _ in calls], [kwargs for _, kwargs in calls]
    many = partial(app.send_task_many, "shop.add") if by_name else add.apply_async_many
    results = many(*lists, **options)

    single, together = recorder.messages[:3], recorder.messages[3:]
    assert all(map(alike, single, together))
    assert [result.id for result in results] == [sent.headers["id"] for sent in together]
    assert len({result.id for result in results}) == 3
    assert recorder.chunks == [3]
    ignored = app.conf.task_ignore_result if by_name else add.ignore_result
    assert all(result.ignored is bool(options.get("ignore_result", ignored)) for result in results)


def test_a_task_nobody_knows_here_can_be_called_many_times(app: FastQ, recorder: Recorder) -> None:
    results = app.send_task_many("far.away", [(1,), (2,)], {"y": 3}, queue="q")

    assert [sent.body[:2] for sent in recorder.messages] == [[[1], {"y": 3}], [[2], {"y": 3}]]
    assert {sent.route for sent in recorder.messages} == {Route("", "q")}
    assert [result.name for result in results] == ["far.away"] * 2


def test_keyword_arguments_alone_say_how_many_calls_there_are(add: Any, recorder: Recorder) -> None:
    add.apply_async_many(kwargs=({"x": number} for number in range(3)))

    assert [sent.body[:2] for sent in recorder.messages] == [[[], {"x": number}] for number in range(3)]


def test_a_map_sends_a_call_for_each_row(add: Any, recorder: Recorder) -> None:
    results = add.delay_map([1, 2, 3], [10, 20])

    assert [sent.body[0] for sent in recorder.messages] == [[1, 10], [2, 20]]
    assert len(results) == 2


def test_signatures_bring_options_of_their_own(add: Any, recorder: Recorder) -> None:
    add.apply_async_many([add.s(1).set(priority=5), add.s(2), add.si(3), (4,)], {"y": 9}, priority=1, queue="q")

    assert [sent.route for sent in recorder.messages] == [Route("", "q", 5), *[Route("", "q", 1)] * 3]
    assert [sent.body[:2] for sent in recorder.messages] == [
        [[1], {"y": 9}],
        [[2], {"y": 9}],
        [[3], {}],
        [[4], {"y": 9}],
    ]


def test_calls_are_taken_from_a_generator_one_chunk_at_a_time(add: Any, recorder: Recorder) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[tuple[int]]:
        for number in islice(count(), 2 * bulk.CHUNK + 1):
            assert len(taken) - len(recorder.messages) < bulk.CHUNK
            taken.append(number)
            yield (number,)

    results = add.apply_async_many(numbers())

    assert recorder.chunks == [bulk.CHUNK, bulk.CHUNK, 1]
    assert [sent.body[0][0] for sent in recorder.messages] == taken
    assert len(results) == len(taken)


def test_large_bodies_make_small_chunks(add: Any, recorder: Recorder) -> None:
    large = "x" * (bulk.CHUNK_BYTES // 2)

    add.apply_async_many([(large,)] * 5)

    assert recorder.chunks == [2, 2, 1]


def test_nothing_to_send_sends_nothing(add: Any, recorder: Recorder) -> None:
    assert add.apply_async_many([]) == []
    assert add.delay_map(()) == []
    assert recorder.chunks == []


def test_an_error_of_the_broker_says_what_was_sent_before(add: Any, recorder: Recorder) -> None:
    calls = [(number,) for number in range(2 * bulk.CHUNK)]

    def fail_in_the_second_chunk() -> Iterator[tuple[int]]:
        for number in calls:
            if number == calls[bulk.CHUNK]:
                recorder.failures = [OperationalError("gone")]
            yield number

    with pytest.raises(OperationalError, match="gone") as caught:
        add.apply_async_many(fail_in_the_second_chunk(), retry=False)

    assert [result.id for result in caught.value.sent] == [sent.headers["id"] for sent in recorder.messages]
    assert len(caught.value.sent) == bulk.CHUNK


def test_a_chunk_that_failed_for_now_is_sent_again(add: Any, recorder: Recorder) -> None:
    recorder.failures = [OperationalError("gone")]

    results = add.delay_map(range(3))

    assert recorder.chunks == [3, 3]
    assert [result.id for result in results] == [sent.headers["id"] for sent in recorder.messages]


@pytest.mark.parametrize(
    ("bad", "error"),
    [((1, 2, 3), TypeError), (5, TypeError), ("12", TypeError), ((object(),), EncodeError)],
    ids=["too-many-arguments", "a-number", "a-text", "not-encodable"],
)
def test_a_call_that_cannot_be_made_leaves_its_whole_chunk_unsent(
    add: Any, recorder: Recorder, bad: Any, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        add.apply_async_many([*[(1,)] * (bulk.CHUNK + 2), bad])

    assert len(caught.value.sent) == len(recorder.messages) == bulk.CHUNK  # type: ignore[attr-defined]


def test_an_error_of_the_generator_leaves_as_it_is(add: Any, recorder: Recorder) -> None:
    def calls() -> Iterator[tuple[int]]:
        yield (1,)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        add.apply_async_many(calls())

    assert caught.value.sent == []  # type: ignore[attr-defined]
    assert recorder.messages == []


def test_calls_that_cannot_be_meant_are_refused(app: FastQ, add: Any) -> None:
    with pytest.raises(TypeError, match="how many calls"):
        add.apply_async_many(kwargs={"x": 1})
    with pytest.raises(ValueError, match="shorter"):
        add.apply_async_many([(1,), (2,)], [{}])
    with pytest.raises(TypeError, match="must be a mapping, not int"):
        add.apply_async_many([(1,)], [5])
    with pytest.raises(ValueError, match=r"shop\.add cannot be sent together with one of other"):
        add.apply_async_many([app.signature("other")])


def test_handlers_hear_of_each_message_before_and_after_it_is_sent(add: Any, recorder: Recorder) -> None:
    heard: list[tuple[str, Any, int]] = []

    def before(headers: dict[str, Any], **_: Any) -> None:
        headers["x-seen"] = True
        heard.append(("before", headers["id"], len(recorder.messages)))

    def after(headers: dict[str, Any], **_: Any) -> None:
        heard.append(("after", headers["id"], len(recorder.messages)))

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    try:
        ids = [result.id for result in add.delay_map([1, 2])]
    finally:
        signals.before_task_publish.disconnect(before)
        signals.after_task_publish.disconnect(after)

    assert heard == [("before", ids[0], 0), ("before", ids[1], 0), ("after", ids[0], 2), ("after", ids[1], 2)]
    assert [sent.headers["x-seen"] for sent in recorder.messages] == [True, True]
    assert recorder.chunks == [2]


def test_a_router_that_looks_at_arguments_is_asked_for_each_call(app: FastQ, add: Any, recorder: Recorder) -> None:
    def by_size(_name: str, args: Any, *_: Any, **__: Any) -> str:
        return "large" if args[0] > 10 else "small"

    app.conf.task_routes = [by_size]

    add.delay_map([1, 100])

    assert [sent.route.routing_key for sent in recorder.messages] == ["small", "large"]


def test_queues_with_more_than_a_name_are_declared_once(app: FastQ, add: Any, recorder: Recorder) -> None:
    add.apply_async_many([(number,) for number in range(bulk.CHUNK + 1)], exchange="news", exchange_type="topic")
    add.apply_async_many([add.s(1).set(exchange="news", exchange_type="topic")])

    assert len(recorder.declared) == len({spec.name for spec in recorder.declared})


def test_what_a_run_sends_belongs_to_it(add: Any, recorder: Recorder) -> None:
    add.push_request(id="parent", root_id="root", called_directly=False)
    first = add.delay_map([1, 2])
    add.apply_async_many([(3,)], add_to_parent=False)
    children = add.request.children
    add.pop_request()

    assert {(sent.headers["root_id"], sent.headers["parent_id"]) for sent in recorder.messages} == {("root", "parent")}
    assert children == first


def test_stamps_of_the_run_go_on(add: Any, recorder: Recorder) -> None:
    add.push_request(id="p", called_directly=False, stamped_headers=["s"], stamps={"s": "1"})
    add.delay_map([1])
    add.pop_request()

    assert recorder.last.headers["stamps"] == {"s": "1"}


def test_eager_calls_run_one_by_one_here(app: FastQ, recorder: Recorder) -> None:
    @app.task
    def half(x: int) -> float:
        return 10 / x

    app.conf.task_always_eager = True
    assert [result.get() for result in half.delay_map([1, 2])] == [10, 5]

    app.conf.task_eager_propagates = True
    with pytest.raises(ZeroDivisionError) as caught:
        half.delay_map([1, 0, 2])

    assert [result.get() for result in caught.value.sent] == [10]  # type: ignore[attr-defined]
    assert recorder.messages == []


def test_another_producer_can_be_given(app: FastQ, add: Any, recorder: Recorder) -> None:
    other = type(recorder)()

    add.apply_async_many([(1,)], producer=other)

    assert (len(other.messages), len(recorder.messages)) == (1, 0)
