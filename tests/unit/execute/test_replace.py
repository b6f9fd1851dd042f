"""Runs that end by another task."""

from __future__ import annotations

from typing import Any

import pytest

from fastq import FastQ, signature
from fastq._seam import DONE, FAILED, IGNORED
from fastq.exceptions import Ignore, ImproperlyConfigured
from tests.unit.execute.conftest import Bench


@pytest.fixture
def work(app: FastQ) -> Any:
    @app.task(name="shop.other")
    def other(x: int, y: int = 0) -> int:
        if x < 0:
            raise KeyError("below zero")
        return x + y

    @app.task(name="shop.work", bind=True)
    def work(self: Any, x: int) -> Any:
        return self.replace(other.s(x, y=2).set(queue="slow"))

    return work


def test_the_other_task_takes_over_the_id_the_family_and_what_follows(app: FastQ, bench: Bench, work: Any) -> None:
    callback, errback, step = (dict(signature(f"shop.{name}", app=app)) for name in ("back", "err", "step"))
    embed = {"callbacks": [callback], "errbacks": [errback], "chain": [step]}
    known = {"root_id": "r", "group": "g", "group_index": 3, "replaced_task_nesting": 1}
    outcome = bench.run(work, 1, embed=embed, headers=known)
    assert (outcome.ending, outcome.records) == (IGNORED, ())
    ((headers, body),) = bench.messages(outcome)
    assert (headers["task"], headers["id"], headers["root_id"]) == ("shop.other", "id-1", "r")
    assert (headers["group"], headers["group_index"], headers["replaced_task_nesting"]) == ("g", 3, 2)
    assert outcome.messages[0].route.routing_key == "slow"
    assert body[:2] == [[1], {"y": 2}]
    followers = {key: [one["task"] for one in body[2][key]] for key in ("callbacks", "errbacks", "chain")}
    assert followers == {"callbacks": ["shop.back"], "errbacks": ["shop.err"], "chain": ["shop.step"]}


def test_what_the_signature_has_of_its_own_stays(app: FastQ, bench: Bench) -> None:
    @app.task(name="shop.work", bind=True)
    def work(self: Any) -> Any:
        own = signature("shop.other", (1,), app=app).on_error(signature("shop.own_error", app=app))
        own.link(signature("shop.own", app=app))
        return self.replace(dict(own))

    outcome = bench.run(work, embed={"callbacks": [dict(signature("shop.back", app=app))]})
    ((_, body),) = bench.messages(outcome)
    assert [one["task"] for one in body[2]["callbacks"]] == ["shop.own", "shop.back"]
    assert [one["task"] for one in body[2]["errbacks"]] == ["shop.own_error"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"options": {"chord": {"task": "x"}}}, ImproperlyConfigured),
        ({"task": "celery.chain", "kwargs": {"tasks": []}, "subtask_type": "chain"}, ImproperlyConfigured),
    ],
)
def test_what_cannot_take_its_place_fails_the_task(
    app: FastQ, bench: Bench, change: dict[str, Any], error: type[Exception]
) -> None:
    @app.task(name="shop.work", bind=True)
    def work(self: Any) -> Any:
        return self.replace({**signature("shop.other", app=app), **change})

    outcome = bench.run(work)
    assert outcome.ending == FAILED
    assert isinstance(bench.meta(outcome)["result"], error)


def test_an_eager_run_goes_on_with_what_the_other_returns(app: FastQ, work: Any) -> None:
    seen: list[Any] = []

    @app.task(name="shop.seen")
    def note(value: Any) -> None:
        seen.append(value)

    app.conf.task_always_eager = True
    assert work.apply((1,), link=note.s()).get() == 3
    assert work(4) == 6
    assert seen == [3], "what follows follows once"
    assert work.apply((-1,)).failed()


def test_how_a_task_is_replaced_can_be_overridden(app: FastQ, bench: Bench) -> None:
    @app.task(name="shop.work", bind=True)
    def work(self: Any) -> Any:
        return self.replace(signature("shop.other", app=app))

    type(work).on_replace = lambda self, sig: sig["task"]  # type: ignore[method-assign]
    outcome = bench.run(work)
    assert (outcome.ending, bench.meta(outcome)["result"]) == (DONE, "shop.other")


def test_the_control_word_says_what_happened(app: FastQ, work: Any) -> None:
    info = {"exchange": "", "routing_key": "celery", "priority": None, "redelivered": False}
    work.push_request(id="i", called_directly=False, delivery_info=info)
    with pytest.raises(Ignore, match="Replaced by new task"):
        work.replace(signature("shop.other", app=app))
    work.pop_request()


def test_events_of_a_task_are_heard_by_nobody_yet(app: FastQ, bench: Bench) -> None:
    @app.task(name="shop.work", bind=True)
    def work(self: Any) -> int:
        self.send_event("task-uploaded", retry=False, size=5)
        return 1

    assert bench.run(work).ending == DONE
