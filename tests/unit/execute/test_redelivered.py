"""A message that comes again although its task has succeeded."""

from __future__ import annotations

from typing import Any

import pytest

from fastq import FastQ
from fastq._seam import DONE
from fastq.states import FAILURE, SUCCESS
from tests.unit.execute.conftest import Bench


@pytest.fixture
def runs(app: FastQ) -> list[int]:
    seen: list[int] = []
    app.task(name="shop.work")(lambda: seen.append(1))
    return seen


@pytest.mark.parametrize(
    ("setting", "state", "redelivered", "ran"),
    [
        (True, SUCCESS, True, 0),
        (True, SUCCESS, False, 1),
        (True, FAILURE, True, 1),
        (True, None, True, 1),
        (False, SUCCESS, True, 1),
    ],
)
def test_what_has_succeeded_is_not_run_again_when_the_settings_say_so(
    app: FastQ, bench: Bench, runs: list[int], setting: bool, state: str | None, redelivered: bool, ran: int
) -> None:
    app.conf.worker_deduplicate_successful_tasks = setting
    if state is not None:
        app.backend.save([app.backend.record("id-1", state, KeyError("x") if state == FAILURE else 5)])
    outcome = bench.run("shop.work", redelivered=redelivered)
    assert (outcome.ending, len(runs)) == (DONE, ran)
    assert len(outcome.records) == ran, "the first result stays"


def test_a_task_that_acknowledges_early_runs(app: FastQ, bench: Bench, runs: list[int]) -> None:
    app.conf.worker_deduplicate_successful_tasks = True
    app.tasks["shop.work"].acks_late = False
    app.backend.save([app.backend.record("id-1", SUCCESS, 5)])
    bench.run("shop.work", redelivered=True)
    assert runs == [1]


def test_when_the_store_cannot_be_asked_the_task_runs(
    app: FastQ, bench: Bench, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise OSError("no store")

    app.conf.worker_deduplicate_successful_tasks = True
    monkeypatch.setattr(type(app.backend), "load", fail)
    bench.run("shop.work", redelivered=True)
    assert runs == [1]
