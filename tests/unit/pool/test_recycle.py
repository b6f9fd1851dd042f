from __future__ import annotations

import time
from typing import Any, cast

import pytest

from fastq.pool.recycle import Wear, resident_kib, wear_of


class PortThatListens:
    """A port that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def retire_soon(self) -> None:
        self.told.append("soon")

    def retire(self) -> None:
        self.told.append("now")


@pytest.fixture
def port() -> PortThatListens:
    return PortThatListens()


def wear(port: PortThatListens, max_tasks: int | None, max_memory_kib: int | None = None, **more: Any) -> Wear:
    made = Wear(cast("Any", port), max_tasks, max_memory_kib, more.pop("start_seconds", 0.0), **more)
    made.begin()
    return made


def test_without_limits_a_child_is_never_worn_out(port: PortThatListens) -> None:
    assert wear_of(cast("Any", port), None, 0, time.monotonic()) is None


def test_a_child_leaves_after_so_many_tasks_and_says_so_before_the_last(port: PortThatListens) -> None:
    worn = wear(port, 3)
    worn.ran(10.0)
    assert port.told == []
    worn.ran(10.0)
    assert port.told == ["soon"]
    worn.ran(10.0)
    assert port.told == ["soon", "now"]


def test_a_child_of_short_tasks_says_so_as_long_before_as_a_successor_takes_to_get_ready(
    port: PortThatListens,
) -> None:
    worn = wear(port, 1000, start_seconds=0.1)
    said = 0
    while not port.told:
        worn.ran(0.01)
        said += 1
    assert 0.2 <= (1000 - said) * 0.01 <= 0.3


def test_a_child_that_makes_one_run_says_so_when_it_is_ready(port: PortThatListens) -> None:
    wear(port, 1)
    assert port.told == ["soon"]


def test_a_child_that_makes_many_runs_at_once_says_so_when_they_are_the_last(port: PortThatListens) -> None:
    worn = wear(port, 30, side_by_side=10)
    for _ in range(19):
        worn.ran(60.0)
    assert port.told == []
    worn.ran(60.0)
    assert port.told == ["soon"]


def test_a_child_leaves_when_its_memory_has_grown_beyond_the_limit(port: PortThatListens) -> None:
    wear(port, None, 1 << 40).ran(0.0)
    assert port.told == []
    wear(port, None, 1).ran(0.0)
    assert port.told == ["soon", "now"]


def test_a_child_says_so_when_its_memory_is_near_the_limit(port: PortThatListens) -> None:
    wear(port, None, int(resident_kib() * 1.05)).ran(0.0)
    assert port.told == ["soon"]


def test_tasks_are_counted_while_memory_is_looked_at_too(port: PortThatListens) -> None:
    worn = wear(port, 2, 1 << 40)
    worn.ran(60.0)
    worn.ran(60.0)
    assert port.told == ["soon", "now"]


def test_resident_memory_is_that_of_a_python_process() -> None:
    assert 4_000 < resident_kib() < 4_000_000
