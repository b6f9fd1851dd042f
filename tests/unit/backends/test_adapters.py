"""What is particular to one backend; what all promise is in tests/contract/backends."""

from __future__ import annotations

import os
import pickle
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from fastq import FastQ
from fastq.backends import memory
from fastq.backends.base import Backend
from fastq.exceptions import BackendStoreError, DecodeError, ImproperlyConfigured, NotSupported
from fastq.states import FAILURE, SUCCESS


def backend_of(url: str, **settings: Any) -> Backend:
    app = FastQ("shop", broker="memory://", backend=url, set_as_current=False)
    app.conf.update(settings)
    return app.backend


# Files


def test_files_have_celerys_names_and_belong_to_their_writer_alone(tmp_path: Path) -> None:
    backend = backend_of(f"file://{tmp_path}/results")
    backend.store_result("id-1", 5, SUCCESS)
    (file,) = (tmp_path / "results").iterdir()
    assert file.name == "celery-task-meta-id-1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_id_leads_out_of_the_directory(tmp_path: Path) -> None:
    backend = backend_of(f"file://{tmp_path}/results")
    for task_id in ("../outside", "/etc/outside", "a/../../outside", "\0", "x" * 5000):
        backend.store_result(task_id, 5, SUCCESS)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert len(list((tmp_path / "results").iterdir())) == 5


def test_a_damaged_file_is_an_error_for_readers_and_no_obstacle_for_writers(tmp_path: Path) -> None:
    backend = backend_of(f"file://{tmp_path}")
    (tmp_path / "celery-task-meta-id-1").write_bytes(b"{half a doc")
    with pytest.raises(DecodeError):
        backend.get_state("id-1")
    backend.store_result("id-1", 5, SUCCESS)
    assert backend.get_result("id-1") == 5


def test_what_a_dead_writer_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    backend = backend_of(f"file://{tmp_path}")
    for name, age in ((".fastq-1-0", 7200), (".fastq-2-0", 10)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    (tmp_path / "someone else's").touch()
    assert backend.cleanup() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fastq-2-0", "someone else's"]
    assert backend_of(f"file://{tmp_path}/nowhere").cleanup() == 0


def test_a_place_that_is_no_directory_is_named_with_its_setting(tmp_path: Path) -> None:
    backend = backend_of(f"file://{tmp_path}/file")
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match=r"result_backend is 'file://.*/file'"):
        backend.store_result("id-1", 5, SUCCESS)
    with pytest.raises(ImproperlyConfigured, match=r"result_backend is 'file://.*/file'"):
        backend.get_state("id-1")


def test_a_full_disk_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backend_of(f"file://{tmp_path}")

    def replace(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(BackendStoreError, match="No space left on device") as caught:
        backend.store_result("id-1", 5, SUCCESS)
    assert (caught.value.task_id, caught.value.state) == ("id-1", SUCCESS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "path"), [("file:///tmp/a", "/tmp/a"), ("file://localhost/a", "/a"), ("file://here", f"{Path.cwd()}/here")]
)
def test_the_directory_is_read_from_the_url(url: str, path: str) -> None:
    assert backend_of(url).directory == Path(path)  # type: ignore[attr-defined]


def test_a_url_without_a_directory_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="names no directory"):
        backend_of("file://")


# Memory


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_RESULTS", 3)
    backend = backend_of("cache+memory://")
    for number in range(5):
        backend.store_result(f"bounded-{number}", number, SUCCESS)
    assert [backend.get_result(f"bounded-{number}") for number in range(5)] == [None, None, 2, 3, 4]
    backend.forget([f"bounded-{number}" for number in range(5)])


# Disabled


def test_without_a_backend_states_are_dropped_and_questions_answered_with_why() -> None:
    backend = backend_of("disabled://")
    backend.store_result("id-1", 5, SUCCESS)
    assert not backend.capability.stores
    result = backend.app.AsyncResult("id-1")
    for ask in (lambda: backend.get_state("id-1"), lambda: backend.wait(["id-1"]), result.get, result.ready):
        with pytest.raises(NotSupported, match="set result_backend"):
            ask()
        with pytest.raises(NotImplementedError):
            ask()


# All of them


def test_ready_results_are_remembered_up_to_result_cache_max(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = backend_of("cache+memory://", result_cache_max=1)
    backend.store_result("cached-1", 1, SUCCESS)
    backend.store_result("cached-2", 2, SUCCESS)
    assert [backend.get_result(task_id) for task_id in ("cached-1", "cached-2")] == [1, 2]
    monkeypatch.setattr(backend, "load", lambda _: [None])
    assert [backend.get_result(task_id) for task_id in ("cached-1", "cached-2")] == [None, 2]


def test_a_pickled_result_keeps_the_exception_itself_where_that_survives() -> None:
    backend = backend_of("cache+memory://", result_serializer="pickle", accept_content=["pickle"])
    backend.store_result("pickled-1", OSError(2, "gone", "file"), FAILURE)
    found = backend.get_result("pickled-1")
    assert (type(found), found.filename) == (FileNotFoundError, "file")

    class LocalError(Exception):
        pass

    backend.store_result("pickled-2", LocalError("a"), FAILURE)
    assert backend.get_result("pickled-2").args == ("a",)


def test_what_the_core_writes_is_read_whatever_is_accepted() -> None:
    backend = backend_of("cache+memory://", result_serializer="pickle", result_accept_content=["pickle"])
    from fastq._seam import Record

    error = b'{"exc_type":"WorkerLostError","exc_message":["x"],"exc_module":"celery.exceptions"}'
    body = b'{"status":"FAILURE","result":%b}' % error
    assert type(backend.decode(Record("a", FAILURE, "application/json", body))["result"]).__name__ == "WorkerLostError"


def test_the_serializer_may_be_changed_at_any_time() -> None:
    backend = backend_of("cache+memory://", accept_content=["json", "yaml"])
    backend.app.conf.result_serializer = "yaml"
    assert backend.record("a", SUCCESS, 5).content_type == "application/x-yaml"
    assert backend.documents.success("a", 5, None, True).content_type == "application/x-yaml"


def test_a_backend_can_be_pickled_with_its_app() -> None:
    backend = backend_of("cache+memory://")
    kind, (app, url) = backend.__reduce__()
    assert (kind, app, url) == (type(backend), backend.app, "memory://")
    assert pickle.dumps(kind)


def test_each_thread_may_have_a_writer_of_its_own() -> None:
    import threading

    backend = backend_of("cache+memory://")
    mine: list[Any] = []
    theirs: list[Any] = []

    def other() -> None:
        backend.writer = theirs.extend
        backend.store_result("a", 1, "PROGRESS")

    backend.writer = mine.extend
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    backend.store_result("b", 2, "PROGRESS")
    assert [record.task_id for record in mine] == ["b"]
    assert [record.task_id for record in theirs] == ["a"]
