"""What follows a run: callbacks, errbacks, the next step of a chain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fastq._seam import DONE, FAILED
from fastq.exceptions import Ignore
from fastq.states import FAILURE, IGNORED, SUCCESS

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


def composed(kind: str, **inner: Any) -> dict[str, Any]:
    """Return a signature of several tasks as a message has it."""
    return {**signature(f"celery.{kind}"), "kwargs": inner, "subtask_type": kind}


def test_a_group_follows_with_all_its_members(bench: Bench, add: Any) -> None:
    group = composed("group", tasks=[signature("shop.a", task_id="a"), signature("shop.b", 7, task_id="b")])
    outcome = bench.run(add, 2, 3, embed={"chain": [group]}, headers={"root_id": "root"})
    (first, first_body), (second, second_body) = bench.messages(outcome)
    assert [first["id"], second["id"], first_body[0], second_body[0]] == ["a", "b", [5], [5, 7]]
    assert (first["group"], first["group_index"]) == (second["group"], 0)
    assert second["group_index"] == 1
    assert {first["parent_id"], second["parent_id"]} == {"id-1"}
    assert {first["root_id"], second["root_id"]} == {"root"}
    ((group_id, _), members) = bench.meta(outcome)["children"][0]
    assert (group_id, [member[0][0] for member in members]) == (first["group"], ["a", "b"])


def test_a_chain_among_callbacks_takes_its_steps_along(bench: Bench, add: Any) -> None:
    chain = composed("chain", tasks=[signature("shop.a"), signature("shop.b", 7)])
    ((headers, body),) = bench.messages(bench.run(add, 2, 3, embed={"callbacks": [chain]}))
    assert (headers["task"], body[0], [step["task"] for step in body[2]["chain"]]) == ("shop.a", [5], ["shop.b"])


def test_a_chord_follows_with_its_header_and_is_begun(bench: Bench, add: Any) -> None:
    header = [signature("shop.a", task_id="a"), signature("shop.b", task_id="b")]
    chord = composed("chord", header=header, body=signature("shop.body", task_id="body"), kwargs={})
    outcome = bench.run(add, 2, 3, embed={"chain": [signature("shop.last", task_id="last"), chord]})
    messages = bench.messages(outcome)
    assert [headers["id"] for headers, _ in messages] == ["a", "b"]
    assert [body[2]["chord"]["task"] for _, body in messages] == ["fastq.chord_body"] * 2
    (begun,) = outcome.chords
    body = json.loads(begun.body)["body"]
    assert (begun.group_id, begun.size) == (messages[0][0]["group"], 2)
    assert (body["options"]["task_id"], body["options"]["chain"][0]["task"]) == ("body", "shop.last")


def test_a_failure_fails_every_task_that_will_never_run(bench: Bench, add: Any) -> None:
    group = composed("group", tasks=[signature("shop.a", task_id="a"), signature("shop.b", task_id="b")])
    chord = composed("chord", header=group, body=signature("shop.body", task_id="body"), kwargs={})
    outcome = bench.run(add, -1, 3, embed={"chain": [signature("shop.last", task_id="last"), chord]})
    assert [meta["task_id"] for meta in bench.metas(outcome)] == ["id-1", "last", "a", "b", "body"]
    assert {meta["status"] for meta in bench.metas(outcome)} == {FAILURE}


def test_a_member_of_a_chord_has_a_part_in_it_however_it_ends(bench: Bench, add: Any) -> None:
    @bench.app.task
    def forget() -> None:
        raise Ignore

    headers = {"group": "g", "group_index": 4}
    embed = {"chord": signature("fastq.chord_body", task_id="body")}
    (done,) = bench.run(add, 2, 3, embed=embed, headers=headers).parts
    (failed,) = bench.run(add, -1, 3, embed=embed, headers=headers).parts
    (ignored,) = bench.run(forget, embed=embed, headers=headers).parts
    assert done[:4] == ("g", "id-1", 4, SUCCESS)
    assert json.loads(done.body) == [1, "id-1", SUCCESS, 5]
    assert (done.callback, failed.state, ignored.state) == (b"", FAILURE, IGNORED)


def test_a_part_brings_the_body_along_when_its_message_did(bench: Bench, add: Any) -> None:
    body = signature("shop.body", task_id="body")
    (part,) = bench.run(add, 2, 3, embed={"chord": body}, headers={"group": "g", "group_index": 0}).parts
    assert json.loads(part.callback) == body


def test_a_chain_that_fails_in_a_chord_has_the_part_of_its_last_step(bench: Bench, add: Any) -> None:
    chord = signature("fastq.chord_body", task_id="body")
    last = signature("shop.last", task_id="last", group_id="g", group_index=2, chord=chord)
    (part,) = bench.run(add, -1, 3, embed={"chain": [last, signature("shop.mid", task_id="mid")]}).parts
    assert part[:4] == ("g", "last", 2, FAILURE)


def test_a_result_that_a_callback_cannot_take_is_a_failure(bench: Bench) -> None:
    @bench.app.task
    def work() -> object:
        return object()

    outcome = bench.run(work, embed={"callbacks": [signature("shop.a")]}, ignore_result=True)
    assert (outcome.ending, outcome.messages) == (FAILED, ())
