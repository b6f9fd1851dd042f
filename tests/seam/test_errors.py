"""Errors of the core arrive as the exceptions of `fastq.exceptions`, with one sentence as their only argument."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastq import _core, exceptions
from fastq._seam import Route


def test_url_info_shows_what_a_url_names_and_hides_its_secrets() -> None:
    assert _core.url_info("sqlite:///queue.db") == {
        "scheme": "sqlite",
        "display": "sqlite:///queue.db",
        "supported": True,
        "native_store": True,
    }
    info = _core.url_info("amqp://user:hunter2@host//")
    assert (info["supported"], "hunter2" in info["display"]) == (True, False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlit:///queue.db", exceptions.ImproperlyConfigured),
        ("queue.db", exceptions.ImproperlyConfigured),
        ("sqlite:///:memory:", exceptions.ImproperlyConfigured),
    ],
)
def test_an_error_has_one_sentence_as_its_argument(url: str, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        _core.Producer(url).depths()

    assert type(caught.value) is expected
    (sentence,) = caught.value.args
    assert isinstance(sentence, str)
    assert "\n" not in sentence


def test_an_unknown_option_names_the_nearest_known_one() -> None:
    with pytest.raises(exceptions.ImproperlyConfigured, match="publish_timeout"):
        _core.Producer("sqlite:///queue.db", '{"publish_timeuot": 1}').depths()


def test_a_file_that_is_no_database_is_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(b"this is no database, but it is long enough to be taken for a header of one" * 20)

    with pytest.raises(exceptions.FastQError, match=r"queue\.db"):
        _core.Producer(f"sqlite:///{path}").publish(Route("", "celery"), b"{}", b"{}", b"[]")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_access(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises((exceptions.AccessRefused, exceptions.OperationalError)):
        _core.Producer(f"sqlite:///{tmp_path}/queue.db").publish(Route("", "celery"), b"{}", b"{}", b"[]")


def test_ids_are_unique_and_grow_with_time() -> None:
    ids = [_core.new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {len(task_id) for task_id in ids} == {36}
    assert ids == sorted(ids)


def test_build_info_tells_version_and_profile() -> None:
    assert {"version", "profile"} <= set(_core.build_info())
