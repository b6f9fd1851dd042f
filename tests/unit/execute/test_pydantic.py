"""Tasks whose arguments and results pydantic validates."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import Any, Optional

import pytest
from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

from fastq import FastQ
from fastq._seam import DONE, FAILED, RETRIED
from fastq.exceptions import ImproperlyConfigured
from tests.unit.execute.conftest import Bench


class Order(BaseModel):
    number: int
    at: datetime | None = None


class Paid(BaseModel):
    order: Order
    sums: list[int] = []


class Checked(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _known(cls, value: str, info: ValidationInfo) -> str:
        if value not in (info.context or {}).get("names", [value]):
            raise ValueError("nobody of that name")
        return value


class Shown(BaseModel):
    at: datetime
    empty: str | None = None


MOMENT = datetime(2030, 1, 2, tzinfo=timezone.utc)


def test_a_dictionary_becomes_the_model_that_the_task_takes(app: FastQ, bench: Bench) -> None:
    @app.task(pydantic=True)
    def pay(order: Order, maybe: Optional[Order] = None, *more: Order, times: int = 1, **named: Order) -> Paid:  # noqa: UP045
        assert all(isinstance(one, Order) for one in (order, *more, *named.values()))
        return Paid(order=order, sums=[times, len(more), len(named), 0 if maybe is None else maybe.number])

    keywords = {"times": 3, "last": {"number": 4}}
    outcome = bench.run(pay, {"number": 1, "at": MOMENT.isoformat()}, {"number": 9}, {"number": 2}, kwargs=keywords)
    assert outcome.ending == DONE
    assert bench.meta(outcome)["result"] == {
        "order": {"number": 1, "at": "2030-01-02T00:00:00Z"},
        "sums": [3, 1, 1, 9],
    }


def test_what_the_caller_gives_may_be_models(app: FastQ) -> None:
    seen: list[Any] = []

    @app.task(pydantic=True, bind=True)
    def pay(self: Any, order: Order) -> list[Order]:
        seen.append((self.name, order))
        return [order]

    app.conf.task_always_eager = True
    result = pay.delay(Order(number=1, at=MOMENT))
    assert seen == [(pay.name, Order(number=1, at=MOMENT))]
    assert result.get() == [{"number": 1, "at": "2030-01-02T00:00:00Z"}]
    assert pay(Order(number=2)) == [{"number": 2, "at": None}]


@pytest.mark.parametrize("arguments", [({"number": "many"},), ("text",), (None,)])
def test_what_does_not_fit_fails_the_task_before_it_begins(
    app: FastQ, bench: Bench, arguments: tuple[Any, ...]
) -> None:
    ran: list[Any] = []

    @app.task(name="pay", pydantic=True, autoretry_for=(Exception,), bind=True)
    def pay(self: Any, order: Order) -> None:
        ran.append(order)

    outcome = bench.run(pay, *arguments)
    assert (outcome.ending, ran) == (FAILED, [])
    assert "for the argument order of pay" in outcome.reason
    stored = bench.meta(outcome)
    assert stored["status"] == "FAILURE"
    assert "validation error" in str(stored["result"])
    assert "validation error" in stored["traceback"]


def test_a_result_that_is_not_what_was_promised_fails_it(app: FastQ, bench: Bench) -> None:
    @app.task(pydantic=True, autoretry_for=(ValueError,))
    def count() -> int:
        return "many"  # type: ignore[return-value]

    outcome = bench.run(count)
    assert outcome.ending == FAILED
    assert f"the result of {count.name}" in outcome.reason


def test_errors_of_the_task_itself_are_retried(app: FastQ, bench: Bench) -> None:
    @app.task(pydantic=True, autoretry_for=(Exception,), bind=True)
    def parse(self: Any, order: Order) -> None:
        Order.model_validate({"number": "of an answer from elsewhere"})

    @app.task(pydantic=True, autoretry_for=(KeyError,))
    async def fetch(order: Order) -> None:
        raise KeyError("away")

    for task in (parse, fetch):
        outcome = bench.run(task, {"number": 1})
        assert outcome.ending == RETRIED
        ((_, body),) = bench.messages(outcome)
        assert body[0] == [{"number": 1}], "the next try gets what this one got"


def test_an_argument_is_tried_again_where_that_is_asked_for_by_name(app: FastQ, bench: Bench) -> None:
    @app.task(pydantic=True, autoretry_for=(ValidationError,))
    def pay(order: Order) -> None: ...

    assert bench.run(pay, "text").ending == RETRIED


def test_strictness_context_and_form_are_options(app: FastQ, bench: Bench) -> None:
    @app.task(name="strict", pydantic=True, pydantic_strict=True)
    def strict(count: int) -> int:
        return count

    @app.task(name="known", pydantic=True, pydantic_context={"names": ["Ann"]})
    def known(who: Checked) -> str:
        return who.name

    @app.task(name="shown", pydantic=True, pydantic_dump_kwargs={"exclude_none": True, "mode": "python"})
    def shown() -> Shown:
        return Shown(at=MOMENT)

    assert [bench.run(strict, value).ending for value in (1, "1")] == [DONE, FAILED]
    assert bench.run(known, {"name": "Ann"}).ending == DONE
    assert "nobody of that name" in bench.run(known, {"name": "Bob"}).reason
    assert bench.meta(bench.run(shown))["result"] == {"at": MOMENT}


def test_what_has_no_annotation_stays_as_it_is(app: FastQ, bench: Bench) -> None:
    @app.task(pydantic=True)
    def work(x, y: Any = None):  # type: ignore[no-untyped-def]
        return {"order": Order(number=x), "at": MOMENT, "all": (y,)}

    stored = bench.meta(bench.run(work, 5, "y"))["result"]
    assert stored == {"order": {"number": 5, "at": None}, "at": MOMENT, "all": ["y"]}


def test_calls_are_checked_as_ever(app: FastQ) -> None:
    @app.task(name="pay", pydantic=True)
    def pay(order: Order) -> None: ...

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        pay.delay()


def test_an_annotation_that_means_nothing_is_said(app: FastQ, bench: Bench) -> None:
    class Strange: ...

    @app.task(name="odd", pydantic=True)
    def odd(x: Strange) -> None: ...

    odd.__wrapped__.__annotations__["x"] = Strange  # a local name cannot be looked up
    outcome = bench.run(odd, 1)
    assert outcome.ending == FAILED
    assert "Task odd: its annotations cannot be used by pydantic" in outcome.reason


def test_without_the_package_the_error_names_the_extra(app: FastQ, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ImproperlyConfigured, match=r"Task pay: .*fastq-tasks\[pydantic\]"):

        @app.task(name="pay", pydantic=True)
        def pay() -> None: ...
