"""Where the files lie that URLs name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fastq.conf import places

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite:///queue.db", "sqlite:////srv/shop/queue.db"),
        ("sqlite:///a b.db?synchronous=full", "sqlite:////srv/shop/a b.db?synchronous=full"),
        ("sqlite:////var/queue.db", "sqlite:////var/queue.db"),
        ("sqlite:///a.db;sqlite:///b.db", "sqlite:////srv/shop/a.db;sqlite:////srv/shop/b.db"),
        ("file://results", "file:///srv/shop/results"),
        ("file:///results", "file:///results"),
        ("file://localhost/results", "file://localhost/results"),
        ("sqlite:///", "sqlite:///"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://queue.db", "sqlite://queue.db"),
        ("redis://h/0;sqlite:///b.db", "redis://h/0;sqlite:////srv/shop/b.db"),
        ("disabled", "disabled"),
        (None, None),
    ],
)
def test_a_relative_path_is_made_whole_and_nothing_else_is_touched(url: str | None, meant: str | None) -> None:
    assert places.whole(url, "/srv/shop") == meant


@pytest.mark.parametrize("directory", [None, "/srv/what?"])
def test_without_a_directory_that_a_url_can_name_the_path_stays_relative(directory: str | None) -> None:
    assert places.whole("sqlite:///queue.db", directory) == "sqlite:///queue.db"


def test_people_are_shown_the_short_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert places.shortened(f"sqlite:///{tmp_path}/.fastq/queue.db") == "sqlite:///.fastq/queue.db"
    assert places.shortened(f"file://{tmp_path}/results") == "file://results"
    assert places.shortened("sqlite:////elsewhere/queue.db") == "sqlite:////elsewhere/queue.db"
    assert places.shortened("memory://") == "memory://"
