"""A worker in a thread of the test: what `app.Worker` is for code that runs one itself."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, signals
from fastq.exceptions import ImproperlyConfigured, SecurityError
from fastq.names import DEFAULT_NODE
from fastq.worker import Worker
from fastq.worker.privileges import refuse_pickle_as_root
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _logging_stays_as_it_is() -> Iterator[None]:
    def handled(**_named: Any) -> None:
        """Leave logging to pytest."""

    signals.setup_logging.connect(handled)
    yield
    signals.setup_logging.disconnect(handled)


@pytest.fixture
def app() -> Iterator[FastQ]:
    made = FastQ("shop", broker="memory://worker-test", set_as_current=False)

    @made.task(name="shop.add")
    def add(x: int, y: int) -> int:
        return x + y

    yield made
    made.close()


@contextmanager
def running(app: FastQ, **options: Any) -> Iterator[Worker]:
    worker = app.Worker(app=app, pool="solo", quiet=True, **options)
    ready = threading.Event()

    def is_ready(**_named: Any) -> None:
        ready.set()

    signals.worker_ready.connect(is_ready)
    thread = threading.Thread(target=worker.start)
    thread.start()
    try:
        wait_for(ready.is_set, "the worker")
        yield worker
    finally:
        worker.stop()
        thread.join(20)
        signals.worker_ready.disconnect(is_ready)
        assert not thread.is_alive()


def test_a_worker_in_a_thread_shares_a_broker_in_memory(app: FastQ) -> None:
    with running(app) as worker:
        assert app.send_task("shop.add", (2, 3)).get(timeout=20) == 5
    assert worker.exitcode == 0


def test_what_a_worker_that_was_stopped_left_waits_for_the_next(app: FastQ) -> None:
    with running(app):
        pass
    result = app.send_task("shop.add", (1, 1))
    with running(app):
        assert result.get(timeout=20) == 2


def test_a_worker_knows_its_name_before_it_starts(app: FastQ) -> None:
    assert Worker(app, hostname="packer@here").hostname == "packer@here"
    assert Worker(app).hostname.startswith(f"{DEFAULT_NODE}@")


def test_an_unknown_option_is_refused(app: FastQ) -> None:
    with pytest.raises(ImproperlyConfigured, match="no option 'quiets'"):
        Worker(app, quiets=True)


def test_root_does_not_accept_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.delenv("C_FORCE_ROOT", raising=False)
    refuse_pickle_as_root(["json"])
    with pytest.raises(SecurityError, match="runs as root and accepts pickle"):
        refuse_pickle_as_root(["json", "pickle"])
    monkeypatch.setenv("C_FORCE_ROOT", "1")
    refuse_pickle_as_root(["pickle"])


def test_another_user_may_accept_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    refuse_pickle_as_root(["application/x-python-serialize"])
