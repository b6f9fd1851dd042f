"""Messages that are not what they should be, and those in other formats."""

from __future__ import annotations

import pytest

from fastq._seam import UNDECODABLE
from fastq.exceptions import NotRegistered
from fastq.execute import Executor
from fastq.serialization import compress, dumps
from fastq.states import FAILURE
from tests.unit.execute.conftest import Bench, FakeJob, make_job


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"[[1", "application/json", "DecodeError"),
        (b"5", "application/json", "InvalidTaskError"),
        (b"[[],{}]", "application/json", "InvalidTaskError"),
        (b"[5,{},{}]", "application/json", "InvalidTaskError"),
        (b"[[],5,{}]", "application/json", "InvalidTaskError"),
        (b"[[],{},5]", "application/json", "InvalidTaskError"),
        (b"\x80\x04N.", "application/x-python-serialize", "ContentDisallowed"),
        (b"", "application/json", "Error"),
    ],
)
def test_a_body_that_cannot_be_read_never_runs(bench: Bench, body: bytes, content_type: str, reason: str) -> None:
    @bench.app.task
    def work() -> None:
        raise AssertionError

    outcome = bench.executor.run(FakeJob(work.name, body, content_type=content_type))  # type: ignore[arg-type]
    assert outcome.ending == UNDECODABLE
    assert reason in outcome.reason
    assert outcome.records[0].state == FAILURE


def test_compressed_and_other_formats_are_read(bench: Bench) -> None:
    @bench.app.task
    def add(x: int, y: int) -> int:
        return x + y

    job = make_job(add.name, 2, 3)
    content_type, job.body = compress(job.body, "zlib")
    job.headers = job.headers[:-1] + b',"compression":"' + content_type.encode() + b'"}'
    assert bench.meta(bench.executor.run(job))["result"] == 5  # type: ignore[arg-type]

    bench.app.conf.accept_content = ["yaml"]
    executor = Executor(bench.app, hostname="w@host")
    job = make_job(add.name, 2, 3)
    assert executor.run(job).ending == UNDECODABLE  # type: ignore[arg-type]
    job.content_type, _, job.body = dumps([[2, 3], {}, {}], "yaml")
    assert bench.meta(executor.run(job))["result"] == 5  # type: ignore[arg-type]


def test_a_map_as_the_older_protocol_sends_it_is_read(bench: Bench) -> None:
    @bench.app.task
    def add(x: int, y: int) -> int:
        return x + y

    body = dumps({"task": add.name, "id": "id-1", "args": [2], "kwargs": {"y": 3}, "callbacks": None}, "json")[2]
    assert bench.meta(bench.executor.run(FakeJob(add.name, body)))["result"] == 5  # type: ignore[arg-type]


def test_a_task_nobody_knows_is_set_aside_with_the_reason(bench: Bench) -> None:
    outcome = bench.run("shop.nothing")
    assert outcome.ending == UNDECODABLE
    assert "shop.nothing" in outcome.reason
    assert isinstance(bench.meta(outcome)["result"], NotRegistered)
