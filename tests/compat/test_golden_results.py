"""Results: what a Celery worker stored is read as it was meant, and the same run stores and sends the same.

The messages that a recorded run was started with are given to an executor; its records and messages are then held
against what the Celery worker wrote. Tracebacks are the only thing that has to differ: they name other files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from fastq import exceptions
from fastq._seam import Record
from fastq.serialization import content_type_of, decompress, loads
from tests.compat.compare import compare
from tests.compat.recordings import VERSIONS, open_recording, settled
from tests.compat.runs import RUNS, SETTINGS, Run
from tests.compat.shop import FAILURES, OwnError
from tests.compat.support import ACCEPTED, WireJob, open_shop, run_there

BY_VERSION = [pytest.param(version, run, id=f"{version}-{run.name}") for version in VERSIONS for run in RUNS]
RUN_HERE = [param for param in BY_VERSION if not param.values[1].outside]

OUTSIDE: dict[str, Exception] = {
    "unknown": exceptions.NotRegistered("shop.unknown"),
    "expired": exceptions.TaskRevokedError("expired"),
    "revoked": exceptions.TaskRevokedError("revoked"),
    "soft-limit": exceptions.SoftTimeLimitExceeded(),
    "hard-limit": exceptions.TimeLimitExceeded(1),
    "pickled-expired": exceptions.TaskRevokedError("expired"),
    "pickled-hard-limit": exceptions.TimeLimitExceeded(1),
}
"""Ends that are not the task's own doing."""

UNLIKE: dict[str, set[str]] = {
    # Celery stores its wrapper; fastq the class, with its arguments as text where they cannot be written.
    "plain-failure-unwritable": {"result"},
    "pickled-failure-unwritable": {"result"},
    # Celery pickles an exception that only Celery has; fastq writes its name.
    "pickled-gives-up": {"result"},
}
"""Fields of documents that are not the same, by run; the tests below say what they are."""

_COMPRESSED = b"\0celery-compressed\0"


@pytest.mark.parametrize(("version", "run"), [param for param in BY_VERSION if param.values[1].state == "SUCCESS"])
def test_a_value_is_read_as_it_was_returned(version: str, run: Run) -> None:
    meta = _read(version, run)[-1]

    assert meta["status"] == "SUCCESS"
    if run.value is ...:
        assert meta["result"] == [[meta["children"][0][0][0], None], None]
    else:
        assert meta["result"] == run.value
        assert type(meta["result"]) is type(run.value)
    assert meta["date_done"] is not None
    assert meta["traceback"] is None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("settings", ["plain", "pickled"])
def test_an_exception_is_read_as_it_was_raised(version: str, how: str, settings: str) -> None:
    run = next(run for run in RUNS if run.name == f"{settings}-failure-{how}")
    meta = _read(version, run)[-1]
    raised = FAILURES[how]()

    assert meta["status"] == "FAILURE"
    assert "Traceback" in meta["traceback"]
    if how == "unwritable":
        # It comes in Celery's wrapper, which keeps names and text only; the class is made up, as Celery does it.
        found = type(meta["result"])
        assert (found.__module__, found.__name__) == (type(raised).__module__, type(raised).__name__)
        assert str(meta["result"]) == repr(raised)
    else:
        assert type(meta["result"]) is type(raised)
        assert meta["result"].args == raised.args


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OUTSIDE)
def test_an_end_that_is_not_the_tasks_own_is_read(version: str, name: str) -> None:
    run = next((run for run in RUNS if run.name == name), Run(name, "", lambda _: None))
    meta = _read(version, run)[-1]
    expected = OUTSIDE[name]

    assert meta["status"] == ("REVOKED" if isinstance(expected, exceptions.TaskRevokedError) else "FAILURE")
    assert type(meta["result"]) is type(expected)
    assert meta["result"].args == expected.args


@pytest.mark.parametrize("version", VERSIONS)
def test_a_lost_worker_is_read(version: str) -> None:
    meta = _read(version, next(run for run in RUNS if run.name == "lost"))[-1]

    assert type(meta["result"]) is exceptions.WorkerLostError
    assert "SIGKILL" in str(meta["result"])


@pytest.mark.parametrize("version", VERSIONS)
def test_states_on_the_way_are_read(version: str) -> None:
    runs = {run.name: run for run in RUNS}

    assert [meta["status"] for meta in _read(version, runs["tracked"])] == ["STARTED", "SUCCESS"]
    assert _read(version, runs["tracked"])[0]["result"]["hostname"] == "w@host"
    assert _read(version, runs["progress"])[0]["result"] == {"done": 1, "of": 2}
    retried = _read(version, runs["retry"])[-1]
    assert (retried["status"], type(retried["result"]), retried["result"].args) == ("RETRY", OwnError, ("not yet",))


