"""The store of the core, seen from Python: what it is told, and what it cannot see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fastq import FastQ
from fastq._seam import Record
from fastq.backends.native import NativeBackend, broker_options, store_options

PREFIX = {"global_keyprefix": "kept"}


class Store:
    """A store that answers as it was told to, one answer a call."""

    def __init__(self, *answers: list[Record]) -> None:
        self.answers = list(answers)

    def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Record]:
        return self.answers.pop(0)


def app_with(**settings: Any) -> FastQ:
    return FastQ("native", set_as_current=False, changes={"broker_url": "memory://", **settings})


def test_a_store_on_redis_is_told_the_format_of_its_documents() -> None:
    app = app_with(result_serializer="msgpack", result_backend_transport_options=PREFIX)

    options = store_options(app, "redis://h/0")
    assert options["result_content_type"] == "application/x-msgpack"
    assert options["global_keyprefix"] == PREFIX["global_keyprefix"]
    assert store_options(app, "sqlite:///q.db") == PREFIX


def test_a_broker_on_redis_is_told_where_results_lie() -> None:
    app = app_with(broker_transport_options={"global_keyprefix": "q:"}, result_backend_transport_options=PREFIX)

    assert broker_options(app, "sentinel://h") == {
        "global_keyprefix": "q:",
        "result_global_keyprefix": "kept",
        "result_content_type": "application/json",
    }
    assert broker_options(app, "sqlite:///q.db") == {"global_keyprefix": "q:"}


def compressed(state: str) -> Record:
    """Return a record as the core returns one that it cannot look into."""
    app = app_with(result_compression="zlib")
    written = app.backend.record("1", state, None)
    return Record("1", "", written.content_type, written.body)


@pytest.mark.parametrize("timeout", [None, 20.0])
def test_a_compressed_state_on_the_way_is_no_end(timeout: float | None) -> None:
    backend = NativeBackend(app_with(), "redis://h/0")
    started, ended = compressed("STARTED"), compressed("SUCCESS")
    backend._results = Store([started], [started], [ended])  # type: ignore[assignment]

    assert backend.wait(("1",), timeout) == [ended]


def test_a_wait_for_a_compressed_state_ends_in_time() -> None:
    backend = NativeBackend(app_with(), "redis://h/0")
    backend._results = Store([compressed("STARTED")])  # type: ignore[assignment]

    assert backend.wait(("1",), 0) == []


@pytest.mark.parametrize("serializer", ["msgpack", "pickle"])
def test_an_end_that_the_core_wrote_is_read_whatever_the_format_of_others(serializer: str) -> None:
    app = app_with(result_serializer=serializer, result_accept_content=["json", "msgpack", "pickle"])
    content_type = app.backend.record("1", "SUCCESS", None).content_type
    body = b'{"status":"FAILURE","result":{"exc_type":"WorkerLostError","exc_module":"celery.exceptions"}}'

    assert app.backend.decode(Record("1", "FAILURE", content_type, body))["status"] == "FAILURE"
