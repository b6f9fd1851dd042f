"""The soft time limit: raised in the task it belongs to, and nowhere else."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from fastq._seam import DONE, FAILED
from fastq.exceptions import SoftTimeLimitExceeded
from fastq.execute import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.execute.conftest import Bench


@pytest.fixture(autouse=True)
def signal_kept() -> Iterator[None]:
    before = signal.getsignal(limits.SIGNAL)
    yield
    limits.guard.disarm()
    signal.signal(limits.SIGNAL, before)


def send() -> None:
    """Do what the core does at the limit; Python runs the handler before the next line."""
    os.kill(os.getpid(), limits.SIGNAL)


def test_the_limit_is_raised_in_the_task(bench: Bench) -> None:
    @bench.app.task
    def work() -> None:
        threading.Event().wait(0.01)
        send()
        threading.Event().wait(30)

    outcome = bench.run(work, time_limits=(None, 0.01))
    assert outcome.ending == FAILED
    error = bench.meta(outcome)["result"]
    assert (type(error), error.args) == (SoftTimeLimitExceeded, (0.01,))


def test_a_task_may_clean_up_and_return(bench: Bench) -> None:
    @bench.app.task
    def work() -> str:
        try:
            threading.Event().wait(0.01)
            send()
            threading.Event().wait(30)
        except SoftTimeLimitExceeded:
            send()  # the core will not, but nothing may be raised a second time
            return "cleaned up"
        return "not interrupted"

    assert bench.meta(bench.run(work, time_limits=(None, 0.01)))["result"] == "cleaned up"


def test_a_signal_that_comes_too_late_finds_nothing_to_interrupt(bench: Bench) -> None:
    @bench.app.task
    def work(late: bool) -> int:
        if late:
            send()
        return 1

    assert bench.run(work, False, time_limits=(None, 60.0)).ending == DONE
    send()  # between two runs
    assert bench.run(work, True).ending == DONE  # in a run without a limit
    assert bench.run(work, True, time_limits=(None, 60.0)).ending == DONE  # too early to be this run's


def test_hooks_are_not_interrupted(bench: Bench) -> None:
    from fastq.app.task import Task

    class Traced(Task[..., Any]):
        def on_success(self, *args: Any) -> None:
            send()

    @bench.app.task(base=Traced)
    def work() -> int:
        threading.Event().wait(0.002)
        return 1

    assert bench.run(work, time_limits=(None, 0.001)).ending == DONE


def test_other_threads_run_without_a_soft_limit(bench: Bench) -> None:
    @bench.app.task
    def work() -> int:
        return 1

    outcomes: list[Any] = []
    thread = threading.Thread(target=lambda: outcomes.append(bench.run(work, time_limits=(None, 0.001))))
    thread.start()
    thread.join()
    assert outcomes[0].ending == DONE