@pytest.mark.parametrize(("version", "run"), RUN_HERE)
def test_the_same_run_stores_the_same(version: str, run: Run) -> None:
    recording = open_recording(version, f"result-{run.name}")
    with open_shop(SETTINGS[run.settings]) as (shop, _):
        records, _ = run_there(shop, WireJob(recording.envelopes[0]))

    assert [record.task_id for record in records] == [task_id for task_id, _ in recording.documents]
    for record, (_, theirs) in zip(records, recording.documents, strict=True):
        unlike = UNLIKE.get(run.name, set())
        assert _described(record.body, run, unlike) == _described(theirs, run, unlike)


@pytest.mark.parametrize(("version", "run"), RUN_HERE)
def test_the_same_run_sends_the_same(version: str, run: Run) -> None:
    recording = open_recording(version, f"result-{run.name}")
    first, *expected = recording.envelopes
    with open_shop(SETTINGS[run.settings], now=expected[0].sent_at if expected else None) as (shop, sent):
        _, outcome = run_there(shop, WireJob(first))

    messages = [*sent.messages, *outcome.messages]
    assert len(messages) == len(expected)
    for ours, theirs in zip(messages, expected, strict=True):
        # Of a task that is not known here, 5.6 says that its result is not ignored, 5.7 that it does not know.
        differently = {"ignore_result": None} if run.name == "link-error" else {}
        compare(ours, theirs, differently)


def test_an_exception_that_cannot_be_written_keeps_its_name_and_what_can() -> None:
    recording = open_recording("5.7", "result-plain-failure-unwritable")
    with open_shop() as (shop, _):
        ((record,), _) = run_there(shop, WireJob(recording.envelopes[0]))

    assert json.loads(record.body)["result"] == {
        "exc_type": "UnwritableError",
        "exc_message": ["<built-in function get_ident>", 5],
        "exc_module": "tests.compat.shop",
    }


@pytest.mark.parametrize("name", ["gives-up", "pickled-gives-up"])
def test_an_exception_that_celery_has_too_is_written_under_celerys_name(name: str) -> None:
    run = next(run for run in RUNS if run.name == name)
    recording = open_recording("5.7", f"result-{name}")
    with open_shop(SETTINGS[run.settings]) as (shop, _):
        ((record,), _) = run_there(shop, WireJob(recording.envelopes[0]))
        document = loads(record.body, record.content_type, "utf-8", ACCEPTED)
    (theirs,) = _read("5.7", run)

    assert document["result"]["exc_module"] == "celery.exceptions"
    assert document["result"]["exc_type"] == "MaxRetriesExceededError"
    assert type(theirs["result"]) is exceptions.MaxRetriesExceededError


def test_several_callbacks_are_one_child() -> None:
    recording = open_recording("5.7", "result-link-many")
    with open_shop() as (shop, _):
        ((record,), outcome) = run_there(shop, WireJob(recording.envelopes[0]))

    headers = [json.loads(message.headers) for message in outcome.messages]
    members = [[[header["id"], None], None] for header in headers]
    assert json.loads(record.body)["children"] == [[[headers[0]["group"], None], members]]


def test_a_compressed_result_begins_as_celery_57_begins_it() -> None:
    run = next(run for run in RUNS if run.name == "compressed-success")
    recording = open_recording("5.7", f"result-{run.name}")
    with open_shop(SETTINGS[run.settings]) as (shop, _):
        ((record,), _) = run_there(shop, WireJob(recording.envelopes[0]))
    head = _COMPRESSED + b"application/x-gzip\0"

    assert record.body.startswith(head)
    assert recording.documents[0][1].startswith(head)


def _read(version: str, run: Run) -> list[dict[str, Any]]:
    """Return what fastq makes of the documents that a run has left."""
    with open_shop({**SETTINGS[run.settings], "result_accept_content": ACCEPTED}) as (shop, _):
        content_type = content_type_of(shop.app.conf.result_serializer)
        return [
            dict(shop.app.backend.decode(Record(task_id, "", content_type, body)))
            for task_id, body in open_recording(version, f"result-{run.name}").documents
        ]


def _described(body: bytes, run: Run, unlike: Iterable[str]) -> str:
    """Return a document as text, order and types of its fields included; without what differs from run to run.

    Args:
        body: the document.
        run: whose it is.
        unlike: fields whose values are left out.
    """
    if body.startswith(_COMPRESSED):
        method, _, packed = body.removeprefix(_COMPRESSED).partition(b"\0")
        body = decompress(packed, method.decode())
    content_type = content_type_of(SETTINGS[run.settings].get("result_serializer", "json"))
    # JSON is read without its envelopes: how a type is written is part of what is compared.
    json_text = content_type == "application/json"
    document = json.loads(body) if json_text else loads(body, content_type, "utf-8", ACCEPTED)
    if document["traceback"] is not None:
        document["traceback"] = document["traceback"].splitlines()[0]
    if document["status"] == "STARTED":
        document["result"]["pid"] = type(document["result"]["pid"]).__name__
    document |= dict.fromkeys(unlike)
    return settled(json.dumps(document, default=repr))[0]
