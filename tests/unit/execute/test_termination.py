"""Ending a run from outside of its code."""

from __future__ import annotations

import signal

import pytest

from fastq.execute.termination import Termination, came_of_termination, ends_run


def test_a_signal_ends_a_run_only_when_the_core_says_that_it_is_meant_for_it() -> None:
    said = [False, True]
    handle = ends_run(lambda: said.pop(0))
    handle(signal.SIGTERM, None)
    with pytest.raises(Termination) as caught:
        handle(signal.SIGTERM, None)
    assert caught.value.code == 128 + signal.SIGTERM


def test_it_passes_what_catches_errors() -> None:
    assert not issubclass(Termination, Exception)


def test_an_error_that_comes_while_it_is_on_its_way_counts_as_it() -> None:
    def clean_up() -> None:
        try:
            raise Termination
        finally:
            raise RuntimeError("release unlocked lock")

    with pytest.raises(RuntimeError) as caught:
        clean_up()
    assert came_of_termination(caught.value)
    assert came_of_termination(Termination())
    assert not came_of_termination(SystemExit())
