"""Runs that return, and what is around every run."""

from __future__ import annotations

import logging
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fastq import signals
from fastq._seam import DONE, FAILED, UNDECODABLE
from fastq.app import current
from fastq.app.task import Task
from fastq.backends.memory import MemoryBackend
from fastq.exceptions import EncodeError
from fastq.states import STARTED, SUCCESS
from tests.unit.execute.conftest import Bench

if TYPE_CHECKING:
    from fastq import FastQ


def test_a_result_travels_in_the_outcome(bench: Bench) -> None:
    @bench.app.task
    def add(x: int, y: int) -> int:
        return x + y

    outcome = bench.run(add, 2, kwargs={"y": 3})
    assert (outcome.ending, outcome.messages, outcome.reason) == (DONE, (), "")
    assert [(record.task_id, record.state) for record in outcome.records] == [("id-1", SUCCESS)]
    meta = bench.meta(outcome)
    assert meta.pop("date_done").endswith("+00:00")
    assert meta == {"task_id": "id-1", "status": SUCCESS, "result": 5, "traceback": None, "children": []}
    assert bench.stored == []


@pytest.mark.parametrize("headers", [{"group": "g"}, {"parent_id": "p"}, {"x": {"group": None}, "group": "g"}])
def test_group_and_parent_are_told_when_there_are_any(bench: Bench, headers: dict[str, Any]) -> None:
    @bench.app.task
    def work() -> None: ...

    meta = bench.meta(bench.run(work, headers=headers))
    assert (meta.get("group_id"), meta.get("parent_id")) == (headers.get("group"), headers.get("parent_id"))


def test_the_short_way_writes_what_the_long_way_writes(bench: Bench) -> None:
    @bench.app.task
    def echo(value: Any) -> Any:
        return value

    for value in (None, 1, "é\ud83c"[:1], [1.5, None], {"a": True}, float("nan")):
        documents = bench.app.backend.documents
        request = SimpleNamespace(group=None, parent_id=None)
        short = bench.app.backend.decode(documents.success("id-1", value, request, True))
        long = bench.app.backend.decode(documents.write("id-1", value, SUCCESS, None, request))
        short.pop("date_done"), long.pop("date_done")
        assert repr(short) == repr(long)


def test_a_result_that_does_not_matter_is_not_stored(bench: Bench) -> None:
    @bench.app.task(track_started=True)
    def work() -> object:
        return object()

    outcome = bench.run(work, ignore_result=True)
    assert (outcome.ending, outcome.records) == (DONE, ())
    assert bench.stored == []


def test_a_result_that_cannot_be_written_is_a_failure(bench: Bench) -> None:
    @bench.app.task
    def work() -> object:
        return SimpleNamespace(a=1)

    outcome = bench.run(work, embed={"callbacks": [{"task": "next", "args": [], "kwargs": {}, "options": {}}]})
    assert outcome.ending == FAILED
    assert outcome.messages == ()
    assert isinstance(bench.meta(outcome)["result"], EncodeError)


