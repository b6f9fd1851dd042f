"""Operations of a result backend that fail for now."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fastq import FastQ
from fastq.backends import again
from fastq.exceptions import AccessRefused, OperationalError
from fastq.exceptions import TimeoutError as OutOfTime


class Store:
    """An operation that fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return 5


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(again.time, "sleep", found.append)
    return found


def conf(**settings: Any) -> Any:
    return FastQ("again", set_as_current=False, changes={"broker_url": "memory://", **settings}).conf


def test_by_default_the_first_failure_is_the_callers(pauses: list[float]) -> None:
    store = Store(OperationalError("gone"))
    with pytest.raises(OperationalError):
        again.tried(conf(), store)
    assert (store.calls, pauses) == (1, [])


@pytest.mark.parametrize("failure", [OperationalError("gone"), OutOfTime("late"), ConnectionResetError()])
def test_always_retry_goes_on_until_it_works(pauses: list[float], failure: Exception) -> None:
    store = Store(*[failure] * 12)
    settings = conf(result_backend_always_retry=True, result_backend_max_sleep_between_retries_ms=100)

    assert again.tried(settings, store) == 5
    assert len(pauses) == 12
    for number, pause in enumerate(pauses):
        assert 0 <= pause <= min(0.01 * 2**number, 0.1)


def test_always_retry_has_a_limit_where_one_is_set(pauses: list[float]) -> None:
    store = Store(*[OperationalError("gone")] * 12)
    with pytest.raises(OperationalError):
        again.tried(conf(result_backend_always_retry=True, result_backend_max_retries=3), store)
    assert store.calls == 4


def test_what_does_not_pass_by_itself_is_not_tried_again(pauses: list[float]) -> None:
    store = Store(AccessRefused("no"))
    with pytest.raises(AccessRefused):
        again.tried(conf(result_backend_always_retry=True), store)
    assert store.calls == 1


def test_a_retry_policy_says_how_long_to_wait(pauses: list[float]) -> None:
    policy = {"max_retries": 4, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
    store = Store(*[OperationalError("gone")] * 5)
    with pytest.raises(OperationalError):
        again.tried(conf(result_backend_transport_options={"retry_policy": policy}), store)
    assert pauses == pytest.approx([0, 0.2, 0.4, 0.5])


def test_no_pause_goes_beyond_the_deadline(pauses: list[float]) -> None:
    store = Store(*[OperationalError("gone")] * 5)
    policy = {"max_retries": 4, "interval_start": 60, "interval_max": 60}
    with pytest.raises(OperationalError):
        again.tried(
            conf(result_backend_transport_options={"retry_policy": policy}), store, deadline=time.monotonic() + 5
        )
    assert (store.calls, pauses) == (1, [])


def test_a_result_is_asked_for_again(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    app = FastQ("again", set_as_current=False, changes={"broker_url": "memory://", "result_backend_always_retry": True})
    store = Store(*[OperationalError("gone")] * 3)
    monkeypatch.setattr(app.backend, "load", lambda _: [None] if store() else [])

    assert app.AsyncResult("id").state == "PENDING"
    assert len(pauses) == 3
