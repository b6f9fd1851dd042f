"""Process titles."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from fastq.platforms import title


@pytest.fixture(autouse=True)
def forget() -> None:
    title._package.cache_clear()


def test_a_title_is_set_where_the_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    monkeypatch.setitem(sys.modules, "setproctitle", SimpleNamespace(setproctitle=titles.append))

    assert title.set_title("[fastq: x]")
    assert titles == ["[fastq: x]"]


def test_without_it_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setproctitle", None)  # type: ignore[arg-type]

    assert not title.set_title("[fastq: x]")


def test_the_title_of_a_worker() -> None:
    assert title.worker_title("w@h:MainProcess") == "[fastq: w@h:MainProcess]"
    assert title.worker_title("w@h:ForkPoolWorker-1", "idle") == "[fastq: w@h:ForkPoolWorker-1] idle"
