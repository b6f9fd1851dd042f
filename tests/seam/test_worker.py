"""Worker: the core behind its six calls, with a slot in this process."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fastq import _core
from fastq._seam import DONE, Event, Outcome, Record, Route
from fastq.exceptions import ConnectionClosed, ImproperlyConfigured
from tests.seam.workers import config, policy

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CELERY = Route("", "celery")
PROPERTIES = b'{"content_type":"application/json","content_encoding":"utf-8"}'


def headers(task_id: str, name: str = "shop.add") -> bytes:
    """Return the headers of a message."""
    return f'{{"lang":"py","task":"{name}","id":"{task_id}"}}'.encode()


@contextmanager
def running(url: str) -> Iterator[_core.Worker]:
    """Run a worker that knows the task `shop.add`; its ports are to be dropped before, or it waits for them."""
    worker = _core.Worker(config(url), [policy("shop.add")])
    worker.start()
    try:
        yield worker
    finally:
        worker.stop("cold")


def events_of(worker: _core.Worker, *kinds: str) -> list[Event]:
    """Return the first Event of each kind, within ten seconds."""
    found: dict[str, Event] = {}
    for _ in range(100):
        for event in worker.attend(0.1):
            found.setdefault(event.kind, event)
        if found.keys() >= set(kinds):
            return [found[kind] for kind in kinds]
    raise AssertionError(f"told only {found}")


def ready_port(worker: _core.Worker) -> _core.Port:
    """Return a port that has said that it waits for jobs."""
    port = worker.port()
    assert port.next(0) is None
    return port


def test_a_job_goes_in_and_its_result_comes_out(url: str) -> None:
    producer, results = _core.Producer(url), _core.Results(url)
    producer.publish(CELERY, headers("1"), PROPERTIES, b"[[2, 3], {}, {}]")

    with running(url) as worker:
        port = worker.port()
        job = port.next(10)
        assert job is not None
        assert (job.id, job.name, job.body) == ("1", "shop.add", b"[[2, 3], {}, {}]")
        record = Record("1", "SUCCESS", "application/json", b'{"result":5}')
        port.finish(job, Outcome(DONE, (record,)))
        port.flush()

        assert results.wait(["1"], 10) == [record]
        assert producer.depths()[0]["in_flight"] == 0
        del port


def test_a_worker_tells_that_it_is_ready(url: str) -> None:
    with running(url) as worker:
        (event,) = events_of(worker, "ready")

    assert event.fields == {"queues": "celery"}


def test_an_unknown_task_is_told_and_set_aside(url: str) -> None:
    producer = _core.Producer(url)

    with running(url) as worker:
        port = ready_port(worker)
        producer.publish(CELERY, headers("1", "shop.nothing"), PROPERTIES, b"[]")
        (event,) = events_of(worker, "unknown")
        worker.stop("warm")
        del port
        events_of(worker, "stopped")

    assert (event.fields["id"], event.fields["name"]) == ("1", "shop.nothing")
    (letter,) = producer.dead_letters("celery", 10)
    assert (letter["task_id"], letter["task_name"], letter["headers"]) == (
        "1",
        "shop.nothing",
        headers("1", "shop.nothing"),
    )


def test_received_jobs_are_told_when_asked_for(url: str) -> None:
    with running(url) as worker:
        worker.watch(["received"])
        port = ready_port(worker)
        _core.Producer(url).publish(CELERY, headers("1"), PROPERTIES, b"[]")

        assert events_of(worker, "received")[0].fields["id"] == "1"
        del port


def test_writing_to_the_wakeup_descriptor_ends_the_attendance(url: str) -> None:
    with running(url) as worker:
        events_of(worker, "ready")
        thread = threading.Timer(0.02, os.write, (worker.wakeup_fd(), b"\x0f"))
        thread.start()

        assert worker.attend(600) == []


def test_a_warm_stop_lets_the_executor_go_and_ends_clean(url: str) -> None:
    with running(url) as worker:
        port = ready_port(worker)
        worker.stop("warm")

        with pytest.raises(EOFError):
            port.next(10)
        del port
        assert events_of(worker, "stopped")[0].fields["clean"] is True


def test_statistics_count_what_was_done(url: str) -> None:
    _core.Producer(url).publish(CELERY, headers("1"), PROPERTIES, b"[]")

    with running(url) as worker:
        port = worker.port()
        job = port.next(10)
        assert job is not None
        port.finish(job, Outcome(DONE, (Record("1", "SUCCESS", "application/json", b"1"),)))
        port.flush()
        _core.Results(url).wait(["1"], 10)

        assert worker.stats()["finished"] == 1
        del port


def test_settings_that_cannot_work_are_refused_by_name(url: str) -> None:
    for field in ("lease", "result_expires", "stop_within"):
        with pytest.raises(ImproperlyConfigured, match=field):
            _core.Worker(dataclasses.replace(config(url), **{field: -1.0}), [])  # type: ignore[arg-type]
    with pytest.raises(ImproperlyConfigured, match="nursery_fd"):
        _core.Worker(dataclasses.replace(config(url), nursery_fd=999_999), [])


def test_a_worker_that_cannot_begin_says_why_and_starts_nothing() -> None:
    worker = _core.Worker(config("sqlite:////not/there/queue.db"), [])

    with pytest.raises(ImproperlyConfigured, match="/not/there"):
        worker.start()
    with pytest.raises(ConnectionClosed, match="not started"):
        worker.attend(0)


def test_a_worker_starts_once(url: str) -> None:
    with running(url) as worker, pytest.raises(ConnectionClosed, match="started before"):
        worker.start()


def test_words_that_are_not_known_are_value_errors(url: str) -> None:
    with running(url) as worker:
        with pytest.raises(ValueError, match="gently"):
            worker.stop("gently")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="nothing"):
            worker.watch(["nothing"])


def test_a_fork_of_the_parent_cannot_use_its_worker(shared_url: str) -> None:
    with running(shared_url) as worker:
        child = os.fork()
        if child == 0:
            try:
                worker.attend(0)
            except RuntimeError as error:
                os._exit(0 if str(os.getpid()) in str(error) else 2)
            except BaseException:
                os._exit(3)
            os._exit(1)

        assert os.waitpid(child, 0)[1] == 0
        assert events_of(worker, "ready"), "the original works on"


def test_an_executor_that_was_told_to_leave_holds_up_nobody(url: str) -> None:
    with running(url) as worker:
        port = ready_port(worker)
        worker.stop("warm")
        with pytest.raises(EOFError):
            port.next(10)

        assert events_of(worker, "stopped"), "although the port still exists"
