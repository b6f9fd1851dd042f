"""The tree of exceptions: names, bases, messages, pickling."""

from __future__ import annotations

import builtins
import pickle
from datetime import datetime, timezone

import pytest

from fastq import exceptions
from fastq.exceptions import (
    BackendGetMetaError,
    BackendStoreError,
    FastQError,
    MaxRetriesExceededError,
    NotRegistered,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
    TimeLimitExceeded,
)

EVERY = [getattr(exceptions, name) for name in exceptions.__all__]


@pytest.mark.parametrize("kind", EVERY, ids=exceptions.__all__)
def test_every_exception_survives_pickling(kind: type[BaseException]) -> None:
    error = kind("why", 3) if kind is not Retry else kind("why")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert copy.args == error.args
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    "kind", [kind for kind in EVERY if issubclass(kind, FastQError) and kind not in {Reject, Retry}]
)
def test_an_error_without_arguments_says_its_docstring_and_stores_nothing(kind: type[FastQError]) -> None:
    assert str(kind()) == (kind.__doc__ or "").splitlines()[0]
    assert kind().args == ()


def test_a_message_is_shown_without_quotes_even_by_key_errors() -> None:
    assert str(NotRegistered("shop.add")) == "shop.add"
    assert isinstance(NotRegistered("shop.add"), KeyError)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("Ignore", "TaskPredicate"),
        ("Reject", "TaskPredicate"),
        ("Retry", "TaskPredicate"),
        ("ChordError", "TaskError"),
        ("MaxRetriesExceededError", "TaskError"),
        ("TaskRevokedError", "TaskError"),
        ("InvalidTaskError", "TaskError"),
        ("TimeoutError", "TaskError"),
        ("BackendGetMetaError", "BackendError"),
        ("BackendStoreError", "BackendError"),
        ("ContentDisallowed", "SerializationError"),
        ("AlwaysEagerIgnored", "CeleryWarning"),
    ],
)
def test_bases_are_those_that_users_catch(name: str, base: str) -> None:
    assert issubclass(getattr(exceptions, name), getattr(exceptions, base))


def test_celery_names_stand_for_ours() -> None:
    assert exceptions.CeleryError is FastQError
    assert exceptions.RetryTaskError is Retry
    assert exceptions.SystemTerminate is exceptions.WorkerTerminate


def test_a_timeout_is_the_builtin_one_too() -> None:
    with pytest.raises(builtins.TimeoutError):
        raise exceptions.TimeoutError("too long")


def test_a_task_that_catches_our_errors_does_not_swallow_its_time_limit() -> None:
    assert not issubclass(SoftTimeLimitExceeded, FastQError)
    assert not issubclass(TimeLimitExceeded, FastQError)
    assert str(TimeLimitExceeded(10)) == "TimeLimitExceeded(10,)"


def test_stopping_a_worker_is_no_ordinary_exception() -> None:
    assert issubclass(exceptions.WorkerShutdown, SystemExit)
    assert not issubclass(exceptions.WorkerTerminate, Exception)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Retry(), "Retry in 0s"),
        (Retry(when=30), "Retry in 30s"),
        (Retry(exc=ValueError("x"), when=3), "Retry in 3s: ValueError('x')"),
        (Retry(when=datetime(2030, 1, 1, tzinfo=timezone.utc)), "Retry at 2030-01-01 00:00:00+00:00"),
        (Retry("because", ValueError("x"), 3), "because"),
        (Reject("no money", requeue=True), "reject requeue=True: no money"),
    ],
)
def test_control_words_say_what_will_happen(error: BaseException, text: str) -> None:
    assert str(error) == text


def test_a_pickled_retry_keeps_cause_and_time_but_not_the_signature() -> None:
    copy = pickle.loads(pickle.dumps(Retry("why", ValueError("x"), 7, sig=object())))

    assert (copy.message, copy.when, copy.excs, copy.sig) == ("why", 7, "ValueError('x')", None)


def test_fields_given_by_keyword_survive_pickling() -> None:
    given_up = pickle.loads(pickle.dumps(MaxRetriesExceededError("no", task_args=(1,), task_kwargs={"a": 2})))
    unread = pickle.loads(pickle.dumps(BackendGetMetaError("no", task_id="1")))
    unwritten = pickle.loads(pickle.dumps(BackendStoreError("no", state="SUCCESS", task_id="1")))

    assert (given_up.task_args, given_up.task_kwargs) == ((1,), {"a": 2})
    assert unread.task_id == "1"
    assert (unwritten.state, unwritten.task_id) == ("SUCCESS", "1")


def test_every_public_class_is_listed() -> None:
    found = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, BaseException) and not name.startswith("_")
    }

    assert found == set(exceptions.__all__)
