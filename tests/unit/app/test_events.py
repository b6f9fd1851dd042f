"""Events that tasks send by themselves: what is sent, and what is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from fastq.exceptions import OperationalError, QueueNotFound

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.unit.app.conftest import Recorder


@pytest.fixture
def announce(app: FastQ, recorder: Recorder) -> Any:
    """Return what a task sends as it runs."""
    capabilities = {"exchanges": True, "channels": True}
    recorder.capabilities = lambda: capabilities  # type: ignore[attr-defined]

    @app.task(bind=True)
    def upload(self: Any, kind: str, **fields: Any) -> str:
        self.send_event(kind, **fields)
        return str(self.request.id)

    upload.capabilities = capabilities
    return upload


def test_an_event_says_what_happened_to_whom_and_where(announce: Any, recorder: Recorder) -> None:
    task_id = announce.apply(args=("task-file-uploaded",), kwargs={"size": 3, "pid": 1}, throw=True).get()

    sent = recorder.last
    assert sent.route[:2] == ("celeryev", "task.file.uploaded")
    assert (sent.properties["delivery_mode"], sent.headers) == (1, {"hostname": sent.body["hostname"]})
    assert sent.body.keys() == {"type", "uuid", "hostname", "pid", "timestamp", "utcoffset", "size"}
    assert (sent.body["uuid"], sent.body["pid"], sent.body["size"]) == (task_id, 1, 3)


def test_the_sender_is_known_by_its_process(announce: Any, recorder: Recorder) -> None:
    announce.apply(args=("task-uploaded",), throw=True)
    assert recorder.last.body["pid"] == os.getpid()


@pytest.mark.parametrize(("channels", "kind"), [(True, "fanout"), (False, "topic")])
def test_the_exchange_is_declared_once(announce: Any, recorder: Recorder, channels: bool, kind: str) -> None:
    announce.capabilities["channels"] = channels
    for _ in range(2):
        announce.apply(args=("task-uploaded",), throw=True)
    assert [(spec.exchange, spec.exchange_type) for spec in recorder.declared] == [("celeryev", kind)]


def test_a_broker_without_exchanges_has_no_monitors(announce: Any, recorder: Recorder) -> None:
    announce.capabilities["exchanges"] = False
    announce.apply(args=("task-uploaded",), throw=True)
    assert recorder.messages == []


def test_that_nobody_listens_is_no_error_and_that_nobody_answers_is(announce: Any, recorder: Recorder) -> None:
    recorder.failures = [QueueNotFound("nobody")]
    announce.apply(args=("task-uploaded",), throw=True)
    recorder.failures = [OperationalError("nobody answers")]
    with pytest.raises(OperationalError):
        announce.apply(args=("task-uploaded",), kwargs={"retry": False}, throw=True)
