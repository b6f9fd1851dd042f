"""Results: a client's view of a native store."""

from __future__ import annotations

import threading
import time

import pytest

from fastq import _core
from fastq._seam import Record
from fastq.exceptions import ImproperlyConfigured


def record(task_id: str, state: str = "SUCCESS", body: bytes = b'{"result":3}') -> Record:
    """Return a record of a task."""
    return Record(task_id, state, "application/json", body)


def test_what_was_saved_is_loaded_in_the_order_asked_for(url: str) -> None:
    results = _core.Results(url)

    results.save([record("1"), record("2", "FAILURE", b"\x00\xff")], None)

    assert results.load(["2", "unknown", "1"]) == [record("2", "FAILURE", b"\x00\xff"), None, record("1")]


def test_a_loaded_record_is_a_record(url: str) -> None:
    results = _core.Results(url)
    results.save([record("1")], 60.0)

    (loaded,) = results.load(["1"])

    assert isinstance(loaded, Record)


def test_a_forgotten_record_is_gone(url: str) -> None:
    results = _core.Results(url)
    results.save([record("1")], None)

    results.forget(["1", "unknown"])

    assert results.load(["1"]) == [None]


def test_success_stands_whatever_comes_later(url: str) -> None:
    results = _core.Results(url)

    results.save([record("1"), record("1", "FAILURE")], None)

    assert results.load(["1"]) == [record("1")]


def test_waiting_returns_at_once_what_has_ended(url: str) -> None:
    results = _core.Results(url)
    results.save([record("1"), record("2", "STARTED")], None)

    assert results.wait(["1", "2"], None) == [record("1")]


def test_waiting_ends_empty_after_its_time(url: str) -> None:
    results = _core.Results(url)
    results.save([record("1", "STARTED")], None)
    before = time.monotonic()

    assert results.wait(["1"], 0.05) == []

    assert 0.05 <= time.monotonic() - before < 2


def test_a_waiter_is_woken_by_the_writer(url: str) -> None:
    results, writer = _core.Results(url), _core.Results(url)
    found: list[Record] = []
    waiter = threading.Thread(target=lambda: found.extend(results.wait(["1"], 10)))
    waiter.start()

    writer.save([record("1")], None)
    waiter.join(10)

    assert found == [record("1")]


def test_what_has_expired_is_not_loaded_and_can_be_cleaned(url: str) -> None:
    results = _core.Results(url)
    results.save([record("1")], 0.0)
    results.save([record("2")], 3600.0)

    assert results.load(["1", "2"]) == [None, record("2")]
    assert results.clean() == 1


def test_a_negative_life_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="expires"):
        _core.Results(url).save([record("1")], -1.0)
