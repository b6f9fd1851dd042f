"""Forking beside the core: web servers and task code do it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from fastq import _core
from fastq._seam import Record, Route

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

CELERY = Route("", "celery")


def publish(producer: _core.Producer, count: int) -> None:
    """Publish some messages one by one."""
    for _ in range(count):
        producer.publish(CELERY, b"{}", b"{}", b"[]")


def in_child(work: Callable[[], object]) -> int:
    """Fork, do `work` in the child and leave; returns the child's process id."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def waited(child: int) -> int:
    """Return a child's wait status."""
    return os.waitpid(child, 0)[1]


def test_after_a_fork_both_processes_publish_and_nothing_is_lost(shared_url: str) -> None:
    producer = _core.Producer(shared_url)
    publish(producer, 1)

    child = in_child(lambda: publish(producer, 50))
    publish(producer, 50)

    assert waited(child) == 0
    assert producer.depths()[0]["ready"] == 101


def test_forking_while_threads_publish_loses_nothing(shared_url: str) -> None:
    producer = _core.Producer(shared_url)
    threads = [threading.Thread(target=publish, args=(producer, 100)) for _ in range(3)]
    for thread in threads:
        thread.start()

    children = [in_child(lambda: publish(producer, 10)) for _ in range(5)]
    for thread in threads:
        thread.join()

    assert [waited(child) for child in children] == [0] * 5
    assert producer.depths()[0]["ready"] == 350


def test_a_child_reads_the_results_of_its_parent_and_the_parent_those_of_its_child(shared_url: str) -> None:
    results = _core.Results(shared_url)
    results.save([Record("1", "SUCCESS", "application/json", b"1")], None)

    def answer() -> None:
        assert results.load(["1"])[0] is not None
        results.save([Record("2", "SUCCESS", "application/json", b"2")], None)

    child = in_child(answer)

    assert [record.body for record in results.wait(["2"], 10)] == [b"2"]
    assert waited(child) == 0
