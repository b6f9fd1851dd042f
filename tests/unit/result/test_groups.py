"""Results of several tasks together."""

from __future__ import annotations

import asyncio
import copy
import io
import pickle
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, GroupResult, ResultSet
from fastq.app import current
from fastq.app.context import Context
from fastq.exceptions import IncompleteStream
from fastq.exceptions import TimeoutError as OutOfTime
from fastq.result import result_from_tuple
from fastq.states import FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["memory", "cache+memory"])
def app(request: pytest.FixtureRequest) -> Iterator[FastQ]:
    process = (current._Process.current, current._Process.default)
    made = FastQ("shop", broker="memory://", backend=f"{request.param}://{uuid.uuid4().hex}")
    yield made
    made.close()
    current._Process.current, current._Process.default = process
    current._current.set(None)


@pytest.fixture
def many(app: FastQ) -> GroupResult[Any]:
    """Return the result of a group with a group in it: a, [b, c], d."""
    own = uuid.uuid4().hex
    made = {name: app.AsyncResult(f"{name}-{own}") for name in "abcd"}
    inner = app.GroupResult(f"inner-{own}", [made["b"], made["c"]])
    return app.GroupResult(f"outer-{own}", [made["a"], inner, made["d"]])


def end(result: Any, value: Any = None, state: str = SUCCESS, **options: Any) -> None:
    result.backend.store_result(result.id, value, state, **options)


def end_all(many: Any) -> None:
    a, (b, c), d = many
    for number, result in enumerate((a, b, c, d)):
        end(result, number)


def test_values_stand_in_order_and_in_their_groups(many: Any) -> None:
    end_all(many)
    assert many.get(timeout=5) == [0, [1, 2], 3]
    assert many.join(timeout=5) == many.join_native(timeout=5) == [0, [1, 2], 3]


def test_states_of_several(many: Any) -> None:
    a, (b, c), d = many
    assert (many.ready(), many.waiting(), many.completed_count()) == (False, True, 0)
    end(a, 0)
    end(b, 1)
    assert (many.ready(), many.successful(), many.completed_count()) == (False, False, 1)
    end(c, 2)
    end(d, ValueError("no"), FAILURE)
    assert (many.ready(), many.successful(), many.failed(), many.completed_count()) == (True, False, True, 2)


def test_a_failure_is_raised_as_soon_as_it_is_known(many: Any) -> None:
    end(many[2], ValueError("no"), FAILURE)
    with pytest.raises(ValueError, match="no"):
        many.get(timeout=5)


def test_failures_are_values_when_they_are_not_to_be_raised(many: Any) -> None:
    end_all(many)
    end(many[2], ValueError("no"), FAILURE)
    a, inner, d = app_values = ResultSet([many[0], many[1], many[2]]).get(timeout=5, propagate=False)
    assert (a, inner, d) == tuple(app_values)


def test_waiting_has_a_limit(many: Any) -> None:
    end(many[0])
    with pytest.raises(OutOfTime, match="3 of 4 tasks"):
        many.get(timeout=0.05)
    with pytest.raises(TypeError, match="timeout"):
        many.get(timeout="soon")


def test_who_waits_is_woken_and_told_of_each(many: Any) -> None:
    told: list[Any] = []
    thread = threading.Timer(0.05, end_all, (many,))
    thread.start()
    calls: list[int] = []
    assert many.get(timeout=10, callback=lambda _, value: told.append(value), interval=0.01,
                    on_interval=lambda: calls.append(1)) == [0, [1, 2], 3]  # fmt: skip
    thread.join()
    assert sorted(told) == [0, 1, 2, 3]
    assert calls


def test_results_are_iterated_over_as_they_arrive(many: Any) -> None:
    end_all(many)
    assert sorted(many.iterate(timeout=5)) == [0, 1, 2, 3]
    assert sorted(meta["result"] for _, meta in ResultSet(many.results).iter_native(timeout=5)) == [0, 1, 2, 3]


def test_coroutines_await_them_and_iterate_over_them(app: FastQ, many: Any) -> None:
    async def story() -> Any:
        thread = threading.Timer(0.05, end_all, (many,))
        thread.start()
        arrived = [result.result async for result in many]
        again = app.GroupResult(many.id, result_from_tuple(many.as_tuple(), app).results)
        one = app.AsyncResult(many[0].id)
        return sorted(arrived), await again, await one

    assert asyncio.run(asyncio.wait_for(story(), 20)) == ([0, 1, 2, 3], [0, [1, 2], 3], 0)


