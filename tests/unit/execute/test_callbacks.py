"""What follows a run: callbacks, errbacks, the next step of a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fastq._seam import DONE, FAILED
from fastq.exceptions import NotSupported
from fastq.states import FAILURE, SUCCESS

if TYPE_CHECKING:
    from tests.unit.execute.conftest import Bench


def signature(task: str, *args: Any, immutable: bool = False, **options: Any) -> dict[str, Any]:
    """Return a signature as a message has it."""
    known = {"task": task, "args": list(args), "kwargs": {"k": 1}, "options": options}
    return {**known, "subtask_type": None, "immutable": immutable}


@pytest.fixture
def add(bench: Bench) -> Any:
    @bench.app.task
    def add(x: int, y: int) -> int:
        if x < 0:
            raise ValueError("negative")
        return x + y

    return add


def test_callbacks_get_the_result_before_their_own_arguments(bench: Bench, add: Any) -> None:
    links = [signature("shop.a", 7, task_id="cb-1", queue="fast"), signature("shop.b", immutable=True)]
    outcome = bench.run(add, 2, 3, embed={"callbacks": links}, headers={"root_id": "root"})
    assert outcome.ending == DONE
    (first, first_body), (second, second_body) = bench.messages(outcome)
    assert (first["task"], first["id"], first["parent_id"], first["root_id"]) == ("shop.a", "cb-1", "id-1", "root")
    assert first_body[:2] == [[5, 7], {"k": 1}]
    assert outcome.messages[0].route.routing_key == "fast"
    assert (second["task"], second_body[0]) == ("shop.b", [])
    assert second["id"] not in ("cb-1", "id-1")


def test_what_follows_is_told_as_children_of_the_run(bench: Bench, add: Any) -> None:
    outcome = bench.run(add, 2, 3, embed={"callbacks": [signature("shop.a", task_id="cb-1")]})
    meta = bench.meta(outcome)
    assert (meta["status"], meta["children"]) == (SUCCESS, [[["cb-1", None], None]])


def test_the_next_step_of_a_chain_stands_last_and_takes_the_rest_along(bench: Bench, add: Any) -> None:
    third, second = signature("shop.c", task_id="c-3"), signature("shop.b", 9, task_id="c-2")
    outcome = bench.run(add, 2, 3, embed={"chain": [third, second]})
    ((headers, body),) = bench.messages(outcome)
    assert (headers["task"], headers["id"], body[0]) == ("shop.b", "c-2", [5, 9])
    assert body[2]["chain"] == [third]
    last = bench.run(add, 2, 3, embed={"chain": [third]})
    assert bench.messages(last)[0][1][2]["chain"] == []


def test_links_of_the_next_step_travel_with_it(bench: Bench, add: Any) -> None:
    step = signature("shop.b", task_id="c-2", link=[signature("shop.l")], link_error=[signature("shop.e")])
    ((_, body),) = bench.messages(bench.run(add, 2, 3, embed={"chain": [step]}))
    assert [found["task"] for found in body[2]["callbacks"] + body[2]["errbacks"]] == ["shop.l", "shop.e"]


def test_a_failure_fails_the_rest_of_the_chain_too(bench: Bench, add: Any) -> None:
    chain = [signature("shop.c", task_id="c-3", group_id="g"), signature("shop.b", task_id="c-2"), signature("shop.d")]
    outcome = bench.run(add, -1, 3, embed={"chain": chain, "callbacks": [signature("shop.a")]})
    assert (outcome.ending, outcome.messages) == (FAILED, ())
    metas = bench.metas(outcome)
    assert [(meta["task_id"], meta["status"]) for meta in metas] == [
        ("id-1", FAILURE),
        ("c-3", FAILURE),
        ("c-2", FAILURE),
    ]
    assert all(isinstance(meta["result"], ValueError) for meta in metas)
    assert metas[1]["group_id"] == "g"


def test_an_errback_that_takes_the_exception_is_called_here(bench: Bench, add: Any) -> None:
    called: list[Any] = []

    @bench.app.task
    def report(request: Any, exc: BaseException, traceback: str, extra: str, k: int) -> None:
        called.append((request.id, exc, traceback, extra, k))

    outcome = bench.run(add, -1, 3, embed={"errbacks": [signature(report.name, "more")]})
    assert outcome.messages == ()
    ((task_id, exc, traceback, extra, k),) = called
    assert (task_id, type(exc), extra, k) == ("id-1", ValueError, "more", 1)
    assert "ValueError: negative" in traceback


def test_other_errbacks_are_sent_with_the_id_of_the_failed_task(bench: Bench, add: Any) -> None:
    @bench.app.task
    def by_id(task_id: str, k: int = 0) -> None: ...

    @bench.app.task(bind=True)
    def bound(self: Any, a: Any, b: Any, c: Any) -> None: ...

    names = [by_id.name, bound.name, "elsewhere.unknown"]
    outcome = bench.run(add, -1, 3, embed={"errbacks": [signature(name) for name in names]})
    messages = bench.messages(outcome)
    assert [(headers["task"], headers["parent_id"], body[0]) for headers, body in messages] == [
        (name, "id-1", ["id-1"]) for name in names
    ]


def test_an_errback_that_raises_changes_nothing(bench: Bench, add: Any, caplog: pytest.LogCaptureFixture) -> None:
    @bench.app.task
    def report(request: Any, exc: BaseException, traceback: str, k: int) -> None:
        raise RuntimeError("in the errback")

    outcome = bench.run(add, -1, 3, embed={"errbacks": [signature(report.name)]})
    assert isinstance(bench.meta(outcome)["result"], ValueError)
    assert any("Errback" in record.message for record in caplog.records)


def test_errbacks_are_for_failures_only(bench: Bench, add: Any) -> None:
    assert bench.run(add, 1, 2, embed={"errbacks": [signature("shop.e")]}).messages == ()


@pytest.mark.parametrize(
    "embed",
    [
        {"chord": signature("shop.body", task_id="b")},
        {"callbacks": [{**signature("celery.group"), "subtask_type": "group"}]},
        {"chain": [{**signature("celery.chord"), "subtask_type": "chord"}]},
    ],
)
def test_a_workflow_that_could_not_go_on_is_not_begun(bench: Bench, embed: dict[str, Any]) -> None:
    @bench.app.task
    def work() -> None:
        raise AssertionError("must not run")

    outcome = bench.run(work, embed=embed)
    assert (outcome.ending, outcome.messages) == (FAILED, ())
    error = bench.metas(outcome)[0]["result"]
    assert isinstance(error, NotSupported)
    assert "not supported by this version of fastq" in str(error)
    assert "it was not run" in str(error)


def test_a_result_that_a_callback_cannot_take_is_a_failure(bench: Bench) -> None:
    @bench.app.task
    def work() -> object:
        return object()

    outcome = bench.run(work, embed={"callbacks": [signature("shop.a")]}, ignore_result=True)
    assert (outcome.ending, outcome.messages) == (FAILED, ())