def test_the_log_says_in_one_line_what_cannot_be_written(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    @bench.app.task(name="shop.look")
    def look() -> object:
        return {"when": {1, 2}}

    bench.run(look)
    (record,) = caplog.records
    assert record.exc_info is None
    assert "Task shop.look returned a dict that cannot be stored: Object of type set is not JSON" in record.message
    assert "['when']" in record.message


def test_the_log_shows_code_only_where_the_tasks_own_was_reached(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    @bench.app.task
    def work(x: int) -> int:
        return x // 0

    bench.run(work)
    bench.run(work, 1)
    wrong_call, failed = caplog.records
    assert "missing 1 required positional argument" in wrong_call.message
    assert wrong_call.exc_info is None
    assert failed.exc_info is not None


def test_a_tracked_start_is_stored_before_the_code_runs(bench: Bench) -> None:
    seen = []

    @bench.app.task(track_started=True)
    def work() -> None:
        seen.extend(bench.stored)

    bench.run(work)
    (record,) = seen
    assert record.state == STARTED
    assert bench.app.backend.decode(record)["result"]["hostname"] == "w@host"


def test_progress_goes_to_the_core_while_the_task_runs(bench: Bench) -> None:
    @bench.app.task(bind=True)
    def work(self: Any) -> None:
        self.update_state(state="PROGRESS", meta={"percent": 50})

    bench.run(work)
    (record,) = bench.stored
    assert (record.task_id, record.state) == ("id-1", "PROGRESS")
    assert bench.app.backend.decode(record)["result"] == {"percent": 50}


def test_results_of_a_backend_in_python_are_saved_before_the_run_is_reported(bench: Bench) -> None:
    backend = MemoryBackend(bench.app, "cache+memory://")

    @bench.app.task
    def work() -> int:
        return 5

    work.backend = backend
    outcome = bench.run(work)
    assert (outcome.ending, outcome.records) == (DONE, ())
    assert backend.get_result("id-1") == 5
    backend.forget(["id-1"])


def test_hooks_signals_and_stores_come_in_order(bench: Bench, heard: list[Any]) -> None:
    steps: list[str] = []

    class Traced(Task[..., Any]):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            steps.append(f"before_start {task_id} {args} {kwargs} after {heard[-1][0]}")

        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            steps.append(f"on_success {retval}")

        def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            steps.append(f"after_return {status} {retval} {einfo} after {heard[-1][0]}")

    @bench.app.task(base=Traced)
    def add(x: int, y: int) -> int:
        steps.append("run")
        return x + y

    bench.run(add, 1, kwargs={"y": 2})
    assert steps == [
        "before_start id-1 [1] {'y': 2} after task_prerun",
        "run",
        "on_success 3",
        "after_return SUCCESS 3 None after task_success",
    ]
    assert [name for name, _ in heard] == ["task_prerun", "task_success", "task_postrun"]
    _, postrun = heard[-1]
    assert (postrun["sender"], postrun["task_id"], postrun["state"], postrun["retval"]) == (add, "id-1", SUCCESS, 3)


def test_what_hooks_raise_is_logged_and_changes_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Careless(Task[..., Any]):
        def on_success(self, *args: Any) -> None:
            raise RuntimeError("in the hook")

        def after_return(self, *args: Any) -> None:
            raise RuntimeError("in the hook")

    @bench.app.task(base=Careless)
    def work() -> int:
        return 1

    assert bench.run(work).ending == DONE
    assert [record.message for record in caplog.records] == [
        f"The hook {hook} of task {work.name}[id-1] raised." for hook in ("on_success", "after_return")
    ]


def test_the_request_tells_all_of_the_run(bench: Bench) -> None:
    seen: dict[str, Any] = {}

    @bench.app.task(bind=True)
    def work(self: Any, x: int) -> None:
        names = ("id", "args", "retries", "hostname", "tenant", "delivery_info", "is_eager", "called_directly")
        seen.update({name: getattr(self.request, name) for name in names}, current=current.get_current_task() is self)

    outcome = bench.run(work, 7, headers={"retries": 2, "tenant": "acme"}, priority=5, redelivered=True)
    assert outcome.ending == DONE
    assert seen == {
        "id": "id-1",
        "args": [7],
        "retries": 2,
        "hostname": "w@host",
        "tenant": "acme",
        "delivery_info": {"exchange": "", "routing_key": "celery", "priority": 5, "redelivered": True},
        "is_eager": False,
        "called_directly": False,
        "current": True,
    }


def test_a_call_method_of_the_tasks_own_is_honoured(bench: Bench) -> None:
    class Wrapped(Task[..., Any]):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return ["wrapped", self.run(*args, **kwargs)]

    @bench.app.task(base=Wrapped)
    def work(x: int) -> int:
        return x

    assert bench.meta(bench.run(work, 1))["result"] == ["wrapped", 1]


def test_a_call_method_that_calls_the_one_above_runs_in_the_request_of_the_run(bench: Bench) -> None:
    seen: list[Any] = []

    class Wrapped(Task[..., Any]):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(("call", self.request.id))
            return super().__call__(*args, **kwargs)

    @bench.app.task(base=Wrapped, bind=True)
    def work(self: Any, again: bool) -> Any:
        seen.append(("run", self.request.id, self.request.called_directly))
        if again:
            self(False)
        return self.request.id

    for _ in range(2):
        seen.clear()
        assert bench.meta(bench.run(work, True))["result"] == "id-1"
        # What it calls as a function has a request of its own, though not before it comes to the class above.
        assert seen == [("call", "id-1"), ("run", "id-1", False), ("call", "id-1"), ("run", None, True)]
    assert work.apply((True,)).get() is not None


def test_a_task_that_calls_itself_as_a_function_does_so_in_a_request_of_its_own(bench: Bench) -> None:
    @bench.app.task(bind=True)
    def work(self: Any, again: bool) -> list[Any]:
        return [self.request.id, *(self(False) if again else ())]

    assert bench.meta(bench.run(work, True))["result"] == ["id-1", None]


# Log lines


def test_success_is_logged_only_where_someone_reads_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    @bench.app.task
    def add(x: int, y: int) -> int:
        return x + y

    bench.run(add, 1, 2)
    assert caplog.records == []
    caplog.set_level(logging.INFO, "celery.app.trace")
    bench.run(add, 1, 2, headers={"shadow": "shown"})
    (record,) = caplog.records
    assert re.fullmatch(r"Task shown\[id-1\] succeeded in 0\.\d{6} s: .*", record.message)
    assert record.message.endswith("s: 3")
    assert record.data["return_value"] == "3"  # type: ignore[attr-defined]


def test_a_store_that_fails_is_an_internal_error(
    bench: Bench, heard: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemoryBackend):
        def save(self, records: Any) -> None:
            raise OSError("disk full")

    @bench.app.task
    def work() -> int:
        return 5

    work.backend = Broken(bench.app, "cache+memory://")
    outcome = bench.run(work)
    assert outcome.ending == FAILED
    assert "disk full" in outcome.reason
    assert [name for name, _ in heard] == ["task_prerun", "task_internal_error"]
    assert "CRITICAL" in {record.levelname for record in caplog.records}


def test_backends_that_are_off_store_nothing(app: FastQ) -> None:
    app.conf.result_backend = "disabled://"
    app.backend = None

    @app.task(track_started=True)
    def work() -> object:
        return object()

    outcome = Bench(app).run(work)
    assert (outcome.ending, outcome.records) == (DONE, ())


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_backend_that_cannot_clean_up_changes_nothing(bench: Bench, error: type[BaseException]) -> None:
    class Untidy(MemoryBackend):
        def process_cleanup(self) -> None:
            raise ValueError

    class Abrupt(Task[..., Any]):
        def on_success(self, *args: Any) -> None:
            raise error

    @bench.app.task(base=Abrupt)
    def work() -> int:
        return 5

    work.backend = Untidy(bench.app, "cache+memory://")
    assert bench.run(work).ending == DONE
    work.backend.forget(["id-1"])


def test_a_signal_receiver_that_leaves_does_not_take_the_worker_along(bench: Bench) -> None:
    @bench.app.task
    def work() -> int:
        return 5

    def leave(**_: Any) -> None:
        raise SystemExit

    signals.task_success.connect(leave, sender=work)
    try:
        outcome = bench.run(work)
    finally:
        signals.task_success.disconnect(leave, sender=work)
    assert outcome.ending == FAILED
    assert "SystemExit" in outcome.reason


def test_waiting_for_another_task_is_refused_in_a_worker(bench: Bench) -> None:
    @bench.app.task
    def work() -> Any:
        return bench.app.AsyncResult("other").get(timeout=0)

    error = bench.meta(bench.run(work))["result"]
    assert isinstance(error, RuntimeError)
    assert "Never wait for a result inside a task" in str(error)


def test_a_task_that_cannot_be_run_as_configured_is_set_aside(app: FastQ) -> None:
    @app.task
    def work() -> int:
        return 5

    app.conf.accept_content = ["json", "no-such-format"]
    app.conf.result_accept_content = ["json"]
    bench = Bench(app)
    outcome = bench.run(work)
    assert outcome.ending == UNDECODABLE
    assert "cannot be run" in outcome.reason
    assert "no-such-format" in outcome.reason
