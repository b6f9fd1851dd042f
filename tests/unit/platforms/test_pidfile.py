"""Pid files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastq.exceptions import LockFailed
from fastq.platforms import pidfile
from fastq.platforms.pidfile import PidFile


def dead_process() -> int:
    """Return the id of a process that has been."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)
    return pid


def test_the_file_holds_the_process_id_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"

    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"

    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_living_process_is_respected(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    path.write_text(f"{os.getppid()}\n")

    with pytest.raises(LockFailed, match=rf"held by process {os.getppid()}, which is alive"):
        PidFile(path).acquire()
    assert path.read_text() == f"{os.getppid()}\n"


@pytest.mark.parametrize("content", ["", "nonsense", "99999999999999999999"])
def test_a_file_that_names_nobody_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "w.pid"
    path.write_text(content)

    PidFile(path).acquire()

    assert PidFile(path).read() == os.getpid()


def test_a_directory_is_refused_and_stays(tmp_path: Path) -> None:
    with pytest.raises(LockFailed, match="is a directory: name a file in it"):
        PidFile(tmp_path).acquire()
    assert tmp_path.is_dir()


def test_a_file_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "w.pid"
    path.write_text(str(dead_process()))

    PidFile(path).acquire()

    assert PidFile(path).read() == os.getpid()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockFailed, match=r"Cannot write the pid file .*No such file or directory"):
        PidFile(tmp_path / "nowhere" / "w.pid").acquire()


def test_a_file_is_written_where_links_are_impossible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "w.pid"

    PidFile(path).acquire()

    assert PidFile(path).read() == os.getpid()


def test_only_the_process_that_wrote_it_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.pid"
    held = PidFile(path)
    held.acquire()
    monkeypatch.setattr(os, "getpid", lambda: 1)

    held.release()

    assert path.exists()


def test_a_process_is_alive_or_not() -> None:
    assert pidfile.is_alive(os.getpid())
    assert pidfile.is_alive(1)
    assert not pidfile.is_alive(dead_process())
