"""Stand-ins."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable
from typing import Any

import pytest

from fastq.proxy import Promise, Proxy, is_evaluated, unwrap, when_evaluated


class Thing:
    def __init__(self) -> None:
        self.value = 1

    def __call__(self, number: int) -> int:
        return number + self.value

    def __or__(self, other: Any) -> Any:
        return ("or", other)


def test_a_proxy_asks_at_every_use() -> None:
    things = [Thing(), Thing()]
    things[1].value = 2
    current: Any = Proxy(lambda: things[0])

    assert current.value == 1
    things.reverse()
    assert current.value == 2


def test_a_proxy_passes_for_the_object() -> None:
    thing = Thing()
    proxy: Any = Proxy(lambda: thing, name="thing", doc="A thing.")

    assert isinstance(proxy, Thing)
    assert proxy(2) == 3
    assert (proxy | 5) == ("or", 5)
    assert proxy == thing
    assert hash(proxy) == hash(thing)
    assert repr(proxy) == repr(thing)
    assert (proxy.__name__, proxy.__doc__) == ("thing", "A thing.")
    proxy.value = 9
    assert thing.value == 9
    del proxy.value
    assert not hasattr(proxy, "value")


def test_a_proxy_of_a_map_is_one() -> None:
    found = {"a": 1}
    proxy: Any = Proxy(lambda: found)

    proxy["b"] = 2
    del proxy["a"]

    assert (len(proxy), list(proxy), "b" in proxy, proxy["b"], bool(proxy)) == (1, ["b"], True, 2, True)


def test_a_proxy_of_nothing_is_false() -> None:
    assert not Proxy(lambda: None)


def test_a_proxy_is_no_awaitable() -> None:
    assert not isinstance(Proxy(Thing), Awaitable)


def test_what_the_object_cannot_do_its_proxy_cannot() -> None:
    proxy: Any = Proxy(lambda: 5)

    with pytest.raises(TypeError):
        len(proxy)
    with pytest.raises(TypeError):
        proxy | "x"


def test_a_pickled_proxy_is_the_object() -> None:
    assert pickle.loads(pickle.dumps(Proxy(lambda: [1]))) == [1]


def test_a_promise_finds_its_object_once() -> None:
    calls: list[int] = []

    def find() -> list[int]:
        calls.append(1)
        return [7]

    promise: Any = Promise(find)
    assert not is_evaluated(promise)
    assert calls == []

    assert promise[0] == 7
    assert len(promise) == 1

    assert calls == [1]
    assert is_evaluated(promise)


def test_those_who_wait_for_a_promise_are_called_once_it_is_kept() -> None:
    heard: list[Any] = []
    promise = Promise(lambda: "it")

    when_evaluated(promise, heard.append)
    assert heard == []
    assert unwrap(promise) == "it"
    when_evaluated(promise, heard.append)
    when_evaluated("no proxy", heard.append)

    assert heard == ["it", "it", "no proxy"]


def test_unwrapping_goes_through_all_layers() -> None:
    thing = Thing()

    assert unwrap(Proxy(lambda: Promise(lambda: thing))) is thing
    assert unwrap(3) == 3
