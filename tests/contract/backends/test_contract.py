"""What every result backend promises, whatever it is made of."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fastq.app.context import Context
from fastq.exceptions import ContentDisallowed, EncodeError
from fastq.result import AsyncResult
from fastq.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastq.backends.base import Backend
    from tests.contract.backends.conftest import Place

LIMIT = 10.0


def test_an_unknown_task_is_pending(backend: Backend) -> None:
    assert backend.get_task_meta("nobody") == {"task_id": "nobody", "status": PENDING, "result": None}
    assert backend.load(["nobody"]) == [None]


@pytest.mark.parametrize("value", [None, 0, 5, "text", "ütf — 🎉", [1, [2, None]], {"a": {"b": 1.5}}, True, 2**70])
def test_what_a_task_returned_is_read_as_it_was(backend: Backend, value: Any) -> None:
    backend.store_result("t1", value, SUCCESS)
    meta = backend.get_task_meta("t1")
    assert (meta["status"], meta["result"]) == (SUCCESS, value)


def test_a_large_result_survives(backend: Backend) -> None:
    backend.store_result("t1", "x" * 3_000_000, SUCCESS)
    assert len(backend.get_result("t1")) == 3_000_000


def test_an_exception_is_read_as_its_class(backend: Backend) -> None:
    backend.store_result("t1", KeyError("sku", 9), FAILURE, traceback="Traceback …")
    meta = backend.get_task_meta("t1")
    assert isinstance(meta["result"], KeyError)
    assert meta["result"].args == ("sku", 9)
    assert backend.get_traceback("t1") == "Traceback …"


def test_states_follow_one_another_until_the_task_has_ended(backend: Backend) -> None:
    backend.store_result("t1", {"pid": 1}, STARTED)
    assert backend.get_state("t1") == STARTED
    backend.store_result("t1", ValueError("again"), RETRY)
    backend.store_result("t1", {"percent": 50}, "PROGRESS")
    assert (backend.get_state("t1"), backend.get_result("t1")) == ("PROGRESS", {"percent": 50})
    backend.store_result("t1", ValueError("no"), FAILURE)
    assert backend.get_state("t1") == FAILURE
    backend.store_result("t1", "after all", SUCCESS)
    assert backend.get_state("t1") == SUCCESS


@pytest.mark.parametrize("later", [FAILURE, STARTED, RETRY, REVOKED, SUCCESS, "PROGRESS"])
def test_success_is_never_overwritten(backend: Backend, later: str) -> None:
    backend.store_result("t1", 1, SUCCESS)
    backend.store_result("t1", ValueError("late") if later == FAILURE else 2, later)
    assert (backend.get_state("t1"), backend.get_result("t1")) == (SUCCESS, 1)


def test_several_records_are_written_in_order(backend: Backend) -> None:
    records = [backend.record("t1", STARTED, {}), backend.record("t1", SUCCESS, 1), backend.record("t2", SUCCESS, 2)]
    backend.save(records)
    found = backend.load(["t2", "nobody", "t1"])
    assert [record and (record.task_id, record.state) for record in found] == [("t2", SUCCESS), None, ("t1", SUCCESS)]


def test_a_forgotten_result_is_pending_again(backend: Backend) -> None:
    backend.save([backend.record("t1", SUCCESS, 1), backend.record("t2", SUCCESS, 2)])
    backend.forget(["t1", "nobody"])
    assert backend.get_state("t1") == PENDING
    assert backend.get_result("t2") == 2


@pytest.mark.parametrize("task_id", ["../../escape", "a/b", "ümlaut", "..", "x" * 900, "with space", 'quo"te', "\\"])
def test_any_text_may_be_an_id(backend: Backend, task_id: str) -> None:
    backend.store_result(task_id, 1, SUCCESS)
    assert backend.get_task_meta(task_id)["result"] == 1
    assert backend.get_task_meta(task_id)["task_id"] == task_id
    backend.forget([task_id])
    assert backend.get_state(task_id) == PENDING


def test_what_cannot_be_written_is_refused_and_stores_nothing(backend: Backend) -> None:
    with pytest.raises(EncodeError, match="SimpleNamespace"):
        backend.store_result("t1", SimpleNamespace(), SUCCESS)
    assert backend.get_state("t1") == PENDING


# Waiting


def test_waiting_returns_at_once_what_has_ended(backend: Backend) -> None:
    backend.save([backend.record("t1", SUCCESS, 1), backend.record("t2", STARTED, {})])
    assert [record.task_id for record in backend.wait(["t2", "t1"], LIMIT)] == ["t1"]


def test_waiting_ends_at_its_limit_with_nothing(backend: Backend) -> None:
    backend.store_result("t1", {}, STARTED)
    begun = time.monotonic()
    assert backend.wait(["t1", "nobody"], 0.05) == []
    assert 0.04 < time.monotonic() - begun < LIMIT
    assert backend.wait(["t1"], 0) == []


@pytest.mark.parametrize("state", [SUCCESS, FAILURE, REVOKED])
def test_a_waiting_caller_hears_of_the_end(place: Place, state: str) -> None:
    value = 5 if state == SUCCESS else ValueError("no")
    write = _once_waiting(lambda: place.another().store_result("t1", value, state))
    try:
        found = place.backend.wait(["t1"], LIMIT)
    finally:
        write.join()
    assert [(record.task_id, record.state) for record in found] == [("t1", state)]


def test_states_on_the_way_do_not_end_a_wait(place: Place) -> None:
    def work() -> None:
        other = place.another()
        other.store_result("t1", {}, STARTED)
        other.store_result("t1", {"percent": 50}, "PROGRESS")
        other.store_result("t1", 5, SUCCESS)

    write = _once_waiting(work)
    try:
        assert [record.state for record in place.backend.wait(["t1"], LIMIT)] == [SUCCESS]
    finally:
        write.join()


def test_many_callers_wait_at_once(place: Place) -> None:
    ids = [f"t{number}" for number in range(8)]
    with ThreadPoolExecutor(len(ids) + 1) as threads:
        waiting = [threads.submit(place.backend.wait, [task_id], LIMIT) for task_id in ids]
        threads.submit(
            place.another().save, [place.backend.record(task_id, SUCCESS, task_id) for task_id in ids]
        ).result()
        assert [one.result()[0].task_id for one in waiting] == ids


def test_a_pushing_backend_tells_within_a_few_milliseconds(place: Place) -> None:
    if not place.backend.capability.push:
        pytest.skip("this backend looks again and again: it does not claim to push")
    other = place.another()
    written: list[float] = []

    def write(task_id: str) -> None:
        written.append(time.monotonic())
        other.store_result(task_id, 1, SUCCESS)

    delays = []
    for number in range(20):
        task_id = f"t{number}"
        writing = _once_waiting(partial(write, task_id))
        assert place.backend.wait([task_id], LIMIT)
        delays.append(time.monotonic() - written[-1])
        writing.join()
    assert sorted(delays)[len(delays) // 2] < 0.025


def test_a_closed_backend_opens_again(backend: Backend) -> None:
    if backend.capability.native and not backend.capability.shared:
        pytest.skip("what is kept in this process only may go with its last connection")
    backend.store_result("t1", 1, SUCCESS)
    backend.close()
    assert backend.get_result("t1") == 1


# What is said beside the result


def test_the_end_is_dated_in_the_zone_of_the_app(place: Place) -> None:
    other = place.another(timezone="Asia/Kolkata")
    other.store_result("t1", 1, SUCCESS)
    other.store_result("t2", {}, STARTED)
    assert str(place.backend.get_task_meta("t1")["date_done"]).endswith("+05:30")
    assert place.backend.get_task_meta("t2")["date_done"] is None


def test_family_and_children_are_stored_with_the_result(place: Place) -> None:
    request = Context(id="t1", group="g", parent_id="p", called_directly=False)
    request.children.append(AsyncResult("child", app=place.app))
    place.backend.store_result("t1", 1, SUCCESS, request=request)
    meta = place.backend.get_task_meta("t1")
    assert (meta["group_id"], meta["parent_id"]) == ("g", "p")
    assert place.app.AsyncResult("t1").children == [AsyncResult("child", app=place.app)]
    assert "name" not in meta


def test_extended_results_tell_of_the_call(place: Place) -> None:
    told = {"name": "shop.add", "args": [1], "kwargs": {"y": 2}, "worker": "w@h", "retries": 2, "queue": "fast"}
    request = Context(
        id="t1",
        task=told["name"],
        args=told["args"],
        kwargs=told["kwargs"],
        hostname=told["worker"],
        retries=told["retries"],
        delivery_info={"routing_key": told["queue"]},
        stamped_headers=["tenant"],
        stamps={"tenant": ["acme"]},
    )
    place.another(result_extended=True).store_result("t1", 3, SUCCESS, request=request)
    meta = dict(place.backend.get_task_meta("t1"))
    assert {key: meta[key] for key in (*told, "tenant")} == {**told, "tenant": ["acme"]}


@pytest.mark.parametrize("method", ["zlib", "bzip2", "lzma"])
def test_compressed_results_are_read_by_everyone(place: Place, method: str) -> None:
    place.another(result_compression=method).store_result("t1", "x" * 10_000, SUCCESS)
    record = place.backend.load(["t1"])[0]
    assert record is not None
    assert record.body.startswith(b"\0celery-compressed\0application/")
    assert len(record.body) < 1_000
    assert place.backend.get_result("t1") == "x" * 10_000


@pytest.mark.parametrize("serializer", ["yaml", "pickle"])
def test_results_are_read_in_the_format_they_were_written_in(place: Place, serializer: str) -> None:
    settings = {"result_accept_content": ["json", serializer]}
    place.another(result_serializer=serializer, **settings).store_result("t1", {"a": [1]}, SUCCESS)
    place.another(**settings).store_result("t2", {"a": [2]}, SUCCESS)
    reader = place.another(result_serializer=serializer, **settings)
    assert reader.get_result("t1") == {"a": [1]}
    assert reader.get_result("t2") == {"a": [2]}


def test_a_format_that_is_not_accepted_is_refused(place: Place) -> None:
    place.another(result_serializer="pickle", accept_content=["json", "pickle"]).store_result("t1", 1, SUCCESS)
    with pytest.raises(ContentDisallowed, match="x-python-serialize"):
        place.another().get_result("t1")


# How long


def test_results_expire(place: Place) -> None:
    if not place.backend.capability.expires:
        pytest.skip("this backend does not claim that results vanish by themselves")
    short = place.another(result_expires=0.02)
    short.store_result("t1", 1, SUCCESS)
    _until(lambda: short.get_state("t1") == PENDING)


def test_results_that_never_expire_stay(place: Place) -> None:
    place.another(result_expires=0).store_result("t1", 1, SUCCESS)
    place.another(result_expires=None).store_result("t2", 1, SUCCESS)
    assert place.backend.get_state("t1") == place.backend.get_state("t2") == SUCCESS


def test_cleaning_removes_what_has_expired_and_nothing_else(place: Place) -> None:
    short = place.another(result_expires=0.02)
    short.store_result("t1", 1, SUCCESS)
    _until(lambda: short.get_state("t1") == PENDING)
    assert short.cleanup() == 1
    place.backend.store_result("t2", 1, SUCCESS)
    assert place.backend.cleanup() == 0
    assert place.backend.get_state("t2") == SUCCESS


def test_another_process_sees_what_this_one_wrote(place: Place) -> None:
    if not place.backend.capability.shared:
        pytest.skip("this backend lives in one process")
    place.backend.store_result("t1", 1, SUCCESS)
    code = (
        "import sys; from fastq import FastQ; "
        "print(FastQ('other', broker='memory://', backend=sys.argv[1]).AsyncResult('t1').get(timeout=1))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code, place.url], env=environment, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n", b"")


def _once_waiting(work: Callable[[], object]) -> threading.Thread:
    """Do `work` in another thread, soon: after this thread has most likely begun to wait."""
    thread = threading.Timer(0.01, work)
    thread.start()
    return thread


def _until(fact: Callable[[], bool]) -> None:
    nothing = threading.Event()
    deadline = time.monotonic() + LIMIT
    while not fact():
        assert time.monotonic() < deadline
        nothing.wait(0.005)
