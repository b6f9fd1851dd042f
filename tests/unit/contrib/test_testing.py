"""What a test does with `app.testing`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import ANY

import pytest

from fastq import FastQ, signals
from fastq.contrib.testing import in_memory
from fastq.exceptions import ImproperlyConfigured, Reject, TaskRevokedError
from fastq.states import FAILURE, PENDING, RETRY, SUCCESS

MOMENT = datetime(2030, 1, 2, tzinfo=timezone.utc)


@pytest.fixture
def ran(fastq_app: FastQ) -> list[Any]:
    """Return what the tasks `note` got, in the order they ran."""
    seen: list[Any] = []

    @fastq_app.task(name="note", bind=True)
    def note(self: Any, value: Any) -> Any:
        seen.append((value, fastq_app.testing.now()))
        return value

    return seen


def test_nothing_runs_before_the_test_says_so(fastq_app: FastQ, ran: list[Any]) -> None:
    result = fastq_app.tasks["note"].delay(1)
    assert result.state == PENDING
    assert fastq_app.testing.run() == 1
    assert result.get(timeout=0) == 1
    assert fastq_app.testing.run() == 0


def test_the_clock_stands_still_until_it_is_turned(fastq_app: FastQ) -> None:
    testing = fastq_app.testing
    begun = testing.now()
    assert testing.now() == begun
    testing.advance(hours=3)
    testing.advance_to(begun + timedelta(days=1))
    assert testing.now() - begun == timedelta(days=1)
    for wrong in (lambda: testing.advance(seconds=-1), lambda: testing.advance_to(begun)):
        with pytest.raises(ValueError, match="never back"):
            wrong()


def test_what_is_due_later_runs_at_its_time_in_order(fastq_app: FastQ, ran: list[Any]) -> None:
    note, begun = fastq_app.tasks["note"], fastq_app.testing.now()
    note.apply_async((2,), countdown=7200)
    note.apply_async((1,), countdown=3600)
    note.apply_async((3,), eta=begun + timedelta(hours=4))
    note.delay(0)
    assert fastq_app.testing.advance(hours=3) == 3
    hours = [(value, round((at - begun).total_seconds() / 3600, 3)) for value, at in ran]
    assert hours == [(0, 0), (1, 1), (2, 2)]
    assert fastq_app.testing.advance(hours=1) == 1


def test_a_countdown_counts_from_the_clock_that_was_turned(fastq_app: FastQ, ran: list[Any]) -> None:
    fastq_app.testing.advance(days=2)
    fastq_app.tasks["note"].apply_async((1,), countdown=60)
    assert fastq_app.testing.advance(seconds=59) == 0
    assert fastq_app.testing.advance(seconds=1) == 1


def test_retries_run_at_their_times(fastq_app: FastQ) -> None:
    tries: list[Any] = []

    @fastq_app.task(name="fetch", bind=True, max_retries=5, default_retry_delay=600)
    def fetch(self: Any) -> str:
        tries.append(fastq_app.testing.now())
        if self.request.retries < 2:
            raise self.retry()
        return "page"

    result = fetch.delay()
    fastq_app.testing.run()
    assert result.state == RETRY
    assert fastq_app.testing.advance(minutes=10) == 1
    assert fastq_app.testing.advance(minutes=10) == 1
    assert result.get(timeout=0) == "page"
    assert [(at - tries[0]).total_seconds() for at in tries] == pytest.approx([0, 600, 1200], abs=0.01)


def test_what_has_expired_does_not_run(fastq_app: FastQ, ran: list[Any]) -> None:
    revoked: list[Any] = []
    signals.task_revoked.connect(lambda request, expired, **_: revoked.append((request.id, expired)), weak=False)
    result = fastq_app.tasks["note"].apply_async((1,), countdown=20, expires=10)
    assert fastq_app.testing.advance(seconds=30) == 0
    assert (ran, revoked) == ([], [(result.id, True)])
    with pytest.raises(TaskRevokedError):
        result.get(timeout=0)


def test_a_revoked_task_does_not_run(fastq_app: FastQ, ran: list[Any]) -> None:
    results = [fastq_app.tasks["note"].apply_async((number,), countdown=36_000) for number in range(3)]
    assert fastq_app.testing.advance(hours=9) == 0
    results[1].revoke()
    assert fastq_app.testing.advance(hours=1) == 2
    assert [result.state for result in results] == ["SUCCESS", "REVOKED", "SUCCESS"]
    with pytest.raises(TaskRevokedError):
        results[1].get(timeout=0)


def test_all_that_was_sent_is_recorded_also_by_tasks(fastq_app: FastQ) -> None:
    testing = fastq_app.testing

    @fastq_app.task(name="child")
    def child(x: int, y: int = 0) -> None: ...

    @fastq_app.task(name="parent")
    def parent() -> None:
        child.delay(1, y=2)

    parent.apply_async(link=child.si(3), queue="slow", priority=4)
    fastq_app.send_task("far.away", kwargs={"at": MOMENT}, countdown=90)
    assert [sent.name for sent in testing.sent] == ["parent", "far.away"]
    assert (testing.sent[0].queue, testing.sent[0].priority, testing.sent[0].due) == ("slow", 4, None)
    due = testing.sent[1].due
    assert due is not None
    assert (due - testing.now()).total_seconds() == pytest.approx(90, abs=0.01)
    testing.run()
    testing.assert_sent("child", args=(1,), kwargs={"y": 2}, count=1)
    testing.assert_sent("child", args=[3], queue="celery")
    testing.assert_sent("child", args=(ANY,), count=2)
    testing.assert_sent("far.away", kwargs={"at": MOMENT})
    with pytest.raises(AssertionError, match=r"(?s)child, args=\[9\].*parent\("):
        testing.assert_sent("child", args=(9,))
    with pytest.raises(AssertionError, match="3 times, but sent 2"):
        testing.assert_sent("child", count=3)
    testing.assert_sent("nobody", count=0)
    testing.assert_sent("child", args=(object(),), count=0)
    with pytest.raises(AssertionError, match="nothing to be sent"):
        testing.assert_nothing_sent()
    testing.clear()
    testing.assert_nothing_sent()


async def _send(task: Any) -> None:
    await task.adelay(7)
    await task.aapply_async_many([(8,)])


def test_what_coroutines_send_is_recorded_too(fastq_app: FastQ, ran: list[Any]) -> None:
    import asyncio

    asyncio.run(_send(fastq_app.tasks["note"]))
    assert [sent.args for sent in fastq_app.testing.sent] == [(7,), (8,)]
    assert fastq_app.testing.run() == 2


@pytest.mark.parametrize(
    ("options", "compression"), [({"serializer": "pickle"}, "zlib"), ({"serializer": "yaml"}, None)]
)
def test_any_format_is_recorded(fastq_app: FastQ, options: dict[str, Any], compression: str | None) -> None:
    fastq_app.send_task("far.away", ({"a": [1]},), compression=compression, **options)
    fastq_app.testing.assert_sent("far.away", args=({"a": [1]},), count=1)


def test_failures_and_refusals_are_those_of_a_worker(fastq_app: FastQ) -> None:
    @fastq_app.task(name="breaks", acks_late=False)
    def breaks() -> None:
        raise KeyError("gone")

    @fastq_app.task(name="refuses")
    def refuses() -> None:
        raise Reject("no")

    broken, refused, unknown = breaks.delay(), refuses.delay(), fastq_app.send_task("nobody.knows")
    assert fastq_app.testing.run() == 2
    with pytest.raises(KeyError):
        broken.get(timeout=0)
    assert (refused.state, unknown.state) == (FAILURE, FAILURE)
    producer: Any = fastq_app.producer
    assert {letter["task_name"] for letter in producer.dead_letters(None, 9)} == {"refuses", "nobody.knows"}


def test_tasks_that_send_each_other_for_ever_are_stopped(fastq_app: FastQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastq.contrib.testing.testing.MOST_RUNS", 20)

    @fastq_app.task(name="again")
    def again() -> None:
        again.delay()

    again.delay()
    with pytest.raises(RuntimeError, match="again is sent for ever"):
        fastq_app.testing.run()


def test_a_task_cannot_turn_the_clock(fastq_app: FastQ) -> None:
    @fastq_app.task(name="turns")
    def turns() -> None:
        fastq_app.testing.advance(hours=1)

    result = turns.delay()
    fastq_app.testing.run()
    with pytest.raises(RuntimeError, match="for the test"):
        result.get(timeout=0)


def test_coroutine_tasks_run_too(fastq_app: FastQ) -> None:
    @fastq_app.task(name="fetch")
    async def fetch(url: str) -> str:
        return url.upper()

    result = fetch.delay("a")
    fastq_app.testing.run()
    assert result.get(timeout=0) == "A"


def test_only_a_clock_by_hand_can_be_turned() -> None:
    app = FastQ("real", broker="memory://real-clock", set_as_current=False)
    app.send_task("x")
    app.testing.assert_nothing_sent()  # nobody recorded before
    app.send_task("y")
    app.testing.assert_sent("y")
    with pytest.raises(ImproperlyConfigured, match="clock=hand"):
        app.testing.run()
    app.close()


def test_an_app_of_production_is_lent_a_broker_in_memory(database_url: str) -> None:
    app = FastQ("shop", broker=database_url, backend=database_url, task_always_eager=True, set_as_current=False)

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    for _ in range(2):
        with in_memory(app) as testing:
            result = add.apply_async((1, 2), countdown=5)
            testing.assert_sent("add", count=1)
            assert testing.advance(seconds=5) == 1
            assert result.get(timeout=0) == 3
    assert (app.conf.broker_url, app.conf.task_always_eager) == (database_url, True)
    assert app.backend.url == database_url
    assert app.now().year >= 2024
    app.close()


def test_states_of_a_run_that_goes_on_are_stored_at_once(fastq_app: FastQ) -> None:
    seen: list[str] = []

    @fastq_app.task(name="works", bind=True, track_started=True)
    def works(self: Any) -> None:
        seen.append(fastq_app.AsyncResult(self.request.id).state)
        self.update_state(state="HALF", meta={"done": 50})
        seen.append(fastq_app.AsyncResult(self.request.id).state)

    result = works.delay()
    fastq_app.testing.run()
    assert [*seen, result.state] == ["STARTED", "HALF", SUCCESS]


def test_limits_that_all_workers_keep_hold_under_a_clock_that_is_turned(fastq_app: FastQ) -> None:
    begun, times = fastq_app.testing.now(), []

    @fastq_app.task(name="paced", rate_limit="6/m", rate_limit_scope="global", max_concurrency=1)
    def paced(_number: int) -> None:
        times.append((fastq_app.testing.now() - begun).total_seconds())

    for number in range(4):
        paced.delay(number)
    assert fastq_app.testing.run() == 1
    assert fastq_app.testing.advance(seconds=25) == 2
    assert fastq_app.testing.advance(minutes=5) == 1
    assert times == pytest.approx([0, 10, 20, 30], abs=1)


def test_a_unique_task_is_sent_once_until_it_has_ended(fastq_app: FastQ) -> None:
    @fastq_app.task(name="only", unique_for=3600)
    def only(number: int) -> int:
        return number

    first, second = only.delay(1), only.delay(1)
    assert (second.id, second.duplicate) == (first.id, True)
    fastq_app.testing.assert_sent("only", (1,), count=1)
    assert fastq_app.testing.run() == 1
    assert not only.delay(1).duplicate
    later = only.apply_async((2,), countdown=7200)
    assert only.delay(2).id == later.id
    fastq_app.testing.advance(hours=1)
    assert not only.delay(2).duplicate, "its time is over"
