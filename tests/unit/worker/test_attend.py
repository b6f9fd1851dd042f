from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, signals
from fastq._seam import Event
from fastq.exceptions import NotRegistered, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from fastq.worker.attend import Attendance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastq.signals import Signal

ABOUT = {"id": "i1", "name": "shop.add"}


@pytest.fixture
def app() -> FastQ:
    made = FastQ("shop", set_as_current=False)
    made.failures = []  # type: ignore[attr-defined]

    @made.task(name="shop.add", bind=True)
    def add(self: Any) -> None:
        """Do nothing."""

    def on_failure(exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
        task = made.tasks["shop.add"]
        made.failures.append((exc, task_id, task.request.id))  # type: ignore[attr-defined]

    made.tasks["shop.add"].on_failure = on_failure  # type: ignore[method-assign]
    return made


@pytest.fixture
def attendance(app: FastQ, caplog: pytest.LogCaptureFixture) -> Attendance:
    caplog.set_level(logging.DEBUG)
    return Attendance(app, "celery@here", consumer="consumer", on_ready=lambda _fields: None)


@contextmanager
def heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []

    def hear(**named: Any) -> None:
        told.append(named)

    signal.connect(hear)
    try:
        yield told
    finally:
        signal.disconnect(hear)


def test_the_end_tells_how_many_runs_the_stop_has_cut_off(
    attendance: Attendance, caplog: pytest.LogCaptureFixture
) -> None:
    attendance.see_to(Event("interrupted", {**ABOUT, "requeued": True}))  # before the stop: with its process
    attendance.see_to(Event("stopping", {"how": "cold"}))
    for requeued in (True, True, False):
        attendance.see_to(Event("interrupted", {**ABOUT, "requeued": requeued}))
    attendance.see_to(Event("stopped", {"clean": True}))
    assert "2 tasks were cut off by the stop and are back in the queue." in caplog.text
    assert "1 task was cut off by the stop and has failed, for it was acknowledged at the start." in caplog.text


@pytest.mark.parametrize(
    ("event", "level", "words"),
    [
        (
            Event("link", {"state": "backing off", "reason": "refused", "retry_in": 2.0}),
            "WARNING",
            "cannot be reached: refused. Trying again until it can.",
        ),
        (Event("link", {"state": "failed", "reason": "no file"}), "ERROR", "cannot be used: no file"),
        (
            Event("child-gone", {"slot": 0, "pid": 7, "reason": "killed by signal 9", "expected": False}),
            "ERROR",
            "Child 1 (pid 7) is gone: killed by signal 9",
        ),
        (Event("child-gone", {"slot": 0, "pid": 7, "reason": "", "expected": True}), "DEBUG", "has left"),
        (Event("nursery-gone", {}), "CRITICAL", "Start the worker again"),
        (Event("received", {**ABOUT, "queue": "celery"}), "INFO", "Task shop.add[i1] received"),
        (Event("received", {**ABOUT, "queue": "celery", "eta": 0.5}), "INFO", "due at 1970-01-01T00:00:00.5"),
        (
            Event("lost", {**ABOUT, "deaths": 1, "requeued": True, "reason": "signal 9"}),
            "ERROR",
            "died (signal 9), the first time. It runs again",
        ),
        (Event("timed-out", {**ABOUT, "seconds": 3.0, "hard": False, "slot": 0}), "WARNING", "soft time limit of 3 s"),
        (Event("unknown", {**ABOUT, "queue": "q"}), "ERROR", "not registered in this worker"),
        (Event("expired", ABOUT), "INFO", "had expired"),
        (
            Event("buried", {**ABOUT, "queue": "q", "reason": "unreadable"}),
            "ERROR",
            "dead letters of queue q: unreadable",
        ),
        (Event("refused", {"count": 2}), "WARNING", "2 outcomes came after"),
        (Event("recovered", {"recovered": 1, "buried": 0}), "WARNING", "1 task of a dead worker went back"),
        (Event("recovered", {"recovered": 0, "buried": 2}), "ERROR", "2 tasks of a dead worker went to the dead"),
        (Event("bug", {"reason": "impossible"}), "ERROR", "please report it: impossible"),
        (Event("brand-new", {}), "DEBUG", "nobody handles"),
    ],
)
def test_an_event_is_a_line_of_its_level(
    attendance: Attendance, caplog: pytest.LogCaptureFixture, event: Event, level: str, words: str
) -> None:
    attendance.see_to(event)
    assert [record.levelname for record in caplog.records] == [level]
    assert words in caplog.text


def test_a_broker_out_of_reach_is_a_line_however_often_it_is_tried_and_its_return_another(
    attendance: Attendance, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        for reason in ("cut off", "refused", "refused"):
            attendance.see_to(Event("link", {"state": "backing off", "reason": reason, "retry_in": 0.1}))
        for _ in range(2):
            attendance.see_to(Event("link", {"state": "open", "reason": "", "retry_in": 0.0}))
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    lost, back = "The broker cannot be reached: cut off. Trying again until it can.", "The broker can be reached again."
    assert said == [lost, back] * 2


def test_a_broker_that_came_while_the_worker_started_has_not_come_back(
    attendance: Attendance, caplog: pytest.LogCaptureFixture
) -> None:
    attendance.see_to(Event("link", {"state": "backing off", "reason": "refused", "retry_in": 0.1}))
    attendance.see_to(Event("ready", {"queues": "celery"}))
    attendance.see_to(Event("link", {"state": "open", "reason": "", "retry_in": 0.0}))
    assert "again." not in caplog.text


def test_a_lost_run_that_is_not_repeated_calls_on_failure_and_sends_task_failure(
    app: FastQ, attendance: Attendance
) -> None:
    with heard(signals.task_failure) as told:
        attendance.see_to(Event("lost", {**ABOUT, "deaths": 3, "requeued": False, "reason": "signal 9"}))
    assert [(named["task_id"], type(named["exception"])) for named in told] == [("i1", WorkerLostError)]
    assert [(type(error), task_id, request_id) for error, task_id, request_id in app.failures] == [  # type: ignore[attr-defined]
        (WorkerLostError, "i1", "i1")
    ]


def test_a_lost_run_that_is_repeated_has_not_failed(app: FastQ, attendance: Attendance) -> None:
    with heard(signals.task_failure) as told:
        attendance.see_to(Event("lost", {**ABOUT, "deaths": 1, "requeued": True, "reason": "signal 9"}))
    assert told == []
    assert app.failures == []  # type: ignore[attr-defined]


def test_a_run_killed_at_its_limit_has_failed(attendance: Attendance) -> None:
    with heard(signals.task_failure) as told:
        attendance.see_to(Event("timed-out", {**ABOUT, "seconds": 3.0, "hard": True, "slot": 0}))
    assert isinstance(told[0]["exception"], TimeLimitExceeded)


def test_a_hook_that_raises_is_logged_and_the_signal_is_sent_all_the_same(
    app: FastQ, attendance: Attendance, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: Any) -> None:
        raise ZeroDivisionError

    app.tasks["shop.add"].on_failure = broken  # type: ignore[method-assign]
    with heard(signals.task_failure) as told:
        attendance.see_to(Event("timed-out", {**ABOUT, "seconds": 3.0, "hard": True, "slot": 0}))
    assert told
    assert "ZeroDivisionError" in caplog.text


def test_an_unknown_task_sends_task_unknown(attendance: Attendance) -> None:
    with heard(signals.task_unknown) as told:
        attendance.see_to(Event("unknown", {"id": "i2", "name": "no.such", "queue": "q"}))
    assert [(named["name"], named["id"], type(named["exc"])) for named in told] == [("no.such", "i2", NotRegistered)]


def test_an_expired_task_sends_task_revoked(app: FastQ, attendance: Attendance) -> None:
    with heard(signals.task_revoked) as told:
        attendance.see_to(Event("expired", ABOUT))
    assert [(named["sender"].name, named["expired"], named["request"].id) for named in told] == [
        ("shop.add", True, "i1")
    ]


@pytest.mark.parametrize(("fields", "terminated", "signum"), [({}, False, None), ({"signal": "SIGKILL"}, True, 9)])
def test_a_revoked_task_sends_task_revoked(
    fields: Any, terminated: bool, signum: int | None, attendance: Attendance
) -> None:
    with heard(signals.task_revoked) as told:
        attendance.see_to(Event("revoked", {**ABOUT, "terminated": terminated, **fields}))
    (named,) = told
    assert (named["terminated"], named["signum"], named["expired"]) == (terminated, signum, False)
    assert (named["sender"].name, named["request"].id) == ("shop.add", "i1")


def test_the_pool_is_told_which_run_is_terminated(app: FastQ) -> None:
    told: list[Any] = []
    attendance = Attendance(app, "n", object(), lambda _: None, on_termination=lambda *about: told.append(about))
    attendance.see_to(Event("terminating", {**ABOUT, "slot": 3, "signal": "SIGTERM"}))
    assert told == [(3, "i1")]


def test_a_worker_that_cannot_hear_says_so(attendance: Attendance, caplog: pytest.LogCaptureFixture) -> None:
    attendance.see_to(Event("deaf", {"reason": "NOPERM"}))
    assert "cannot hear what is revoked" in caplog.text
    assert "NOPERM" in caplog.text
    attendance.see_to(Event("hears", {}))
    assert caplog.messages[-1] == "This worker hears again what is revoked, and remote commands."


def test_whether_it_hears_is_no_news_while_the_broker_is_out_of_reach(
    attendance: Attendance, caplog: pytest.LogCaptureFixture
) -> None:
    attendance.see_to(Event("link", {"state": "backing off", "reason": "refused", "retry_in": 0.1}))
    attendance.see_to(Event("deaf", {"reason": "refused"}))
    attendance.see_to(Event("link", {"state": "open"}))
    attendance.see_to(Event("hears", {}))
    assert not [record for record in caplog.records if "hear" in record.message and record.levelno > logging.DEBUG]


def test_a_buried_message_sends_task_rejected(attendance: Attendance) -> None:
    with heard(signals.task_rejected) as told:
        attendance.see_to(Event("buried", {"id": "", "name": "", "queue": "q", "reason": "unreadable"}))
    assert str(told[0]["exc"]) == "unreadable"


def test_a_received_task_sends_task_received(attendance: Attendance) -> None:
    with heard(signals.task_received) as told:
        attendance.see_to(Event("received", {**ABOUT, "queue": "mail"}))
    request = told[0]["request"]
    assert (request.task_id, request.task_name, request.delivery_info["routing_key"]) == ("i1", "shop.add", "mail")


def test_the_end_of_the_core_is_remembered(attendance: Attendance, caplog: pytest.LogCaptureFixture) -> None:
    assert attendance.stopped is None
    attendance.see_to(Event("stopped", {"clean": False, "reason": "disk full"}))
    assert attendance.stopped == {"clean": False, "reason": "disk full"}
    assert "disk full" in caplog.text


def test_a_state_that_only_python_can_store_is_stored_where_the_task_keeps_its_results(
    app: FastQ, attendance: Attendance, tmp_path: Path
) -> None:
    app.conf.result_backend = f"file://{tmp_path}/results"
    result = {"exc_type": "TaskRevokedError", "exc_message": ["expired"], "exc_module": "celery.exceptions"}
    body = json.dumps({"status": "REVOKED", "result": result})

    attendance.see_to(Event("unstored", {"id": "i1", "name": "shop.add", "state": "REVOKED", "body": body}))
    attendance.see_to(Event("unstored", {"id": "i2", "name": "shop.unknown", "state": "REVOKED", "body": body}))

    for task_id in ("i1", "i2"):
        with pytest.raises(TaskRevokedError, match="expired"):
            app.AsyncResult(task_id).get(timeout=0)


def test_a_state_that_cannot_be_stored_is_logged(
    app: FastQ, attendance: Attendance, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app.conf.result_backend = f"file://{tmp_path}/results"
    assert app.backend is not None  # it was found while there was nothing in the way
    (tmp_path / "results").write_text("in the way")
    body = json.dumps({"status": "FAILURE", "result": {"exc_type": "KeyError", "exc_message": [1]}})

    attendance.see_to(Event("unstored", {"id": "i1", "name": "shop.add", "state": "FAILURE", "body": body}))

    assert "its state FAILURE could not be stored" in caplog.text


def test_a_remote_command_that_cannot_be_obeyed_is_logged(
    attendance: Attendance, caplog: pytest.LogCaptureFixture
) -> None:
    attendance.see_to(Event("unheeded", {"reason": "there is no matcher of that name"}))
    assert "A remote command was not obeyed: there is no matcher of that name." in caplog.text
