"""Runs that end otherwise than by returning."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fastq._seam import DONE, FAILED, IGNORED, REJECTED, REQUEUED, RETRIED, Outcome
from fastq.app.task import Task
from fastq.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry, WorkerShutdown
from fastq.states import FAILURE, RETRY

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Bench


def test_a_failure_is_stored_with_its_exception_and_the_users_traceback(bench: Bench) -> None:
    @bench.app.task
    def work(sku: str) -> None:
        raise KeyError(sku, 9)

    outcome = bench.run(work, "sku")
    assert (outcome.ending, outcome.reason) == (FAILED, "KeyError('sku', 9)")
    meta = bench.meta(outcome)
    assert (meta["status"], type(meta["result"]), meta["result"].args) == (FAILURE, KeyError, ("sku", 9))
    assert "raise KeyError(sku, 9)" in meta["traceback"]
    assert "/fastq/execute/" not in meta["traceback"]


def test_wrong_arguments_are_an_ordinary_failure(bench: Bench) -> None:
    @bench.app.task
    def add(x: int, y: int) -> int:
        return x + y

    outcome = bench.run(add, 1)
    assert outcome.ending == FAILED
    assert isinstance(bench.meta(outcome)["result"], TypeError)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), WorkerShutdown(), GeneratorExit()])
def test_what_would_end_a_process_ends_the_task_only(bench: Bench, error: BaseException) -> None:
    @bench.app.task
    def work() -> None:
        if isinstance(error, SystemExit):
            sys.exit(*error.args)
        raise error

    outcome = bench.run(work)
    assert outcome.ending == FAILED
    found = bench.meta(outcome)["result"]
    assert (type(found).__name__, isinstance(found, Exception)) == (
        "SystemExit" if isinstance(error, SystemExit) else type(error).__name__,
        True,
    )

    @bench.app.task
    def after() -> int:
        return 1

    assert bench.run(after).ending == DONE


def test_arguments_of_an_exception_that_cannot_be_written_are_shown(bench: Bench) -> None:
    class Odd:
        def __repr__(self) -> str:
            return "<odd>"

    @bench.app.task
    def work() -> None:
        raise ValueError("why", Odd(), 2.5)

    assert bench.meta(bench.run(work))["result"].args == ("why", "<odd>", 2.5)


def test_an_exception_that_refuses_to_be_shown_is_stored_all_the_same(bench: Bench) -> None:
    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    @bench.app.task
    def work() -> None:
        raise HostileError(1)

    outcome = bench.run(work)
    assert outcome.ending == FAILED
    assert type(bench.meta(outcome)["result"]).__name__.endswith("HostileError")


@pytest.mark.parametrize(("keep", "count"), [(False, 0), (True, 1)])
def test_failures_of_ignored_results_are_stored_only_when_asked_for(bench: Bench, keep: bool, count: int) -> None:
    @bench.app.task(store_errors_even_if_ignored=keep)
    def work() -> None:
        raise ValueError

    outcome = bench.run(work, ignore_result=True)
    assert (outcome.ending, len(outcome.records)) == (FAILED, count)


def test_hooks_and_signals_of_a_failure_come_in_order(
    bench: Bench, heard: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[Any] = []

    class Traced(Task[..., Any]):
        def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            steps.append(("on_failure", exc, task_id, args, kwargs, heard[-1][0], len(caplog.records)))
            assert str(einfo) == einfo.traceback
            assert "ValueError: no" in einfo.traceback
            assert (einfo.type, einfo.exception) == (ValueError, exc)

        def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            steps.append(("after_return", status, retval, heard[-1][0], len(caplog.records)))

    error = ValueError("no")

    @bench.app.task(base=Traced)
    def work(x: int) -> None:
        raise error

    bench.run(work, 1)
    assert steps == [
        ("on_failure", error, "id-1", [1], {}, "task_prerun", 0),
        ("after_return", FAILURE, error, "task_failure", 1),
    ]
    assert [name for name, _ in heard] == ["task_prerun", "task_failure", "task_postrun"]
    failure = heard[1][1]
    assert (failure["sender"], failure["task_id"], failure["exception"], failure["args"]) == (work, "id-1", error, [1])


def test_a_failure_is_logged_with_its_traceback_and_an_expected_one_in_a_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "celery.app.trace")

    @bench.app.task(throws=(KeyError,))
    def work(expected: bool) -> None:
        raise KeyError("a") if expected else ValueError("b")

    bench.run(work, False)
    bench.run(work, True)
    unexpected, expected = caplog.records
    assert (unexpected.levelname, unexpected.message) == (
        "ERROR",
        f"Task {work.name}[id-1] raised unexpected: ValueError('b')",
    )
    assert unexpected.exc_info
    assert (expected.levelname, expected.message) == ("INFO", f"Task {work.name}[id-1] raised expected: KeyError('a')")
    assert not expected.exc_info


def test_a_failing_before_start_hook_is_the_failure_of_the_task(bench: Bench) -> None:
    class Guarded(Task[..., Any]):
        def before_start(self, *args: Any) -> None:
            raise PermissionError("not now")

    @bench.app.task(base=Guarded)
    def work() -> None:
        raise AssertionError

    assert isinstance(bench.meta(bench.run(work))["result"], PermissionError)


# Control words


def test_a_retry_leaves_with_its_next_message(bench: Bench, heard: list[Any]) -> None:
    hooked: list[Any] = []

    class Traced(Task[..., Any]):
        def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            hooked.append((exc, task_id, args))

        def after_return(self, status: str, *args: Any) -> None:
            hooked.append(status)

    @bench.app.task(bind=True, base=Traced, max_retries=5)
    def work(self: Any, x: int) -> None:
        raise self.retry(exc=OSError("gone"), countdown=30)

    outcome = bench.run(work, 7, headers={"retries": 1})
    assert outcome.ending == RETRIED
    meta = bench.meta(outcome)
    assert (meta["status"], type(meta["result"]), meta["date_done"]) == (RETRY, OSError, None)
    ((headers, body),) = bench.messages(outcome)
    assert (headers["id"], headers["retries"], headers["root_id"], body[0]) == ("id-1", 2, "id-1", [7])
    assert headers["eta"]
    assert outcome.messages[0].route.due
    assert isinstance(hooked[0][0], OSError)
    assert hooked[1] == RETRY
    assert [name for name, _ in heard] == ["task_prerun", "task_retry", "task_postrun"]
    assert isinstance(heard[1][1]["reason"], Retry)


def test_the_last_retry_is_a_failure(bench: Bench) -> None:
    @bench.app.task(bind=True, max_retries=1)
    def work(self: Any) -> None:
        self.retry()

    outcome = bench.run(work, headers={"retries": 1})
    assert (outcome.ending, outcome.messages) == (FAILED, ())
    assert isinstance(bench.meta(outcome)["result"], MaxRetriesExceededError)


def test_an_automatic_retry_ends_like_one_that_was_asked_for(bench: Bench) -> None:
    @bench.app.task(autoretry_for=(OSError,), max_retries=2)
    def work() -> None:
        raise OSError("gone")

    assert bench.run(work).ending == RETRIED
    last = bench.run(work, headers={"retries": 2})
    assert last.ending == FAILED
    assert isinstance(bench.meta(last)["result"], OSError)


def test_a_message_asked_for_without_leaving_the_run_follows_it(bench: Bench) -> None:
    @bench.app.task(bind=True)
    def work(self: Any) -> int:
        self.retry(throw=False)
        return 1

    outcome = bench.run(work)
    assert (outcome.ending, len(outcome.messages)) == (DONE, 1)


def test_an_ignored_run_stores_nothing_and_calls_no_hook(bench: Bench, heard: list[Any]) -> None:
    class Traced(Task[..., Any]):
        def after_return(self, *args: Any) -> None:
            raise AssertionError

    @bench.app.task(base=Traced)
    def work() -> None:
        raise Ignore

    outcome = bench.run(work, embed={"callbacks": [{"task": "x"}], "errbacks": [{"task": "x"}]})
    assert outcome == Outcome(IGNORED)
    assert [name for name, _ in heard] == ["task_prerun", "task_postrun"]


@pytest.mark.parametrize(("requeue", "ending", "states"), [(False, REJECTED, [FAILURE]), (True, REQUEUED, [])])
def test_a_rejected_message_is_set_aside_or_goes_back(
    bench: Bench, requeue: bool, ending: int, states: list[str]
) -> None:
    @bench.app.task
    def work() -> None:
        raise Reject("not for me", requeue=requeue)

    outcome = bench.run(work)
    assert (outcome.ending, outcome.reason) == (ending, "not for me")
    assert [record.state for record in outcome.records] == states


def test_no_run_is_left_open_whatever_happens(bench: Bench) -> None:
    @bench.app.task
    def work(how: str) -> None:
        raise {"fail": ValueError, "ignore": Ignore, "reject": Reject, "exit": SystemExit}[how]

    for how in ("fail", "ignore", "reject", "exit"):
        bench.run(work, how)  # the fixture `app` checks the rest
