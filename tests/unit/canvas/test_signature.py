"""Calls as data."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, Signature, maybe_signature, signature
from fastq.exceptions import NotRegistered
from tests.unit.app.conftest import Recorder, StateKept

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def app(recorder: Recorder) -> Iterator[FastQ]:
    with StateKept():
        made = FastQ("shop", broker="memory://", backend="disabled://")
        made.producer = recorder
        yield made


@pytest.fixture
def add(app: FastQ) -> Any:
    @app.task(name="shop.add")
    def add(x: int, y: int) -> int:
        return x + y

    return add


def test_a_signature_is_the_map_of_the_protocol(add: Any) -> None:
    assert add.s(1, y=2).set(queue="slow") == {
        "task": "shop.add",
        "args": (1,),
        "kwargs": {"y": 2},
        "options": {"queue": "slow"},
        "subtask_type": None,
        "immutable": False,
    }
    assert add.si(1, 2)["immutable"] is True
    assert add.signature((1,), {"y": 2}, countdown=3).options == {"countdown": 3}


def test_a_signature_survives_json_and_pickle(add: Any, app: FastQ) -> None:
    original = add.s(1, y=2).set(link=add.s(3))
    again = maybe_signature(json.loads(json.dumps(original)), app)
    assert isinstance(again, Signature)
    assert (again.task, again.args, again.kwargs) == ("shop.add", [1], {"y": 2})
    assert again.options["link"]["args"] == [3]
    assert pickle.loads(pickle.dumps(original)) == original


def test_calling_it_runs_the_task(add: Any) -> None:
    assert add.s(2)(1) == 3
    assert add.s(1, 2)() == 3


def test_arguments_given_later_stand_in_front(add: Any, recorder: Recorder) -> None:
    add.s(2).delay(1)
    assert recorder.last.body[:2] == [[1, 2], {}]
    add.s(1, y=2).delay(y=3)
    assert recorder.last.body[:2] == [[1], {"y": 3}]


def test_an_immutable_one_takes_no_more_arguments(add: Any, recorder: Recorder) -> None:
    add.si(1, 2).delay(9, 9, y=9)
    assert recorder.last.body[:2] == [[1, 2], {}]
    immutable = add.s(1, 2)
    immutable.set(immutable=True)
    assert immutable.immutable


def test_options_given_later_win(add: Any, recorder: Recorder) -> None:
    add.s(1, 2).set(queue="a", priority=1).apply_async(queue="b")
    assert recorder.last.route[:3] == ("", "b", 1)


def test_the_place_in_a_group_is_not_overridden(add: Any, recorder: Recorder) -> None:
    add.s(1, 2).set(group_id="g").apply_async(group_id="other")
    assert recorder.last.headers["group"] == "g"


def test_a_task_that_is_not_known_here_is_sent_by_name(app: FastQ, recorder: Recorder) -> None:
    app.signature("far.away", (1,), queue="q").delay()
    assert (recorder.last.headers["task"], recorder.last.route.routing_key) == ("far.away", "q")
    with pytest.raises(NotRegistered):
        app.signature("far.away")()


def test_a_clone_is_independent(add: Any) -> None:
    original = add.s(1).set(headers={"a": 1})
    clone = original.clone((0,), {"y": 5}, queue="q")
    clone.options["headers"]["a"] = 2
    assert (clone.args, clone.kwargs) == ((0, 1), {"y": 5})
    assert original == add.s(1).set(headers={"a": 1})
    assert copy.copy(original) == original
    assert copy.deepcopy(original) == original
    assert signature(original) is not original


def test_replace_puts_others_in_place(add: Any) -> None:
    original = add.s(1, y=2).set(queue="q")
    assert original.replace(args=(5,)) == add.s(5, y=2).set(queue="q")
    assert original.replace(kwargs={}, options={}) == add.s(1)


def test_freezing_gives_it_its_id(add: Any, recorder: Recorder) -> None:
    frozen = add.s(1, 2)
    result = frozen.freeze(root_id="r", parent_id="p", group_id="g", group_index=1)
    assert frozen.id == result.id == frozen.freeze().id
    assert (frozen.root_id, frozen.parent_id) == ("r", "p")
    frozen.delay()
    headers = recorder.last.headers
    assert (headers["id"], headers["root_id"], headers["parent_id"]) == (result.id, "r", "p")
    assert (headers["group"], headers["group_index"]) == ("g", 1)
    assert frozen.options["reply_to"] == recorder.last.properties["reply_to"]


def test_links_are_kept_once(add: Any) -> None:
    first, second = add.s(1), add.s(2)
    linked = add.s(0)
    assert linked.link(first) is first
    linked.link(first)
    first.link(second)
    assert linked.options["link"] == [first]
    assert linked.flatten_links() == [linked, first, second]
    assert linked.on_error(second) is linked
    assert linked.options["link_error"] == [second]


def test_it_is_shown_as_a_call(add: Any) -> None:
    assert repr(add.s(1, y="a")) == "shop.add(1, y='a')"
    assert add.si(2).reprcall(1) == "shop.add(1, 2)"


def test_a_kind_of_its_own_is_made_from_its_map(app: FastQ) -> None:
    @Signature.register_type("special")
    class Special(Signature[Any]):
        @classmethod
        def from_dict(cls, described: Any, app: Any = None) -> Special:
            return cls(described, app=app)

    try:
        made = Signature.from_dict({"task": "x", "subtask_type": "special"}, app)
        assert type(made) is Special
        assert made.args == []
    finally:
        del Signature.TYPES["special"]


def test_what_is_no_signature_stays_as_it_is() -> None:
    assert maybe_signature(None) is None
    assert maybe_signature("x") == "x"


def test_the_app_of_a_task_is_that_of_its_signatures(app: FastQ, add: Any) -> None:
    FastQ("other")
    assert add.s(1).app is app
    assert add.s(1).type is add


def test_signatures_are_not_merged_as_dictionaries(add: Any) -> None:
    with pytest.raises(TypeError, match="not dict"):
        add.s(1) | {}
    with pytest.raises(TypeError, match="not dict"):
        {} | add.s(2)
