"""What callers see of a task they have sent."""

from __future__ import annotations

import copy
import pickle
import threading
import time
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, states
from fastq.app import current
from fastq.app.context import Context
from fastq.exceptions import TaskRevokedError
from fastq.exceptions import TimeoutError as OutOfTime
from fastq.result import (
    AsyncResult,
    EagerResult,
    RemoteTraceback,
    allow_join_result,
    assert_will_not_block,
    denied_join_result,
    result_from_tuple,
)
from fastq.result import wait as waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 10.0


class Workers:
    """A producer that knows of workers."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = nodes

    def capabilities(self) -> dict[str, Any]:
        return {"native_store": True}

    def workers(self) -> tuple[str, ...]:
        return self.nodes

    def close(self) -> None:
        pass


@pytest.fixture
def app() -> Iterator[FastQ]:
    process = (current._Process.current, current._Process.default)
    yield FastQ("shop", broker="memory://", backend=f"memory://{uuid.uuid4().hex}")
    current._Process.current, current._Process.default = process
    current._current.set(None)


@pytest.fixture
def result(app: FastQ) -> AsyncResult[Any]:
    return app.AsyncResult("id-1")


@pytest.fixture
def inside_a_task() -> Iterator[None]:
    before = waiting._Guard.running
    waiting.deny_joins_while(lambda: True)
    yield
    waiting._Guard.running = before


def end(result: AsyncResult[Any], value: Any = 5, state: str = states.SUCCESS, **options: Any) -> None:
    result.backend.store_result(result.id, value, state, **options)


# Reading


def test_nothing_is_known_at_first(result: AsyncResult[Any]) -> None:
    assert (result.state, result.status, result.result, result.info) == ("PENDING", "PENDING", None, None)
    assert (result.ready(), result.successful(), result.failed(), result.exists()) == (False, False, False, False)
    assert (result.traceback, result.date_done, result.children, result.name) == (None, None, None, None)


def test_what_a_task_returned(result: AsyncResult[Any]) -> None:
    end(result)
    assert (result.get(), result.wait(), result.state, result.result) == (5, 5, "SUCCESS", 5)
    assert (result.ready(), result.successful(), result.failed(), result.exists()) == (True, True, False, True)
    done = result.date_done
    assert done is not None
    assert abs((datetime.now(timezone.utc) - done).total_seconds()) < LIMIT


def test_progress_is_read_as_info(result: AsyncResult[Any]) -> None:
    end(result, {"percent": 50}, "PROGRESS")
    assert (result.state, result.info, result.ready()) == ("PROGRESS", {"percent": 50}, False)
    end(result, {"percent": 80}, "PROGRESS")
    assert result.info == {"percent": 80}


def test_extended_results_tell_of_the_call(app: FastQ, result: AsyncResult[Any]) -> None:
    app.conf.result_extended = True
    request = Context(
        task="shop.add", args=[1], kwargs={}, hostname="w@h", retries=1, delivery_info={"routing_key": "q"}
    )
    end(result, request=request)
    told = (result.name, result.args, result.kwargs, result.worker, result.retries, result.queue)
    assert told == ("shop.add", [1], {}, "w@h", 1, "q")


def test_what_has_ended_is_asked_for_once(result: AsyncResult[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    end(result)
    assert result.ready()
    monkeypatch.setattr(result.backend, "load", None)
    monkeypatch.setattr(result.backend, "wait", None)
    assert (result.state, result.get()) == ("SUCCESS", 5)


def test_a_forgotten_result_is_pending_again(app: FastQ) -> None:
    parent = app.AsyncResult("parent")
    result = app.AsyncResult("id-1", parent=parent)
    end(result)
    end(parent)
    assert result.get() == 5
    result.forget()
    assert (result.state, parent.state) == ("PENDING", "PENDING")


# Raising


def test_get_raises_what_the_task_raised_and_shows_where(result: AsyncResult[Any]) -> None:
    end(result, KeyError("sku"), states.FAILURE, traceback="Traceback of the worker")
    with pytest.raises(KeyError, match="sku") as caught:
        result.get()
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "Traceback of the worker" in str(caught.value.__cause__)
    assert isinstance(result.get(propagate=False), KeyError)
    assert result.failed()
    with pytest.raises(KeyError):
        result.maybe_throw()
    assert isinstance(result.maybe_throw(propagate=False), KeyError)


def test_a_revoked_task_raises_too(result: AsyncResult[Any]) -> None:
    end(result, TaskRevokedError("terminated"), states.REVOKED)
    with pytest.raises(TaskRevokedError):
        result.get()


def test_a_retry_is_not_raised(result: AsyncResult[Any]) -> None:
    end(result, OSError("gone"), states.RETRY)
    assert isinstance(result.result, OSError)
    assert isinstance(result.maybe_throw(), OSError)
    assert not result.ready()


def test_a_failed_parent_is_raised_instead_of_waiting_for_ever(app: FastQ) -> None:
    parent = app.AsyncResult("first")
    result = app.AsyncResult("second", parent=app.AsyncResult("middle", parent=parent))
    end(parent, ValueError("first failed"), states.FAILURE)
    with pytest.raises(ValueError, match="first failed"):
        result.get(timeout=LIMIT)
    with pytest.raises(OutOfTime):
        result.get(timeout=0.01, follow_parents=False)


# Waiting


def test_get_is_woken_when_the_task_ends(result: AsyncResult[Any]) -> None:
    threading.Timer(0.02, end, [result]).start()
    assert result.get(timeout=LIMIT) == 5


def test_a_callback_gets_id_and_value(result: AsyncResult[Any]) -> None:
    seen: list[Any] = []
    end(result)
    result.get(callback=lambda *args: seen.append(args))
    result.get(propagate=False, callback=lambda *args: seen.append(args))
    assert seen == [("id-1", 5)] * 2


def test_on_interval_is_called_while_waiting(result: AsyncResult[Any]) -> None:
    calls: list[int] = []

    def on_interval() -> None:
        calls.append(1)
        if len(calls) == 3:
            end(result)

    assert result.get(timeout=LIMIT, interval=0.001, on_interval=on_interval) == 5
    assert len(calls) == 3


def test_what_on_interval_raises_ends_the_wait(result: AsyncResult[Any]) -> None:
    def on_interval() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        result.get(interval=0.001, on_interval=on_interval)


def test_on_message_is_told_of_each_state(result: AsyncResult[Any]) -> None:
    seen: list[Any] = []
    end(result, {"percent": 50}, "PROGRESS")

    def on_message(meta: Any) -> None:
        seen.append((meta["status"], meta["result"]))
        if meta["status"] == "PROGRESS":
            end(result)

    assert result.get(timeout=LIMIT, interval=0.001, on_message=on_message) == 5
    assert seen == [("PROGRESS", {"percent": 50}), ("SUCCESS", 5)]


def test_out_of_time_says_which_task_and_in_what_state(app: FastQ, result: AsyncResult[Any]) -> None:
    app.producer = Workers("w@h")  # type: ignore[assignment]
    begun = time.monotonic()
    with pytest.raises(OutOfTime, match=r"Task id-1 has not ended within 0.02 s: its state is PENDING\.$"):
        result.get(timeout=0.02)
    assert 0.02 <= time.monotonic() - begun < LIMIT
    end(result, {}, "STARTED")
    with pytest.raises(OutOfTime, match="its state is STARTED"):
        result.get(timeout=0)


def test_out_of_time_says_so_when_nobody_listens(app: FastQ, result: AsyncResult[Any]) -> None:
    app.producer = Workers()  # type: ignore[assignment]
    with pytest.raises(OutOfTime, match=r"and no worker is running\. Start one with `fastq -A APP worker`"):
        result.get(timeout=0)


def test_the_hint_is_no_error_of_its_own(app: FastQ, result: AsyncResult[Any]) -> None:
    app.producer = object()  # type: ignore[assignment]
    with pytest.raises(OutOfTime, match=r"PENDING\.$"):
        result.get(timeout=0)


def test_the_time_out_is_pythons_too(result: AsyncResult[Any]) -> None:
    with pytest.raises(TimeoutError, match="no worker is running"):
        result.get(timeout=0)


def test_ctrl_c_ends_a_wait(result: AsyncResult[Any]) -> None:
    import os
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            result.get(timeout=LIMIT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_result_is_none_at_once(result: AsyncResult[Any]) -> None:
    result.ignored = True
    assert result.get() is None


@pytest.mark.usefixtures("inside_a_task")
def test_waiting_inside_a_task_is_refused(result: AsyncResult[Any]) -> None:
    end(result)
    with pytest.raises(RuntimeError, match="Never wait for a result inside a task"):
        result.get()
    assert result.get(disable_sync_subtasks=False) == 5
    with allow_join_result():
        assert result.get() == 5
        with denied_join_result(), pytest.raises(RuntimeError):
            assert_will_not_block()
    with pytest.raises(RuntimeError):
        assert_will_not_block()


def test_waiting_can_be_refused_anywhere(result: AsyncResult[Any]) -> None:
    assert_will_not_block()
    with denied_join_result(), pytest.raises(RuntimeError):
        result.get()


# Identity


def test_results_are_equal_by_id(app: FastQ) -> None:
    one, other = app.AsyncResult("a"), app.AsyncResult("b")
    same: AsyncResult[Any] = AsyncResult("a")
    assert one == same == "a"
    assert one != other
    assert one != 5
    assert len({one, same, other}) == 2
    assert (str(one), repr(one), one.task_id) == ("a", "<AsyncResult: a>", "a")


def test_a_result_needs_an_id() -> None:
    with pytest.raises(ValueError, match="needs the id"):
        AsyncResult("")


def test_copies_and_pickles_refer_to_the_same_task(app: FastQ) -> None:
    parent = app.AsyncResult("parent")
    result = app.AsyncResult("a", task_name="shop.add", parent=parent)
    end(result)
    for again in (copy.copy(result), pickle.loads(pickle.dumps(result))):
        assert (again.id, again.name, again.parent, again.get(timeout=1)) == ("a", "shop.add", parent, 5)


def test_results_become_tuples_and_come_back(app: FastQ) -> None:
    result = app.AsyncResult("a", parent=app.AsyncResult("b"))
    assert result.as_tuple() == (("a", (("b", None), None)), None)
    assert result.as_list() == ["a", "b"]
    again = result_from_tuple([["a", [["b", None], None]], None], app)
    assert again.as_list() == ["a", "b"]
    with pytest.raises(ValueError, match="no stored result"):
        result_from_tuple([1], app)


def test_a_group_among_the_children_is_one_result(app: FastQ, result: AsyncResult[Any]) -> None:
    request = Context(children=[app.AsyncResult("a"), Grouped()])
    end(result, request=request)
    children = result.children or []
    assert [child.id for child in children] == ["a", "group"]
    assert [member.id for member in children[1].children] == ["b", "c"]


class Grouped:
    """A result of several tasks, as a Celery worker stores it."""

    def as_tuple(self) -> Any:
        return ("group", None), [(("b", None), None), (("c", None), None)]


def test_a_returned_result_is_stored_as_its_tuple(app: FastQ, result: AsyncResult[Any]) -> None:
    end(result, app.AsyncResult("other"))
    assert result_from_tuple(result.get(), app) == "other"


# Eager


def test_an_eager_result_is_there_already() -> None:
    result: EagerResult[int] = EagerResult("a", 5, states.SUCCESS, name="shop.add")
    assert (result.get(), result.state, result.ready(), result.name, result.exists()) == (
        5,
        "SUCCESS",
        True,
        "shop.add",
        True,
    )
    result.forget()
    again = pickle.loads(pickle.dumps(result))
    assert (again.get(), again.id, copy.copy(result).get()) == (5, "a", 5)


@pytest.mark.usefixtures("inside_a_task")
def test_an_eager_result_may_be_asked_for_inside_a_task() -> None:
    assert EagerResult("a", 5, states.SUCCESS).get() == 5


def test_an_eager_result_raises_what_the_task_raised() -> None:
    result: EagerResult[None] = EagerResult("a", KeyError("x"), states.FAILURE, traceback="where")
    with pytest.raises(KeyError):
        result.get()
    assert isinstance(result.get(propagate=False), KeyError)
    assert result.traceback == "where"


@pytest.mark.parametrize("option", ["timeout", "interval"])
def test_a_time_that_is_none_is_refused(app: FastQ, option: str) -> None:
    with pytest.raises(TypeError, match=f"The option {option} must be a number of seconds.*; not 'x'"):
        AsyncResult("id-1", app=app).get(**{option: "x"})
    with pytest.raises(ValueError, match=f"The option {option} must be a number of seconds.*; not nan"):
        AsyncResult("id-1", app=app).get(**{option: float("nan")})


def test_an_id_is_text_or_a_uuid(app: FastQ) -> None:
    task_id = uuid.uuid4()

    assert AsyncResult(task_id, app=app).id == str(task_id)
    with pytest.raises(TypeError, match="must be text or a UUID; not 5"):
        AsyncResult(5, app=app)  # type: ignore[arg-type]
