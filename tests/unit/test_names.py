"""Node names and the codes in file names."""

from __future__ import annotations

import pytest

from fastq import names


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "host_name", lambda: "web1.example.com")


@pytest.mark.parametrize(
    ("given", "node"),
    [
        (None, "fastq@web1.example.com"),
        ("", "fastq@web1.example.com"),
        ("mail@", "mail@web1.example.com"),
        ("mail@%h", "mail@web1.example.com"),
        ("mail@%n", "mail@web1"),
        ("mail@x.%d", "mail@x.example.com"),
        ("other", "fastq@other"),
        ("100%%@h", "100%@h"),
        ("a@%z", "a@%z"),
    ],
)
def test_a_node_name_is_completed(given: str | None, node: str) -> None:
    assert names.default_node(given) == node


def test_a_node_name_is_split_at_the_first_at() -> None:
    assert names.split_node("a@b@c") == ("a", "b@c")
    assert names.split_node("host") == (None, "host")


@pytest.mark.parametrize(
    ("index", "path"),
    [(None, "/v/w1@h.d.e-w1-h.d.e-d.e-0"), (0, "/v/w1@h.d.e-w1-h.d.e-d.e-0"), (3, "/v/w1@h.d.e-w1-h.d.e-d.e-3-3")],
)
def test_codes_in_file_names(index: int | None, path: str) -> None:
    assert names.expand_file("/v/%p-%n-%h-%d-%i%I", "w1@h.d.e", index) == path


@pytest.mark.parametrize(
    ("path", "expected"), [("/v/%n.log", False), ("/v/%n%I.log", True), ("/v/%i", True), ("/v/%%i", False)]
)
def test_a_file_name_differs_by_process_when_it_says_so(path: str, expected: bool) -> None:
    assert names.per_process(path) is expected


def test_a_process_that_is_no_worker_has_a_name_of_its_own() -> None:
    assert names.anonymous_node().startswith("gen")
