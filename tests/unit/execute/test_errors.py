"""What is said of exceptions, and that they are let go of."""

from __future__ import annotations

import gc
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from fastq.execute import journal
from fastq.execute.errors import ExceptionInfo

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Bench


class Heavy:
    """Something a failing task holds."""


@pytest.fixture
def unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody keeps the log records, which hold the exceptions."""
    monkeypatch.setattr(journal.logger, "disabled", True)


@pytest.mark.usefixtures("unheard")
def test_failures_leave_nothing_for_the_garbage_collector(bench: Bench) -> None:
    alive: list[weakref.ref[Heavy]] = []

    @bench.app.task
    def work() -> None:
        heavy = Heavy()
        alive.append(weakref.ref(heavy))
        try:
            raise KeyError("first")
        except KeyError as error:
            kept = error  # a cycle: the exception holds this frame, and the frame the exception
            raise ValueError("second") from kept

    bench.run(work)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            bench.run(work)
        assert [found() for found in alive] == [None] * 21
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert [found for found in gc.garbage if isinstance(found, Heavy | BaseException)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.usefixtures("unheard")
def test_failures_do_not_add_up(bench: Bench) -> None:
    @bench.app.task
    def work() -> None:
        raise ValueError("no")

    for _ in range(50):
        bench.run(work)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        bench.run(work)
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def _caught() -> ExceptionInfo:
    try:
        raise ValueError("no")
    except ValueError as error:
        return ExceptionInfo(error)


def test_an_exception_is_described_for_hooks() -> None:
    info = _caught()
    assert (info.type, info.exception.args, info.internal) == (ValueError, ("no",), False)
    assert str(info) == info.traceback
    assert info.traceback.endswith("ValueError: no\n")
    assert info.tb is info.exception.__traceback__
    assert info.exc_info == (ValueError, info.exception, info.tb)
    assert repr(info) == "<ExceptionInfo: ValueError('no')>"


def test_the_description_can_be_pickled() -> None:
    info = _caught()
    again: Any = pickle.loads(pickle.dumps(info))
    assert (again.type, again.exception.args, again.traceback) == (ValueError, ("no",), info.traceback)
