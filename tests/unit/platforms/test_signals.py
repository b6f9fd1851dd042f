"""Operating system signals by name."""

from __future__ import annotations

import signal

import pytest

from fastq.platforms.signals import signal_name, signal_number


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "sigterm", " term ", "15", 15, signal.SIGTERM])
def test_a_signal_has_many_names(name: str | int) -> None:
    assert signal_number(name) is signal.SIGTERM


@pytest.mark.parametrize("name", ["", "TERMINATE", "999", -1])
def test_an_unknown_signal_is_refused(name: str | int) -> None:
    with pytest.raises(ValueError, match=r"no signal"):
        signal_number(name)


def test_a_number_has_a_name() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(999) == "999"
