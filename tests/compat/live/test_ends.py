"""How runs end: a client gets its own library's exceptions, whatever worker they come from."""

from __future__ import annotations

import pytest

from tests.compat.live import scenes
from tests.compat.live.conftest import Way
from tests.compat.shop import FAILURES

OF_CELERY = (
    "AlreadyRegistered", "BackendError", "BackendGetMetaError", "BackendStoreError", "CDeprecationWarning",
    "CeleryError", "ChordError", "ImproperlyConfigured", "IncompleteStream", "InvalidTaskError",
    "MaxRetriesExceededError", "NotConfigured", "NotRegistered", "OperationalError", "QueueNotFound", "SecurityError",
    "SoftTimeLimitExceeded", "TaskError", "TaskRevokedError", "TimeLimitExceeded", "TimeoutError",
)  # fmt: skip
"""Exceptions that `celery.exceptions` has, but for those that Celery takes for the death of a process."""
ELSEWHERE = (
    "ContentDisallowed",
    "DecodeError",
    "EncodeError",
    "LockFailed",
    "SerializationError",
    "SerializerNotInstalled",
)
"""Exceptions that are in `kombu.exceptions` or `celery.platforms`."""


@pytest.mark.parametrize("name", OF_CELERY + ELSEWHERE)
def test_an_exception_of_the_libraries_is_the_clients_own(way: Way, name: str) -> None:
    told = way.client.do(scenes.ask, task="live.known", args=(name, "because"), queue=way.queue)

    assert told.state == "FAILURE"
    assert told.raised == way.client.do(scenes.own_exception, name=name, args=("because",))
    assert "in known" in told.traceback


@pytest.mark.parametrize("how", [how for how in FAILURES if how != "unwritable"])
def test_any_other_exception_is_what_was_raised(way: Way, how: str) -> None:
    told = way.client.do(scenes.ask, task="shop.fail", args=(how,), queue=way.queue)
    raised = FAILURES[how]()

    assert told.state == "FAILURE"
    assert (told.raised.module, told.raised.name) == (type(raised).__module__, type(raised).__qualname__)
    # Of an error of the system its arguments leave out the file, in Celery too.
    text = str(type(raised)(*raised.args))
    assert (told.raised.args, told.raised.text) == (_listed(raised.args), text)
    assert told.traceback.startswith("Traceback (most recent call last):\n")
    assert type(raised).__name__ in told.traceback.splitlines()[-1]


def test_an_exception_that_cannot_be_written_keeps_its_name(way: Way) -> None:
    told = way.client.do(scenes.ask, task="shop.fail", args=("unwritable",), queue=way.queue)

    assert told.state == "FAILURE"
    assert "UnwritableError" in told.raised.name + told.raised.text
    assert "get_ident" in told.raised.text


def _listed(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_listed_inside, value))
    return value


def _listed_inside(value: object) -> object:
    return [_listed_inside(item) for item in value] if isinstance(value, (list, tuple)) else value
