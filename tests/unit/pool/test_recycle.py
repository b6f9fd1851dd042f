from __future__ import annotations

from fastq.pool.recycle import resident_kib, worn_out


def test_without_limits_a_child_is_never_worn_out() -> None:
    assert worn_out(None, None) is None


def test_a_child_is_worn_out_after_so_many_tasks() -> None:
    asked = worn_out(3, None)
    assert asked is not None
    assert [asked() for _ in range(4)] == [False, False, True, True]


def test_a_child_is_worn_out_when_its_memory_has_grown_beyond_the_limit() -> None:
    small, large = worn_out(None, 1), worn_out(None, 1 << 40)
    assert small is not None
    assert large is not None
    assert small()
    assert not large()


def test_tasks_are_counted_while_memory_is_looked_at_too() -> None:
    asked = worn_out(2, 1 << 40)
    assert asked is not None
    assert [asked(), asked()] == [False, True]


def test_resident_memory_is_that_of_a_python_process() -> None:
    assert 4_000 < resident_kib() < 4_000_000
