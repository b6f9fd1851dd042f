"""Celery's names that this version does not have: whoever uses one is told, and nothing seems to be there."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import pytest

import fastq
import fastq.canvas
import fastq.result
from fastq import AsyncResult, FastQ, Signature, Task, later
from fastq.result import EagerResult

APP = FastQ("shop", broker="memory://", set_as_current=False)


@APP.task
def add(x: int, y: int) -> int:
    """Return the sum."""
    return x + y


OWNERS: list[tuple[Any, Mapping[str, str]]] = [
    (FastQ, later.APP),
    (APP, later.APP),
    (APP.amqp, later.AMQP),
    (Task, later.TASK),
    (add, later.TASK),
    (AsyncResult, later.RESULT),
    (AsyncResult("id-1", app=APP), later.RESULT),
    (EagerResult("id-1", 3, "SUCCESS"), later.RESULT),
    (Signature, later.SIGNATURE),
    (add.s(1, 2), later.SIGNATURE),
]
NAMES = [(owner, name, advice) for owner, names in OWNERS for name, advice in names.items()]


@pytest.mark.parametrize(("owner", "name", "advice"), NAMES)
def test_an_attribute_that_is_not_there_says_what_to_do(owner: Any, name: str, advice: str) -> None:
    assert not hasattr(owner, name)
    kind = owner if isinstance(owner, type) else type(owner)
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    assert str(caught.value) == f"fastq has no {kind.__name__}.{name}: {advice}."


@pytest.mark.parametrize("module", [fastq, fastq.canvas, fastq.result])
@pytest.mark.parametrize("name", later.MODULES)
def test_a_name_that_a_module_lacks_says_what_to_do(module: Any, name: str) -> None:
    assert not hasattr(module, name)
    assert name not in module.__all__
    with pytest.raises(AttributeError, match=f"{module.__name__} has no {name}: "):
        getattr(module, name)
    with pytest.raises(ImportError, match=f"^{module.__name__} has no {name}: "):
        exec(f"from {module.__name__} import {name}", {})


def test_any_other_name_is_missing_as_ever() -> None:
    with pytest.raises(AttributeError, match=r"^module 'fastq' has no attribute 'nothing'$"):
        fastq.nothing  # noqa: B018
    with pytest.raises(ImportError, match=r"cannot import name 'nothing' from 'fastq\.result'"):
        exec("from fastq.result import nothing", {})
    with pytest.raises(AttributeError, match="'FastQ' object has no attribute 'nothing'"):
        APP.nothing  # type: ignore[attr-defined]  # noqa: B018
    assert importlib.import_module("fastq.signals") is fastq.signals


def test_what_a_user_defines_in_its_place_counts() -> None:
    class Own(Task[Any, Any]):
        def map(self, items: list[int]) -> list[int]:
            return [item + 1 for item in items]

    assert Own().map([1]) == [2]
    app: Any = FastQ("own", set_as_current=False)
    app.events = "mine"
    assert app.events == "mine"


def test_classes_can_still_be_looked_through() -> None:
    for owner, names in OWNERS[::2]:
        assert set(names).isdisjoint(dict(inspect.getmembers(owner, callable)))
