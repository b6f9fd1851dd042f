"""Tasks that are run here and now."""

from __future__ import annotations

from typing import Any

import pytest

from fastq import FastQ, states
from fastq.app.task import Task
from fastq.exceptions import Ignore


def test_apply_runs_the_task_and_has_its_result(app: FastQ) -> None:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    result = add.apply((1,), {"y": 2}, task_id="mine")
    assert (result.id, result.get(), result.state, result.name) == ("mine", 3, states.SUCCESS, add.name)
    assert result.ready()
    assert result.successful()


def test_what_a_task_raises_is_kept_or_thrown(app: FastQ) -> None:
    @app.task
    def work() -> None:
        raise KeyError("a")

    result = work.apply()
    assert (result.state, type(result.result)) == (states.FAILURE, KeyError)
    assert 'raise KeyError("a")' in (result.traceback or "")
    with pytest.raises(KeyError):
        result.get()
    with pytest.raises(KeyError):
        work.apply(throw=True)
    app.conf.task_eager_propagates = True
    with pytest.raises(KeyError):
        work.apply()
    assert work.apply(throw=False).failed()


def test_a_retry_runs_again_at_once(app: FastQ) -> None:
    tries = []

    @app.task(bind=True, max_retries=3)
    def work(self: Any, x: int) -> int:
        tries.append((self.request.retries, self.request.id, x))
        if len(tries) < 3:
            raise self.retry(args=(x + 1,), countdown=1000)
        return x

    result = work.apply((1,), task_id="mine", throw=True)
    assert result.get() == 3
    assert tries == [(0, "mine", 1), (1, "mine", 2), (2, "mine", 3)]


def test_too_many_retries_fail(app: FastQ) -> None:
    @app.task(autoretry_for=(OSError,), max_retries=2, retry_backoff=True)
    def work() -> None:
        raise OSError("gone")

    assert isinstance(work.apply().result, OSError)


def test_the_run_knows_that_it_is_eager(app: FastQ) -> None:
    @app.task(bind=True)
    def work(self: Any) -> list[Any]:
        request = self.request
        return [request.is_eager, request.called_directly, request.delivery_info["is_eager"], request.tenant]

    assert work.apply(headers={"tenant": "acme"}).get() == [True, False, True, "acme"]


def test_hooks_are_called(app: FastQ) -> None:
    steps: list[str] = []

    class Traced(Task[..., Any]):
        def before_start(self, *args: Any) -> None:
            steps.append("before_start")

        def on_failure(self, *args: Any) -> None:
            steps.append("on_failure")

        def after_return(self, *args: Any) -> None:
            steps.append("after_return")

    @app.task(base=Traced)
    def work() -> None:
        raise ValueError

    work.apply()
    assert steps == ["before_start", "on_failure", "after_return"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_process_is_let_through(app: FastQ, error: type[BaseException]) -> None:
    @app.task
    def work() -> None:
        raise error

    with pytest.raises(error):
        work.apply()


def test_an_ignored_run_has_that_state(app: FastQ) -> None:
    @app.task
    def work() -> None:
        raise Ignore

    result = work.apply()
    assert (result.state, result.get()) == (states.IGNORED, None)


def test_results_are_stored_only_when_asked_for(app: FastQ) -> None:
    @app.task
    def work() -> int:
        return 5

    @app.task(store_eager_result=True)
    def kept(fail: bool) -> int:
        if fail:
            raise ValueError("no")
        return 5

    assert app.AsyncResult(work.apply().id).state == states.PENDING
    assert app.AsyncResult(kept.apply((False,)).id).get(timeout=1) == 5
    assert app.AsyncResult(kept.apply((True,)).id).state == states.FAILURE


def test_with_always_eager_a_whole_workflow_runs_here(app: FastQ) -> None:
    app.conf.task_always_eager = True
    seen: list[Any] = []

    @app.task
    def add(x: int, y: int) -> int:
        if x < 0:
            raise ValueError("negative")
        return x + y

    @app.task
    def note(value: Any, extra: str) -> None:
        seen.append((value, extra))

    @app.task
    def failed(request: Any, exc: BaseException, traceback: str) -> None:
        seen.append((request.id, repr(exc)))

    result = add.apply_async((2, 3), link=note.s("linked"))
    assert result.get() == 5
    assert seen == [(5, "linked")]
    failing = add.apply_async((-1, 3), link_error=failed.s())
    assert seen[1:] == [(failing.id, "ValueError('negative')")]
    with pytest.raises(ValueError, match="negative"):
        failing.get()


def test_an_eager_run_inside_a_task_may_be_waited_for(app: FastQ) -> None:
    @app.task
    def inner() -> int:
        return 1

    @app.task
    def outer() -> int:
        return inner.apply().get() + 1

    assert outer.apply().get() == 2