def test_a_coroutine_waits_within_a_limit_too(many: Any) -> None:
    async def story() -> None:
        await many.aget(timeout=0.05)

    with pytest.raises(OutOfTime):
        asyncio.run(story())


def test_what_came_before_a_group_and_failed_is_raised(app: FastQ, many: Any) -> None:
    many.parent = app.AsyncResult(f"before-{many.id}")
    end(many.parent, ValueError("before"), FAILURE)
    with pytest.raises(ValueError, match="before"):
        many.get(timeout=5, interval=0.01)


def test_which_results_a_group_has_can_be_saved(app: FastQ, many: Any) -> None:
    assert GroupResult.restore(many.id, app=app) is None
    many.save()
    again = GroupResult.restore(many.id, app=app)
    assert again is not None
    assert (again.id, again.as_tuple()) == (many.id, many.as_tuple())
    end_all(many)
    assert again.get(timeout=5) == [0, [1, 2], 3]
    many.delete()
    assert GroupResult.restore(many.id, app=app) is None


def test_a_set_has_members_that_come_and_go(app: FastQ) -> None:
    a, b = app.AsyncResult("a"), app.AsyncResult("b")
    some = app.ResultSet([a])
    some.add(b)
    some.add(b)
    some.update([a])
    assert (len(some), some[1], list(some)) == (2, b, [a, b])
    some.remove("a")
    some.discard("a")
    assert some.results == [b]
    with pytest.raises(KeyError):
        some.remove("a")
    some.clear()
    assert len(some) == 0


def test_callbacks_are_called_when_it_is_seen_that_all_have_ended(many: Any) -> None:
    told: list[Any] = []
    many.then(told.append)
    many[0].then(lambda result: told.append(result.id))
    end_all(many)
    many.get(timeout=5)
    assert told == [many[0].id, many] or told == [many, many[0].id] or set(map(str, told)) == {many[0].id, many.id}


def test_a_failure_has_a_callback_of_its_own(app: FastQ) -> None:
    told: list[str] = []
    result = app.AsyncResult(uuid.uuid4().hex)
    result.then(lambda _: told.append("well"), on_error=lambda _: told.append("badly"))
    end(result, ValueError("no"), FAILURE)
    result.get(propagate=False, timeout=5)
    assert told == ["badly"]


def test_results_of_groups_are_equal_when_they_are_the_same(app: FastQ, many: Any) -> None:
    again = result_from_tuple(many.as_tuple(), app)
    assert (again, copy.copy(many), pickle.loads(pickle.dumps(many))) == (many, many, many)
    assert (many == many.id, bool(app.GroupResult("", [])), many.as_list()) == (True, False, [many.id])
    assert hash(many) == hash(again)


def test_forgotten_results_are_gone(app: FastQ, many: Any) -> None:
    end_all(many)
    many.forget()
    assert result_from_tuple(many.as_tuple(), app).completed_count() == 0


def test_a_workflow_is_walked_from_its_first_task(app: FastQ) -> None:
    own = uuid.uuid4().hex
    first, left, right = (app.AsyncResult(f"{name}-{own}") for name in ("first", "left", "right"))
    children = app.GroupResult(f"group-{own}", [left, right])
    end(left, 2)
    end(right, 3)
    with pytest.raises(IncompleteStream):
        list(first.iterdeps())
    assert [node for _, node in first.iterdeps(intermediate=True)] == [first]
    end(first, 1, request=Context(children=[children]))

    assert [value for _, value in first.collect()] == [1, [2, 3], 2, 3]
    assert first.get_leaf() == 3
    assert set(first.graph) == {first, children, left, right}
    assert first.graph[first] == [children]
    assert first.graph.topsort()[0] == first
    assert (first.graph.valency_of(first), len(list(first.graph.edges()))) == (4, 2)


def test_a_graph_is_written_for_graphviz(app: FastQ) -> None:
    own = uuid.uuid4().hex
    first, second = (app.AsyncResult(f"{name}-{own}") for name in ("first", "second"))
    end(first, 1, request=Context(children=[second]))
    out = io.StringIO()
    first.build_graph(intermediate=True).to_dot(out)
    text = out.getvalue()
    assert text.startswith("digraph")
    assert f'"{first.id}" -> "{second.id}";' in text
    assert "SUCCESS" in text
    assert "PENDING" in text
