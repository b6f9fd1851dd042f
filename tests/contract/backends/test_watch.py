"""What every backend's watch must do: one thread waits for tasks that become more meanwhile."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.backends.conftest import URLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastq.backends.base import Backend
    from tests.contract.backends.conftest import Place

pytestmark = pytest.mark.parametrize("place", [*sorted(URLS), "redis"], indirect=True)

LIMIT = 20.0


@pytest.fixture
def ids() -> Iterator[str]:
    return iter(lambda: uuid.uuid4().hex, None)


def ended(watch: Any, timeout: float | None = LIMIT) -> list[str]:
    return [record.task_id for record in watch.next(timeout)]


def test_it_tells_once_of_what_has_ended_and_of_what_ends(backend: Backend, ids: Iterator[str]) -> None:
    before, later, never = next(ids), next(ids), next(ids)
    backend.store_result(before, 1, "SUCCESS")
    backend.store_result(never, None, "STARTED")
    watch = backend.watch()

    watch.add([before, later, never])
    assert ended(watch) == [before]
    backend.store_result(later, 2, "FAILURE")
    assert ended(watch) == [later]
    assert ended(watch, 0.02) == []


def test_another_process_of_the_same_store_is_heard(place: Place, ids: Iterator[str]) -> None:
    task, watch = next(ids), place.backend.watch()
    watch.add([task])

    place.another().store_result(task, 1, "SUCCESS")

    assert ended(watch) == [task]


def test_what_was_removed_is_not_told_of(backend: Backend, ids: Iterator[str]) -> None:
    wanted, unwanted, watch = next(ids), next(ids), backend.watch()
    watch.add([wanted, unwanted])
    watch.remove([unwanted, "unknown"])

    backend.store_result(unwanted, 1, "SUCCESS")
    backend.store_result(wanted, 1, "SUCCESS")

    assert ended(watch) == [wanted]


def test_it_is_interrupted_by_another_thread_now_or_the_next_time(backend: Backend, ids: Iterator[str]) -> None:
    watch = backend.watch()
    watch.add([next(ids)])
    watch.interrupt()
    assert ended(watch, None) == []

    found: list[str] = ["not yet"]
    waiting = threading.Thread(target=lambda: found.__setitem__(slice(None), ended(watch, None)))
    waiting.start()
    watch.interrupt()
    waiting.join(LIMIT)
    assert found == []


def test_a_compressed_state_on_the_way_is_no_end(place: Place, ids: Iterator[str]) -> None:
    backend, task = place.another(result_compression="zlib"), next(ids)
    watch = backend.watch()
    backend.store_result(task, None, "STARTED")
    watch.add([task])
    assert ended(watch, 0.02) == []

    backend.store_result(task, 5, "SUCCESS")

    assert ended(watch) == [task]
