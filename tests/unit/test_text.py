"""Text for people."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fastq import text
from fastq.text import hide_password, saferepr

values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text() | some.binary(),
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4) | some.tuples(inner)
    ),
    max_leaves=12,
)


@given(values)
def test_without_bounds_it_is_the_representation(value: Any) -> None:
    assert saferepr(value, maxlen=None, maxlevels=99) == repr(value)


@given(values, some.integers(0, 50))
def test_it_is_never_longer_than_its_bound(value: Any, maxlen: int) -> None:
    assert len(saferepr(value, maxlen=maxlen)) <= maxlen


def test_deep_containers_are_cut() -> None:
    assert saferepr([1, [2, [3, [4]]]]) == "[1, [2, [3, [...]]]]"
    assert saferepr({"a": {"b": {"c": {"d": 1}}}}) == "{'a': {'b': {'c': {...}}}}"


def test_what_contains_itself_is_cut() -> None:
    loop: list[Any] = [1]
    loop.append(loop)

    assert saferepr((loop,)) == "([1, [...]],)"


def test_what_cannot_be_represented_is_said_so() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise OSError

    assert saferepr((Broken(),)) == "(<Unrepresentable Broken: OSError>,)"


def test_numbers_too_long_to_print_do_not_raise() -> None:
    assert "int" in saferepr((10**5000,))


def test_long_text_is_cut_before_it_is_represented() -> None:
    assert saferepr(("x" * 10_000_000,), maxlen=10) == "('xxxxx..."


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///.fastq/queue.db", "sqlite:///.fastq/queue.db"),
        ("memory://", "memory://"),
        ("redis://:pw@host:6379/0", "redis://:********@host:6379/0"),
        ("amqp://me:pw@one//;amqp://me:pw@two//", "amqp://me:********@one//;amqp://me:********@two//"),
        ("postgresql://me:pw@h/db?sslpassword=x&a=b", "postgresql://me:********@h/db?sslpassword=********&a=b"),
        ("db+sqlite:///x?password=1", "db+sqlite:///x?password=********"),
        ("redis://me:p@w@host", "redis://me:********@host"),
        ("redis://me:p:w@[::1", "redis://me:********@[::1"),
        ("my_pkg.Backend://me:pw@h", "my_pkg.Backend://me:********@h"),
        ("redis://:p/w@host/0", "redis://:********@host/0"),
        ("redis://me:1/2@host", "redis://me:********@host"),
        ("redis://me:p?w@host", "redis://me:********@host"),
        ("amqp://me:p;w@one;amqp://me:p@two", "amqp://me:********@one;amqp://me:********@two"),
        ("http://host:80/?a=b@c", "http://host:80/?a=b@c"),
        ("sqlite:////home/me@here/queue.db", "sqlite:////home/me@here/queue.db"),
        ("The broker redis://me:pw@host is gone", "The broker redis://me:********@host is gone"),
    ],
)
def test_passwords_in_urls_are_hidden(url: str, shown: str) -> None:
    assert hide_password(url) == shown


def test_the_nearest_word_is_found() -> None:
    assert text.closest("task_serialiser", ["task_serializer", "task_routes"]) == "task_serializer"
    assert text.closest("xyz", ["task_serializer"]) is None


def test_small_helpers() -> None:
    assert text.truncate("one two three", 8) == "one two..."
    assert text.truncate("short") == "short"
    assert text.indent("a\nb", 2) == "  a\n  b"
    assert [text.plural(n, "task") for n in (0, 1, 2)] == ["tasks", "task", "tasks"]
    assert [text.join_words(words) for words in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]
