"""Trying again."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fastq.app.retry import backoff
from fastq.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry

if TYPE_CHECKING:
    from fastq import FastQ
    from fastq.app.context import Context
    from tests.unit.app.conftest import Recorder


def running(task: Any, **known: Any) -> Context:
    """Begin a run as a worker does, and return its request."""
    info = {"exchange": "", "routing_key": "celery", "priority": None, "redelivered": False}
    task.push_request(
        **{"id": "i", "args": [1], "kwargs": {}, "called_directly": False, "delivery_info": info, **known}
    )
    request: Context = task.request
    return request


def while_handling(error: Exception, act: Any) -> None:
    """Call `act` in the handler of an exception."""
    try:
        raise error
    except type(error):
        act()


@pytest.fixture
def job(app: FastQ) -> Any:
    @app.task(name="job", bind=True, max_retries=2, expires=60)
    def job(self: Any, x: int, y: int = 0) -> None: ...

    return job


def headers_of(request: Context) -> dict[str, Any]:
    headers: dict[str, Any] = orjson.loads(request.outgoing[0].headers)
    return headers


def test_the_next_try_follows_the_run_as_the_same_task(job: Any, recorder: Recorder) -> None:
    request = running(
        job,
        root_id="r",
        parent_id="p",
        group="g",
        group_index=2,
        retries=1,
        shadow="s",
        origin="o",
        timelimit=[9, 8],
        reply_to="q",
        callbacks=[{"task": "c"}],
        errbacks=[{"task": "e"}],
        chain=[{"task": "n"}],
        chord={"task": "b"},
        headers={"x-own": 1, "x-death": [1]},
        expires="2030-01-01T00:00:00+00:00",
        stamped_headers=["s1"],
        stamps={"s1": ["v"]},
    )
    with pytest.raises(Retry) as caught:
        job.retry(countdown=30)
    assert caught.value.when == 30
    assert recorder.messages == []
    (message,) = request.outgoing
    headers = orjson.loads(message.headers)
    expected = {
        "task": "job",
        "id": "i",
        "root_id": "r",
        "parent_id": "p",
        "group": "g",
        "group_index": 2,
        "retries": 2,
        "shadow": "s",
        "origin": "o",
        "timelimit": [9, 8],
        "x-own": 1,
        "expires": "2030-01-01T00:00:00+00:00",
        "stamped_headers": ["s1"],
        "stamps": {"s1": ["v"]},
    }
    assert {key: headers[key] for key in expected} == expected
    assert "x-death" not in headers
    assert headers["eta"] is not None
    assert orjson.loads(message.properties)["reply_to"] == "q"
    embed = {
        "callbacks": [{"task": "c"}],
        "errbacks": [{"task": "e"}],
        "chain": [{"task": "n"}],
        "chord": {"task": "b"},
    }
    assert orjson.loads(message.body) == [[1], {}, embed]
    assert message.route.routing_key == "celery"
    assert message.route.due is not None


def test_a_retry_waits_as_the_task_says(job: Any) -> None:
    running(job)
    job.default_retry_delay = 7
    with pytest.raises(Retry) as caught:
        job.retry()
    assert caught.value.when == 7


def test_a_retry_may_name_the_time(job: Any) -> None:
    request = running(job)
    eta = datetime(2030, 1, 1, tzinfo=timezone.utc)
    with pytest.raises(Retry):
        job.retry(eta=eta)
    assert request.outgoing[0].route.due == eta.timestamp()


def test_a_retry_may_be_returned(job: Any) -> None:
    request = running(job)
    assert isinstance(job.retry(throw=False), Retry)
    assert len(request.outgoing) == 1


def test_a_retry_may_go_elsewhere(job: Any) -> None:
    request = running(job)
    with pytest.raises(Retry):
        job.retry(queue="slow", priority=5)
    assert request.outgoing[0].route[:3] == ("", "slow", 5)


def test_a_retry_goes_back_to_the_exchange_it_came_from(job: Any) -> None:
    request = running(job, delivery_info={"exchange": "x", "routing_key": "k", "priority": 4, "redelivered": False})
    with pytest.raises(Retry):
        job.retry()
    assert request.outgoing[0].route[:3] == ("x", "k", 4)


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({}, [[1], {"y": 2}]),
        ({"args": [5]}, [[5], {"y": 2}]),
        ({"args": [5, 6]}, [[5, 6], {}]),
        ({"kwargs": {"y": 3}}, [[1], {"y": 3}]),
        ({"kwargs": {"x": 3}}, [[3], {}]),
        ({"args": [7], "kwargs": {"y": 8}}, [[7], {"y": 8}]),
    ],
)
def test_arguments_that_are_not_given_come_from_the_run(job: Any, given: Any, body: Any) -> None:
    request = running(job, args=[1], kwargs={"y": 2})
    with pytest.raises(Retry):
        job.retry(**given)
    assert orjson.loads(request.outgoing[0].body)[:2] == body


def test_the_last_retry_gives_up_with_the_reason(job: Any) -> None:
    running(job, retries=2)
    with pytest.raises(KeyError):
        job.retry(exc=KeyError("x"))
    with pytest.raises(MaxRetriesExceededError, match=r"job\[i\]") as caught:
        job.retry()
    assert (caught.value.task_args, caught.value.task_kwargs) == ((1,), {})


def test_the_last_retry_keeps_what_was_being_handled_as_the_cause(job: Any) -> None:
    running(job, retries=2)
    with pytest.raises(KeyError) as caught:
        while_handling(OSError("first"), lambda: job.retry(exc=KeyError("second")))
    assert isinstance(caught.value.__cause__, OSError)


def test_retries_without_limit(job: Any) -> None:
    job.max_retries = None
    running(job, retries=1000)
    with pytest.raises(Retry):
        job.retry()


def test_a_retry_that_cannot_be_composed_is_a_rejection(job: Any) -> None:
    running(job)
    with pytest.raises(Reject) as caught:
        job.retry(args=[object()])
    assert caught.value.requeue is False


def test_a_task_called_directly_raises_what_it_would_have_retried_for(job: Any) -> None:
    with pytest.raises(KeyError):
        job.retry(exc=KeyError("x"))
    with pytest.raises(OSError, match="handled"):
        while_handling(OSError("handled"), job.retry)
    with pytest.raises(RuntimeError, match="called directly"):
        job.retry()


def test_an_eager_retry_publishes_nothing_and_carries_its_signature(job: Any) -> None:
    request = running(job, is_eager=True)
    control = job.retry(throw=False)
    assert request.outgoing == []
    assert control.is_eager
    assert control.sig.options["retries"] == 1


# ----------------------------------------------------------------- automatic retries


def automatic(app: FastQ, error: BaseException, **options: Any) -> Any:
    @app.task(name="auto", **options)
    def auto(x: int) -> None:
        raise error

    app.finalize()
    return auto


def test_an_expected_exception_retries_by_itself(app: FastQ) -> None:
    auto = automatic(app, OSError("down"), autoretry_for=(OSError,), retry_kwargs={"countdown": 4})
    request = running(auto)
    with pytest.raises(Retry) as caught:
        auto.run(1)
    assert caught.value.when == 4
    assert isinstance(caught.value.exc, OSError)
    assert len(request.outgoing) == 1


@pytest.mark.parametrize("error", [KeyError("x"), FileNotFoundError("x"), Ignore(), Reject("no")])
def test_other_exceptions_do_not(app: FastQ, error: Exception) -> None:
    auto = automatic(app, error, autoretry_for=(OSError, Ignore, Reject), dont_autoretry_for=(FileNotFoundError,))
    running(auto)
    with pytest.raises(type(error)):
        auto.run(1)


def test_the_wait_doubles_with_each_retry(app: FastQ) -> None:
    auto = automatic(
        app,
        OSError(),
        autoretry_for=(OSError,),
        retry_backoff=3,
        retry_jitter=False,
        retry_backoff_max=20,
        max_retries=9,
    )
    waits = []
    for retries in range(4):
        running(auto, retries=retries)
        with pytest.raises(Retry) as caught:
            auto.run(1)
        waits.append(caught.value.when)
        auto.pop_request()
    assert waits == [3, 6, 12, 20]


def test_jitter_is_a_part_of_the_wait() -> None:
    waits = {backoff(2, 3, 600, True) for _ in range(50)}
    assert all(0 <= wait <= 16 for wait in waits)
    assert len(waits) > 1
    assert backoff(2, 10_000, 600, False) == 600


def test_automatic_retries_give_up_with_the_exception(app: FastQ) -> None:
    auto = automatic(app, OSError("down"), autoretry_for=(OSError,), max_retries=1)
    running(auto, retries=1)
    with pytest.raises(OSError, match="down") as caught:
        auto.run(1)
    # What the user reads is the way to the error, without the way of the decision.
    assert [entry.name for entry in caught.traceback] == [
        "test_automatic_retries_give_up_with_the_exception",
        "attempt",
        "auto",
    ]


def test_an_overridden_limit_counts_in_automatic_retries(app: FastQ) -> None:
    auto = automatic(app, OSError("down"), autoretry_for=(OSError,), max_retries=1)
    auto.override_max_retries = 5
    running(auto, retries=3)
    with pytest.raises(Retry):
        auto.run(1)


def test_a_coroutine_retries_by_itself(app: FastQ) -> None:
    @app.task(autoretry_for=OSError)
    async def auto() -> None:
        raise OSError("down")

    app.finalize()
    running(auto)
    with pytest.raises(Retry):
        asyncio.run(auto.run())


def test_a_task_called_directly_raises_what_it_raised(app: FastQ) -> None:
    auto = automatic(app, OSError("down"), autoretry_for=(OSError,))
    with pytest.raises(OSError, match="down"):
        auto(1)
