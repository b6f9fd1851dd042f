"""The log lines about runs."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from fastq.execute import journal


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0001946419997693738, "0.000195"), (0.5, "0.500000"), (12.3456789, "12.3457"), (3600.0, "3600")],
)
def test_six_digits_say_how_long_a_task_ran(seconds: float, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, journal.logger.name)
    task = SimpleNamespace(name="shop.add", resultrepr_maxsize=100)
    request = SimpleNamespace(id="id-1", shadow=None, args=(), kwargs={})
    journal.succeeded(task, request, 5, seconds)
    (record,) = caplog.records
    assert record.message == f"Task shop.add[id-1] succeeded in {shown} s: 5"
    assert record.data["runtime"] == seconds  # type: ignore[attr-defined]
